/* SPDX-License-Identifier: Apache-2.0
 * apply: each document against what the aggregator holds. The object that is there is read as the updating command
 * (whose fields have the object's names; what is the aggregator's own is passed over), both are written by the contract
 * in its one form, and compared as bytes. An update goes out with the version that was compared, so that nothing that
 * came between is overwritten. */
#include "aggregator/ctl/ctl_call.h"
#include "aggregator/ctl/ctl_documents.h"
#include "common/codec/codec.h"
#include "common/codec/services.h"
#include "sre.pb.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const change_words[CTL_CHANGE_MAX_] = {
    [CTL_CHANGE_CREATED] = "created",
    [CTL_CHANGE_CONFIGURED] = "configured",
    [CTL_CHANGE_UNCHANGED] = "unchanged",
    [CTL_CHANGE_FAILED] = "failed",
};

/* What the contract says an unset field means, and what the aggregator writes down when it keeps the object. */
static void slo_complete(void *message) {
    UpdateSLORequest *request = message;
    if (!request->command.sli_spec.window_seconds) request->command.sli_spec.window_seconds = 60;
    if (!request->command.budgeting_method) request->command.budgeting_method = BUDGETING_METHOD_OCCURRENCES;
}
static void runbook_complete(void *message) {
    UpdateRunbookRequest *request = message;
    if (!request->command.automation_level) request->command.automation_level = AUTOMATION_LEVEL_MANUAL;
    for (size_t i = 0; i < request->command.steps.count; i++) {
        RunbookStep *step = &request->command.steps.items[i];
        if (!step->timeout_seconds) step->timeout_seconds = 300;
        if (!step->kind)
            step->kind = step->link.size      ? RUNBOOK_STEP_KIND_LINK
                         : step->command.size ? RUNBOOK_STEP_KIND_COMMAND
                                              : RUNBOOK_STEP_KIND_MANUAL;
    }
}
static const struct {
    const char *kind;
    void (*complete)(void *message);
} completions[] = {{"SLO", slo_complete}, {"Runbook", runbook_complete}};

/* A command or an object as the updating method takes it: {"command":{...}} in the contract's one form. What it does
 * not know is passed over: the document was held against the creating command before. */
static fault_code as_update(const struct ctl_kind *kind, slice command, struct arena *arena, slice *ret_json,
                            struct fault *reterr) {
    const struct method_desc *method = method_find(slice_from_text(kind->update_path));
    void *message = method ? arena_alloc(arena, message_size(method->request)) : NULL;
    const slice request = ctl_document_request(command, 0, arena);
    if (!message || !request.data) return fault_set(reterr, FAULT_LIMIT, "out of memory");
    const fault_code code = codec_decode_json(method->request, request, true, arena, message, reterr);
    for (size_t i = 0; i < sizeof completions / sizeof *completions && !code; i++)
        if (strcmp(kind->kind, completions[i].kind) == 0) completions[i].complete(message);
    return code ? code : codec_encode_json(method->request, message, false, arena, ret_json, reterr);
}

static enum ctl_exit say(struct ctl *ctl, const struct ctl_document *document, slice id, slice version,
                         enum ctl_change change) {
    const char *dry = ctl->options.dry_run ? " (dry run)" : "";
    switch (ctl->options.output) {
    case CTL_OUTPUT_JSON:
        printf("{\"kind\":\"%s\",\"id\":\"%.*s\",\"change\":\"%s\",\"version\":\"%.*s\"%s}\n", document->kind->kind,
               SLICE_ARG(id), change_words[change], SLICE_ARG(version), *dry ? ",\"dryRun\":true" : "");
        break;
    case CTL_OUTPUT_YAML:
        printf("---\nkind: %s\nid: \"%.*s\"\nchange: %s\nversion: \"%.*s\"\n", document->kind->kind, SLICE_ARG(id),
               change_words[change], SLICE_ARG(version));
        break;
    case CTL_OUTPUT_NAME: printf("%s/%.*s\n", document->kind->kind, SLICE_ARG(id)); break;
    case CTL_OUTPUT_TABLE:
    case CTL_OUTPUT_WIDE:
        if (version.size && !*dry)
            printf("%s %.*s %s (version %.*s)\n", document->kind->kind, SLICE_ARG(id), change_words[change],
                   SLICE_ARG(version));
        else
            printf("%s %.*s %s%s\n", document->kind->kind, SLICE_ARG(id), change_words[change], dry);
        break;
    }
    fflush(stdout);
    return CTL_EXIT_OK;
}

struct apply {
    struct ctl *ctl;
    struct ctl_changes *changes;
    size_t count;
};

/* Sends it and says what came of it: `change`, and `otherwise` when it changed nothing. */
static enum ctl_exit send_it(struct apply *apply, const struct ctl_document *document, const char *path, slice request,
                             size_t part, enum ctl_change change, enum ctl_change otherwise) {
    struct ctl *ctl = apply->ctl;
    slice id = document->id, version = {0};
    if (!ctl->options.dry_run) {
        slice response;
        struct yaml_node *root = NULL;
        struct fault fault;
        const enum ctl_exit code = ctl_command(ctl, path, request, part, &response);
        if (code) return code;
        if (ctl_tree_read(response, "answer", ctl->arena, &root, &fault))
            return ctl_fail(CTL_EXIT_REFUSED, "%s", fault.text);
        id = ctl_tree_text(root, "outcome.aggregateId");
        version = ctl_tree_text(root, "outcome.aggregateVersion");
        if (!ctl_tree_text(root, "outcome.sequence").size ||
            slice_equal_text(ctl_tree_text(root, "outcome.repeated"), "true"))
            change = otherwise;
    }
    apply->changes->counts[change]++;
    return say(ctl, document, id, version, change);
}

static enum ctl_exit update(struct apply *apply, const struct ctl_document *document, const struct yaml_node *there,
                            size_t part, bool was_created) {
    struct ctl *ctl = apply->ctl;
    struct text text = text_begin(ctl->arena);
    ctl_tree_add_json(&text, there, NULL, -1);
    slice object, held, wanted;
    struct fault fault = {0};
    if (text_end(&text, "object", &object, &fault) || as_update(document->kind, object, ctl->arena, &held, &fault) ||
        as_update(document->kind, document->command, ctl->arena, &wanted, &fault))
        return ctl_fail(CTL_EXIT_USAGE, "%s:%d: %s %.*s: %s", document->file, document->line, document->kind->kind,
                        SLICE_ARG(document->id), fault.text);
    const slice version = ctl_tree_text(there, "version");
    if (slice_equal(held, wanted)) {
        const enum ctl_change change = was_created ? CTL_CHANGE_CREATED : CTL_CHANGE_UNCHANGED;
        apply->changes->counts[change]++;
        return say(ctl, document, document->id, version, change);
    }
    const int64_t expected = ctl->options.expected_version ? ctl->options.expected_version
                             : document->version           ? document->version
                                                           : strtoll((const char *)version.data, NULL, 10);
    const slice command = slice_of(wanted.data + strlen("{\"command\":"), wanted.size - strlen("{\"command\":}"));
    const slice request = ctl_document_request(command, expected, ctl->arena);
    return send_it(apply, document, document->kind->update_path, request, part,
                   was_created ? CTL_CHANGE_CREATED : CTL_CHANGE_CONFIGURED,
                   was_created ? CTL_CHANGE_CREATED : CTL_CHANGE_UNCHANGED);
}

/* before: only what is missing, and without its needs. */
static enum ctl_exit apply_one(struct apply *apply, struct ctl_document *document, size_t part, bool before,
                               bool *was_created) {
    struct ctl *ctl = apply->ctl;
    const struct ctl_kind *kind = document->kind;
    const struct yaml_node *there = NULL;
    const bool can_be_read = kind->resource && document->id.size;
    if (can_be_read) {
        const char *id = (const char *)arena_copy(ctl->arena, document->id).data;
        const enum ctl_exit code = ctl_get_one(ctl, ctl_resource_find(kind->resource), id, true, &there);
        if (code) return code;
    }
    if (there && before) return CTL_EXIT_OK;
    if (there && kind->update_path && !document->only_create) return update(apply, document, there, part, *was_created);
    if (there && !kind->repeats) {
        const enum ctl_change change = *was_created ? CTL_CHANGE_CREATED : CTL_CHANGE_UNCHANGED;
        apply->changes->counts[change]++;
        return say(ctl, document, document->id, ctl_tree_text(there, "version"), change);
    }
    const slice command = before ? document->command_before : document->command;
    const slice request = ctl_document_request(command, 0, ctl->arena);
    if (!before) return send_it(apply, document, kind->path, request, part, CTL_CHANGE_CREATED, CTL_CHANGE_UNCHANGED);
    *was_created = true;
    slice response;
    return ctl->options.dry_run ? CTL_EXIT_OK : ctl_command(ctl, kind->path, request, part, &response);
}

/* The line above says why. */
static void say_failed(const struct ctl_document *document, const char *word, bool half) {
    const char *there = half ? ": it was created, without what it needs" : "";
    if (word)
        fprintf(stderr, "%s %s:%d: %s %.*s: as said above%s\n", word, document->file, document->line,
                document->kind->kind, SLICE_ARG(document->id), there);
    else
        fprintf(stderr, "  of %s:%d, %s %.*s%s\n", document->file, document->line, document->kind->kind,
                SLICE_ARG(document->id), there);
}

enum ctl_exit ctl_apply_all(struct ctl *ctl, struct ctl_document *documents, size_t count,
                            struct ctl_changes *changes) {
    struct apply apply = {.ctl = ctl, .changes = changes, .count = count};
    bool *created = arena_alloc_array(ctl->arena, count ? count : 1, sizeof *created);
    bool *failed = arena_alloc_array(ctl->arena, count ? count : 1, sizeof *failed);
    if (!created || !failed) return ctl_fail(CTL_EXIT_USAGE, "out of memory");
    enum ctl_exit worst = CTL_EXIT_OK;
    size_t part = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            if (failed[i] || (pass == 0 && !documents[i].command_before.size)) continue;
            const enum ctl_exit code = apply_one(&apply, &documents[i], count > 1 ? ++part : 0, pass == 0, &created[i]);
            if (!code) continue;
            failed[i] = true;
            changes->counts[CTL_CHANGE_FAILED]++;
            say_failed(&documents[i], changes->failed_word, pass == 1 && created[i]);
            worst = code;
            if (code == CTL_EXIT_UNREACHABLE || code == CTL_EXIT_DENIED) return code;
        }
    }
    return worst;
}

enum ctl_exit ctl_apply(struct ctl *ctl) {
    const char *file = ctl->options.file;
    if (!file || ctl->options.words_count > 1)
        return ctl_fail(CTL_EXIT_USAGE, "apply takes -f FILE (or -f - for standard input); see picketctl help apply");
    struct ctl_document *documents;
    size_t count;
    const enum ctl_exit code = ctl_documents_read(ctl, file, &documents, &count);
    if (code) return code;
    if (ctl->options.expected_version && count > 1)
        return ctl_fail(CTL_EXIT_USAGE, "--expected-version is for one document; %s has %zu", file, count);
    struct ctl_changes changes = {0};
    return ctl_apply_all(ctl, documents, count, &changes);
}
