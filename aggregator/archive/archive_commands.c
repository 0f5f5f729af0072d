/* SPDX-License-Identifier: Apache-2.0
 * Words in, words out: the work is that of the modules beside this one. */
#include "aggregator/archive/archive_commands.h"

#include "aggregator/archive/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_BYTES = 512, FINDING_BYTES = 1024, HASH_TEXT_BYTES = 2 * DIGEST_BYTES + 1 };

static int fail(const struct fault *fault) {
    fprintf(stderr, "picket-aggregator: %s\n", fault->text);
    return 1;
}

static int misused(const char *what) {
    fprintf(stderr, "picket-aggregator: %s. Try 'picket-aggregator --help'.\n", what);
    return 2;
}

static void journal_path(const struct aggregator_settings *settings, char ret_path[PATH_BYTES]) {
    snprintf(ret_path, PATH_BYTES, "%.*s/journal", SLICE_ARG(settings->data.path));
}

static void hash_text(const uint8_t hash[DIGEST_BYTES], char ret_text[HASH_TEXT_BYTES]) {
    for (size_t i = 0; i < DIGEST_BYTES; i++) snprintf(ret_text + 2 * i, 3, "%02x", hash[i]);
}

/* ---- verify ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "1234:<64 hexadecimal digits>", as verify prints it. */
static bool known_read(const char *text, struct verify_settings *settings) {
    char *end;
    settings->known_sequence = strtoull(text, &end, 10);
    if (settings->known_sequence == 0 || *end != ':' || strlen(end + 1) != HASH_TEXT_BYTES - 1) return false;
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        const int high = hex_digit(end[1 + 2 * i]), low = hex_digit(end[2 + 2 * i]);
        if (high < 0 || low < 0) return false;
        settings->known_hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void verify_print(const struct verify_result *r) {
    char hash[HASH_TEXT_BYTES];
    hash_text(r->end.last_hash, hash);
    const double chain = r->chain_seconds > 0 ? r->chain_seconds : 1e-9;
    printf("%s: %" PRIu64 " facts and %" PRIu64 " compacted ones (%.3f GB in %.2f s, %.2f GB/s, %u threads), %" PRIu64
           " aggregates, %" PRIu64 " other records; %.2f s in all\n",
           r->finding.kind ? "not whole" : "whole", r->end.facts, r->end.compacted, (double)r->bytes / 1e9,
           r->chain_seconds, (double)r->bytes / 1e9 / chain, r->threads, r->aggregates, r->records, r->seconds);
    if (!r->finding.kind && r->end.last_sequence) printf("last fact %" PRIu64 ":%s\n", r->end.last_sequence, hash);
}

int verify_command(const struct command_line *line, const struct aggregator_settings *settings) {
    char path[PATH_BYTES], text[FINDING_BYTES];
    struct fault fault;
    struct verify_result result;
    struct verify_settings verify = {.path = path, .messages = line->messages};
    journal_path(settings, path);
    if (line->known && !known_read(line->known, &verify))
        return misused("--known takes SEQUENCE:HASH, as verify prints the last fact");
    if (verify_journal_apart(&verify, &result, &fault)) return fail(&fault);
    verify_print(&result);
    if (!result.finding.kind) return 0;
    finding_print(&result.finding, text, sizeof text);
    fprintf(stderr, "picket-aggregator: %s\n", text);
    return 1;
}
