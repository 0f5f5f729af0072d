/* SPDX-License-Identifier: Apache-2.0
 * import: what import/ has read is checked by the contract and applied, as apply does it; so a second import of the same
 * files says unchanged. Objects go to standard output, what was skipped or failed to standard error with its place.
 * With --dry-run nothing is asked nor sent: the documents are printed as `apply -f` takes them. */
#include "aggregator/ctl/import/import.h"
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_documents.h"

#include <stdio.h>

struct asking {
    struct ctl *ctl;
    enum ctl_exit failed; /* the aggregator could not be asked */
};

static bool has_service(void *context, slice id) {
    struct asking *asking = context;
    const struct yaml_node *service = NULL;
    if (asking->failed || !id.size) return false;
    const char *name = (const char *)arena_copy(asking->ctl->arena, id).data;
    asking->failed = ctl_get_one(asking->ctl, ctl_resource_find("services"), name, true, &service);
    return service != NULL;
}

/* The contract's word on one object. */
static fault_code check(const struct import_object *object, struct arena *arena, struct ctl_document *ret_document,
                        struct fault *reterr) {
    *ret_document = (struct ctl_document){.kind = ctl_kind_find(slice_from_text(object->kind)),
                                          .file = object->file,
                                          .line = object->line,
                                          .command = object->command,
                                          .only_create = object->only_create};
    return ctl_document_check(ret_document, arena, reterr);
}

static bool fits(void *context, const struct import_object *object, struct fault *reterr) {
    const struct asking *asking = context;
    struct ctl_document document;
    return check(object, asking->ctl->arena, &document, reterr) == FAULT_NONE;
}

static enum ctl_exit usage(const char *format) {
    fprintf(stderr,
            format ? "picketctl: import: '%s' is no format that is read. One of:\n"
                   : "picketctl: import what? One of:\n",
            format);
    for (size_t i = 0; i < import_formats_count; i++)
        fprintf(stderr, "  %-17s %s\n", import_formats[i].name, import_formats[i].help);
    return CTL_EXIT_USAGE;
}

/* The contract's word on each object; what it does not take becomes a note. */
static size_t check_objects(struct ctl *ctl, struct import *import, struct ctl_document *documents) {
    size_t count = 0;
    for (size_t i = 0; i < import->objects_count; i++) {
        const struct import_object *object = &import->objects[i];
        struct fault fault = {0};
        if (check(object, ctl->arena, &documents[count], &fault))
            import_fail(import, object->file, object->line, object->id, "%s: %s", object->kind, fault.text);
        else
            count++;
    }
    return count;
}

static enum ctl_exit print_documents(struct ctl *ctl, const struct ctl_document *documents, size_t count) {
    struct text text = text_begin(ctl->arena);
    for (size_t i = 0; i < count; i++) {
        struct yaml_node *root = NULL;
        struct fault fault;
        if (ctl_tree_read(documents[i].command, "document", ctl->arena, &root, &fault))
            return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
        if (ctl->options.output == CTL_OUTPUT_JSON)
            text_format(&text, "{\"kind\":\"%s\",%.*s\n", documents[i].kind->kind,
                        SLICE_ARG(slice_from(documents[i].command, 1)));
        else {
            text_format(&text, "---\n# %s:%d\nkind: %s\n", documents[i].file, documents[i].line,
                        documents[i].kind->kind);
            ctl_tree_add_yaml(&text, root, 0);
        }
    }
    slice page;
    struct fault fault;
    if (text_end(&text, "documents", &page, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    if (page.size) fwrite(page.data, 1, page.size, stdout);
    return CTL_EXIT_OK;
}

static size_t print_notes(const struct import *import, enum import_note_kind kind, const char *word) {
    size_t count = 0;
    for (size_t i = 0; i < import->notes_count; i++) {
        const struct import_note *note = &import->notes[i];
        if (note->kind != kind) continue;
        count++;
        fprintf(stderr, "%s  %s", word, note->file);
        if (note->line) fprintf(stderr, ":%d", note->line);
        fputs(": ", stderr);
        const slice parts[] = {note->what, SLICE_LIT(": "), note->why};
        for (size_t p = note->what.size ? 0 : 2; p < 3; p++)
            for (size_t b = 0; b < parts[p].size; b++) /* nothing that came from a file may move the cursor */
                fputc(parts[p].data[b] < 0x20 || parts[p].data[b] == 0x7F ? ' ' : parts[p].data[b], stderr);
        fputc('\n', stderr);
    }
    return count;
}

static void read_files(struct ctl *ctl, struct import *import, const struct import_format *format) {
    for (size_t i = 2; i < ctl->options.words_count; i++) {
        slice bytes;
        struct fault fault;
        const char *file = ctl->options.words[i];
        if (ctl_file_read(ctl->arena, file, &bytes, &fault))
            import_fail(import, file, 0, (slice){0}, "%s", fault.text);
        else
            import_read(import, format, file, bytes);
    }
}

static enum ctl_exit run_import(struct ctl *ctl, struct import *import, struct asking *asking,
                                const struct import_format *format) {
    struct fault fault;
    read_files(ctl, import, format);
    if (import_finish(import, format, &fault)) return ctl_fail(CTL_EXIT_USAGE, "import: %s", fault.text);
    if (asking->failed) return asking->failed;
    struct ctl_document *documents = arena_alloc_array(ctl->arena, import->objects_count + 1, sizeof *documents);
    if (!documents) return ctl_fail(CTL_EXIT_USAGE, "import: out of memory");
    const size_t count = check_objects(ctl, import, documents);
    struct ctl_changes changes = {.failed_word = "failed  "};
    const enum ctl_exit code =
        ctl->options.dry_run ? print_documents(ctl, documents, count) : ctl_apply_all(ctl, documents, count, &changes);
    fflush(stdout);
    const size_t skipped = print_notes(import, IMPORT_SKIPPED, "skipped");
    const size_t failed = print_notes(import, IMPORT_FAILED, "failed ") + changes.counts[CTL_CHANGE_FAILED];
    FILE *summary = ctl->options.dry_run || ctl->options.output != CTL_OUTPUT_TABLE ? stderr : stdout;
    if (ctl->options.dry_run)
        fprintf(summary, "%zu to apply, %zu skipped, %zu failed\n", count, skipped, failed);
    else
        fprintf(summary, "%zu created, %zu configured, %zu unchanged, %zu skipped, %zu failed\n",
                changes.counts[CTL_CHANGE_CREATED], changes.counts[CTL_CHANGE_CONFIGURED],
                changes.counts[CTL_CHANGE_UNCHANGED], skipped, failed);
    if (code == CTL_EXIT_UNREACHABLE || code == CTL_EXIT_DENIED) return code; /* and nothing more was tried */
    return failed ? CTL_EXIT_REFUSED : CTL_EXIT_OK;
}

enum ctl_exit ctl_import(struct ctl *ctl) {
    const struct ctl_options *options = &ctl->options;
    const struct import_format *format = options->words_count > 1 ? import_format_find(options->words[1]) : NULL;
    if (!format) return usage(options->words_count > 1 ? options->words[1] : NULL);
    if (options->words_count < 3)
        return ctl_fail(CTL_EXIT_USAGE, "import %s: which files? picketctl import %s FILE...", format->name,
                        format->name);
    if (options->expected_version)
        return ctl_fail(CTL_EXIT_USAGE, "import has no --expected-version: it reads each one's own");
    struct asking asking = {.ctl = ctl};
    struct import import = {.arena = ctl->arena, .context = &asking, .fits = fits};
    if (!options->dry_run) import.has_service = has_service;
    for (size_t i = 0; i < options->given_count; i++)
        import.owner = options->given[i].value; /* --owner, nothing else */
    return run_import(ctl, &import, &asking, format);
}
