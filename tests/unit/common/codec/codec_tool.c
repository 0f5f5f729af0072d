/* SPDX-License-Identifier: Apache-2.0
 * The codec by line, for tests in other languages. One request a line on stdin, one answer a line on stdout:
 *   <operation> <full message name> <hex>     ->  ok <hex> | error <text>
 *   form <number of a text_format> <hex>           ->  ok 01 | ok 00
 *   pattern <number of a text_format>              ->  ok <hex of its regular expression>
 * Operations: p2p, p2j, p2J (pretty), j2p, j2p-ignore (unknown fields), check (protobuf in, validated, protobuf out). */
#include <stdio.h>
#include <stdlib.h>

#include "common/codec/format.h"
#include "common/codec/tables.h"
#include "sre.pb.h"

enum { ARENA_BYTES = 64 * 1024 * 1024 };

static const struct message_desc *message_by_name(const char *name) {
    for (size_t i = 0; i < message_docs_count; i++)
        if (strcmp(message_full_name(message_docs[i].message), name) == 0) return message_docs[i].message;
    return NULL;
}

static int nibble(char c) {
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static slice from_hex(const char *hex, size_t size, struct arena *arena) {
    uint8_t *bytes = arena_alloc(arena, size / 2 + 1);
    if (!bytes) abort();
    for (size_t i = 0; i < size / 2; i++) bytes[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
    return slice_of(bytes, size / 2);
}

static slice serve_form(const char *operation, const char *number, slice text) {
    const long format = strtol(number, NULL, 10);
    if (format <= FORMAT_NONE || format >= FORMAT_COUNT_) return (slice){0};
    if (strcmp(operation, "pattern") == 0) return slice_from_text(format_pattern((enum text_format)format));
    return format_holds((enum text_format)format, text) ? SLICE_LIT("\x01") : slice_of("", 1);
}

static fault_code serve(const char *operation, const struct message_desc *desc, slice in, struct arena *arena,
                        slice *ret_out, struct fault *reterr) {
    void *message = arena_alloc(arena, message_size(desc));
    if (!message) abort();
    const bool from_json = operation[0] == 'j';
    const fault_code code =
        from_json ? codec_decode_json(desc, in, strcmp(operation, "j2p-ignore") == 0, arena, message, reterr)
                  : codec_decode_protobuf(desc, in, arena, message, reterr);
    if (code) return code;
    if (strcmp(operation, "check") == 0 && codec_validate(desc, message, reterr)) return FAULT_INPUT;
    if (strcmp(operation, "p2j") == 0) return codec_encode_json(desc, message, false, arena, ret_out, reterr);
    if (strcmp(operation, "p2J") == 0) return codec_encode_json(desc, message, true, arena, ret_out, reterr);
    return codec_encode_protobuf(desc, message, arena, ret_out, reterr);
}

static void print_hex(slice bytes) {
    printf("ok ");
    for (size_t i = 0; i < bytes.size; i++) printf("%02x", bytes.data[i]);
    printf("\n");
}

int main(void) {
    struct arena *arena = arena_new(1024 * 1024, ARENA_BYTES);
    char *line = NULL;
    size_t room = 0;
    if (!arena) return 1;
    for (ssize_t size; (size = getline(&line, &room, stdin)) > 0; arena_reset(arena)) {
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == ' ')) line[--size] = '\0';
        char *rest = line;
        const char *operation = strsep(&rest, " ");
        const char *name = strsep(&rest, " ");
        const bool form = name && (strcmp(operation, "form") == 0 || strcmp(operation, "pattern") == 0);
        const struct message_desc *desc = name && !form ? message_by_name(name) : NULL;
        const slice in = from_hex(rest ? rest : "", rest ? strlen(rest) : 0, arena);
        struct fault fault = {.code = FAULT_INPUT, .text = "no such message"};
        slice out = {0};
        if (form) out = serve_form(operation, name, in);
        if (!form && (!desc || serve(operation, desc, in, arena, &out, &fault)))
            printf("error %s\n", fault.text);
        else
            print_hex(out);
        (void)fflush(stdout);
    }
    free(line);
    arena_free(arena);
    return 0;
}
