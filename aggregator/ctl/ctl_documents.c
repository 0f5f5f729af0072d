/* SPDX-License-Identifier: Apache-2.0
 * Files of documents. All are checked by the contract before the first is sent, so that a mistake in the last one does
 * not leave half of the file done. What the aggregator itself put into an object that `get -o yaml` printed is left out
 * again, but for its version, which becomes the expected one: what was read, edited and applied does not overwrite what
 * somebody else changed meanwhile. */
#include "aggregator/ctl/ctl_documents.h"

#include "aggregator/ctl/ctl_call.h"
#include "common/codec/codec.h"
#include "common/codec/services.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

fault_code ctl_file_read(struct arena *arena, const char *path, slice *ret_bytes, struct fault *reterr) {
    enum { FILE_BYTES_MAX = 16 * 1024 * 1024 };
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
    char known[256];
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

static bool has_field(const struct message_desc *desc, const char *inside, slice key, struct arena *arena) {
    struct text text = text_begin(arena);
    text_format(&text, "{\"%s\":{", inside);
    text_add_json_string(&text, key);
    text_add_text(&text, ":null}}");
    slice json;
    void *message = arena_alloc(arena, message_size(desc));
    return message && text_end(&text, "field", &json, NULL) == FAULT_NONE &&
           codec_decode_json(desc, json, false, arena, message, NULL) == FAULT_NONE;
}

/* The object has it, and the command that makes one does not: the aggregator's own. */
static bool is_servers(const struct ctl_kind *kind, slice key, struct arena *arena) {
    const struct ctl_resource *resource = kind->resource ? ctl_resource_find(kind->resource) : NULL;
    const struct method_desc *get = resource ? method_find(slice_from_text(resource->get_path)) : NULL;
    const struct method_desc *create = method_find(slice_from_text(kind->path));
    return get && create && has_field(get->response, resource->get_item, key, arena) &&
           !has_field(create->request, "command", key, arena);
}

/* The document without what is not the command's; its version, if it has one. */
static slice without_server_fields(const struct ctl_kind *kind, struct yaml_node *document, struct arena *arena) {
    slice version = {0};
    struct yaml_node **link = &document->first;
    for (struct yaml_node *entry = document->first; entry; entry = entry->next) {
        const bool servers = is_servers(kind, entry->key, arena);
        if (servers && slice_equal_text(entry->key, "version")) version = entry->text;
        const bool drop = slice_equal_text(entry->key, "kind") || servers;
        if (slice_equal_text(entry->key, "id") && kind->id_field) entry->key = slice_from_text(kind->id_field);
        if (drop)
            document->count--;
        else {
            *link = entry;
            link = &entry->next;
        }
    }
    *link = NULL;
    return version;
}

/* Whether the contract takes it; what it will be sent as. */
static enum ctl_exit check(struct ctl *ctl, const struct ctl_kind *kind, const char *file, struct yaml_node *node,
                           struct ctl_document *document) {
    const slice version = without_server_fields(kind, node, ctl->arena);
    struct text text = text_begin(ctl->arena);
    ctl_tree_add_json(&text, node, NULL, -1);
    struct fault fault = {0};
    if (text_end(&text, file, &document->command, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    document->kind = kind;
    document->file = file;
    document->line = node->line;
    for (size_t i = 0; i < version.size && version.size < 19; i++) {
        if (version.data[i] < '0' || version.data[i] > '9')
            return ctl_fail(CTL_EXIT_USAGE, "%s:%d: version '%.*s' is no number", file, node->line, SLICE_ARG(version));
        document->version = document->version * 10 + (version.data[i] - '0');
    }
    if (ctl_document_check(document, ctl->arena, &fault))
        return ctl_fail(CTL_EXIT_USAGE, "%s:%d: %s: %s", file, node->line, kind->kind, fault.text);
    return CTL_EXIT_OK;
}

slice ctl_document_request(slice command, int64_t version, struct arena *arena) {
    if (version)
        return arena_format(arena, "{\"command\":%.*s,\"expectedVersion\":\"%lld\"}", SLICE_ARG(command),
                            (long long)version);
    return arena_format(arena, "{\"command\":%.*s}", SLICE_ARG(command));
}

fault_code ctl_document_check(struct ctl_document *document, struct arena *arena, struct fault *reterr) {
    const struct method_desc *method = method_find(slice_from_text(document->kind->path));
    if (!method) return fault_set(reterr, FAULT_INPUT, "%s: not in this picketctl's contract", document->kind->path);
    void *message = arena_alloc(arena, message_size(method->request));
    const slice request = ctl_document_request(document->command, 0, arena);
    slice json;
    if (!message || !request.data) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    fault_code code = codec_decode_json(method->request, request, false, arena, message, reterr);
    if (!code) code = codec_validate(method->request, message, reterr);
    if (code) {
        const struct fault said = *reterr;
        return fault_set(reterr, code, "%s", without_command(said.text));
    }
    code = codec_encode_json(method->request, message, false, arena, &json, reterr);
    if (code) return code;
    /* Written again by the contract: {"command":{...}}. */
    document->command = slice_of(json.data + strlen("{\"command\":"), json.size - strlen("{\"command\":}"));
    struct yaml_node *root = NULL;
    code = ctl_tree_read(document->command, "document", arena, &root, reterr);
    if (code) return code;
    if (document->kind->id_field) document->id = ctl_tree_text(root, document->kind->id_field);
    if (!document->kind->needs) return FAULT_NONE;
    struct text before = text_begin(arena);
    ctl_tree_add_json(&before, root, document->kind->needs, -1);
    return text_end(&before, "document", &document->command_before, reterr);
}

enum ctl_exit ctl_documents_read(struct ctl *ctl, const char *file, struct ctl_document **ret_documents,
                                 size_t *ret_count) {
    slice bytes;
    struct fault fault;
    struct yaml_node *first = NULL;
    if (ctl_file_read(ctl->arena, file, &bytes, &fault) || ctl_tree_read(bytes, file, ctl->arena, &first, &fault))
        return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    size_t count = 0;
    for (const struct yaml_node *document = first; document; document = document->next) count++;
    if (count == 0) return ctl_fail(CTL_EXIT_USAGE, "%s: holds no document", file);
    struct ctl_document *documents = arena_alloc_array(ctl->arena, count, sizeof *documents);
    if (!documents) return ctl_fail(CTL_EXIT_USAGE, "out of memory");
    enum ctl_exit worst = CTL_EXIT_OK;
    size_t i = 0;
    for (struct yaml_node *node = first; node; node = node->next, i++) {
        const struct ctl_kind *kind = kind_of(node);
        const enum ctl_exit code = kind ? check(ctl, kind, file, node, &documents[i]) : no_kind(file, node);
        if (code) worst = code;
    }
    *ret_documents = documents;
    *ret_count = count;
    return worst;
}

enum ctl_exit ctl_create(struct ctl *ctl) {
    const char *file = ctl->options.file;
    if (!file) return ctl_act(ctl);
    if (ctl->options.words_count > 1 || ctl->options.given_count)
        return ctl_fail(CTL_EXIT_USAGE,
                        "create takes -f FILE (or -f - for standard input) alone, or a resource and its options; "
                        "see picketctl help create");
    struct ctl_document *documents;
    size_t count;
    enum ctl_exit worst = ctl_documents_read(ctl, file, &documents, &count);
    if (worst) return worst;
    for (size_t i = 0; i < count; i++) {
        slice response;
        const slice request = ctl_document_request(documents[i].command, 0, ctl->arena);
        struct yaml_node *root = NULL;
        struct fault fault;
        enum ctl_exit code = ctl_command(ctl, documents[i].kind->path, request, count > 1 ? i + 1 : 0, &response);
        if (!code && !ctl->options.dry_run)
            code = ctl_tree_read(response, "answer", ctl->arena, &root, &fault)
                       ? ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text)
                       : ctl_say_outcome(ctl, documents[i].kind->kind, "created", "was there already", root);
        fflush(stdout);
        if (code == CTL_EXIT_UNREACHABLE || code == CTL_EXIT_DENIED) return code;
        if (code) worst = code;
    }
    return worst;
}
