/* SPDX-License-Identifier: Apache-2.0
 * What comes from a damaged journal is not trusted to be text: anything but plain characters is shown as '?'. */
#include "aggregator/archive/finding.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

const char *finding_kind_name(enum finding_kind kind) {
    static const char *const names[] = {"none",    "checksum",  "hash",   "gap",   "unreadable",
                                        "version", "aggregate", "record", "index", "pages"};
    static_assert(sizeof names / sizeof *names == FINDING_KINDS_, "each kind has a name");
    return names[kind];
}

static void plain(slice from, char *to, size_t size) {
    from = slice_first(from, size - 1);
    for (size_t i = 0; i < from.size; i++)
        to[i] = (char)(from.data[i] < 0x20 || from.data[i] > 0x7e ? '?' : from.data[i]);
    to[from.size] = '\0';
}

fault_code finding_set(struct finding *ret_finding, enum finding_kind kind, uint64_t sequence,
                       const struct fact_view *fact, const char *format, ...) {
    *ret_finding = (struct finding){.kind = kind, .sequence = sequence};
    if (fact) {
        plain(fact->tenant, ret_finding->tenant, sizeof ret_finding->tenant);
        plain(fact->aggregate_type, ret_finding->aggregate_type, sizeof ret_finding->aggregate_type);
        plain(fact->aggregate_id, ret_finding->aggregate_id, sizeof ret_finding->aggregate_id);
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ret_finding->text, sizeof ret_finding->text, format, arguments);
    va_end(arguments);
    return FAULT_CORRUPT;
}

void finding_print(const struct finding *finding, char *ret_text, size_t size) {
    char fact[48] = "", whose[320] = "";
    if (finding->sequence) snprintf(fact, sizeof fact, "fact %" PRIu64, finding->sequence);
    if (finding->tenant[0])
        snprintf(whose, sizeof whose, "%s(tenant %s, %s %s)", fact[0] ? " " : "", finding->tenant,
                 finding->aggregate_type, finding->aggregate_id);
    snprintf(ret_text, size, "%s%s%s%s: %s", fact, whose, fact[0] || whose[0] ? ": " : "",
             finding_kind_name(finding->kind), finding->text);
}
