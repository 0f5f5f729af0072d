/* SPDX-License-Identifier: Apache-2.0
 * create: each document of a file is one command. All documents are checked before the first is sent, so that
 * a mistake in the last one does not leave half of the file done; what is refused by the aggregator does not
 * stop the others, and each says its own result. */
#include "aggregator/ctl/ctl_call.h"

#include "common/codec/codec.h"
#include "common/codec/services.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 16 * 1024 * 1024 };

static fault_code read_whole(struct arena *arena, const char *path, slice *ret_bytes, struct fault *reterr) {
    const bool standard = strcmp(path, "-") == 0;
    const int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open '%s'", path);
    struct text text = text_begin(arena);
    char piece[16384];
    ssize_t got;
    while ((got = read(fd, piece, sizeof piece)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 || text.size > FILE_BYTES_MAX) break;
        text_add(&text, slice_of(piece, (size_t)got));
    }
    const int error_number = errno;
    if (!standard) close(fd);
    if (got < 0) return fault_set_errno(reterr, FAULT_SYSTEM, error_number, "read '%s'", path);
    if (text.size > FILE_BYTES_MAX)
        return fault_set(reterr, FAULT_LIMIT, "'%s' is larger than %d bytes", path, FILE_BYTES_MAX);
    return text_end(&text, path, ret_bytes, reterr);
}

static const struct ctl_kind *kind_of(const struct yaml_node *document) {
    const struct yaml_node *kind = yaml_find(document, "kind");
    for (size_t i = 0; kind && kind->kind == YAML_KIND_SCALAR && i < ctl_kinds_count; i++)
        if (slice_equal_text(kind->text, ctl_kinds[i].kind)) return &ctl_kinds[i];
    return NULL;
}

static enum ctl_exit no_kind(const char *file, const struct yaml_node *document) {
    char known[128];
    size_t size = 0;
    for (size_t i = 0; i < ctl_kinds_count && size < sizeof known; i++)
        size += (size_t)snprintf(known + size, sizeof known - size, "%s%s", i ? ", " : "", ctl_kinds[i].kind);
    const struct yaml_node *kind = yaml_find(document, "kind");
    if (document->kind != YAML_KIND_MAPPING)
        return ctl_fail(CTL_EXIT_USAGE, "%s:%d: a document must be a mapping with its kind", file, document->line);
    if (!kind) return ctl_fail(CTL_EXIT_USAGE, "%s:%d: 'kind' is missing; one of %s", file, document->line, known);
    return ctl_fail(CTL_EXIT_USAGE, "%s:%d: kind '%.*s' is unknown; one of %s", file, kind->line, SLICE_ARG(kind->text),
                    known);
}

/* The file's fields stand in the request's `command`, which its writer never sees. */
static const char *without_command(const char *message) {
    return strncmp(message, "command.", 8) == 0 ? message + 8 : message;
}

/* Whether the contract takes it; what it will be sent as. */
static enum ctl_exit check(struct ctl *ctl, const struct ctl_kind *kind, const char *file,
                           const struct yaml_node *document, slice *ret_request) {
    struct text text = text_begin(ctl->arena);
    text_add_text(&text, "{\"command\":");
    ctl_tree_add_json(&text, document, "kind", -1);
    text_add_text(&text, "}");
    struct fault fault;
    if (text_end(&text, file, ret_request, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    const struct method_desc *method = method_find(slice_from_text(kind->path));
    if (!method) return ctl_fail(CTL_EXIT_USAGE, "%s: not in this picketctl's contract", kind->path);
    void *message = arena_alloc(ctl->arena, message_size(method->request));
    if (!message) return ctl_fail(CTL_EXIT_USAGE, "out of memory");
    if (codec_decode_json(method->request, *ret_request, false, ctl->arena, message, &fault) ||
        codec_validate(method->request, message, &fault))
        return ctl_fail(CTL_EXIT_USAGE, "%s:%d: %s: %s", file, document->line, kind->kind, without_command(fault.text));
    return CTL_EXIT_OK;
}

static enum ctl_exit send_one(struct ctl *ctl, const struct ctl_kind *kind, slice request) {
    slice response;
    const enum ctl_exit code = ctl_call(ctl, kind->path, request, &response);
    if (code) return code;
    struct yaml_node *root = NULL;
    struct fault fault;
    if (ctl_tree_read(response, "answer", ctl->arena, &root, &fault))
        return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
    const struct yaml_node *outcome = ctl_tree_at(root, "outcome");
    if (ctl->options.output != CTL_OUTPUT_TABLE && outcome) {
        struct text text = text_begin(ctl->arena);
        if (ctl->options.output == CTL_OUTPUT_JSON)
            ctl_tree_add_json(&text, outcome, NULL, 0);
        else {
            text_add_text(&text, "---\n");
            ctl_tree_add_yaml(&text, outcome, 0);
        }
        slice page;
        if (text_end(&text, "output", &page, &fault)) return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
        printf("%.*s%s", SLICE_ARG(page), ctl->options.output == CTL_OUTPUT_JSON ? "\n" : "");
        return CTL_EXIT_OK;
    }
    const slice id = ctl_tree_text(outcome, "aggregateId"), version = ctl_tree_text(outcome, "aggregateVersion");
    const bool repeated = slice_equal_text(ctl_tree_text(outcome, "repeated"), "true");
    printf("%s %.*s %s (version %.*s)\n", kind->kind, SLICE_ARG(id), repeated ? "was there already" : "created",
           SLICE_ARG(version));
    return CTL_EXIT_OK;
}

enum ctl_exit ctl_create(struct ctl *ctl) {
    const char *file = ctl->options.file;
    if (!file || ctl->options.words_count > 1)
        return ctl_fail(CTL_EXIT_USAGE, "create takes -f FILE (or -f - for standard input); see picketctl help create");
    slice bytes;
    struct fault fault;
    struct yaml_node *first = NULL;
    if (read_whole(ctl->arena, file, &bytes, &fault) || ctl_tree_read(bytes, file, ctl->arena, &first, &fault))
        return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    size_t count = 0;
    for (const struct yaml_node *document = first; document; document = document->next) count++;
    if (count == 0) return ctl_fail(CTL_EXIT_USAGE, "%s: holds nothing to create", file);
    slice *requests = arena_alloc_array(ctl->arena, count, sizeof *requests);
    if (!requests) return ctl_fail(CTL_EXIT_USAGE, "out of memory");
    enum ctl_exit worst = CTL_EXIT_OK;
    size_t i = 0;
    for (const struct yaml_node *document = first; document; document = document->next, i++) {
        const struct ctl_kind *kind = kind_of(document);
        const enum ctl_exit code = kind ? check(ctl, kind, file, document, &requests[i]) : no_kind(file, document);
        if (code) worst = code;
    }
    if (worst) return worst;
    i = 0;
    for (const struct yaml_node *document = first; document; document = document->next, i++) {
        const enum ctl_exit code = send_one(ctl, kind_of(document), requests[i]);
        fflush(stdout);
        if (code == CTL_EXIT_UNREACHABLE || code == CTL_EXIT_DENIED) return code;
        if (code) worst = code;
    }
    return worst;
}
