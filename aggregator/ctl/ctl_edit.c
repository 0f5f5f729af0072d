/* SPDX-License-Identifier: Apache-2.0
 * edit: what get prints into a file, the user's editor on it, and apply of what the editor left, at the version that was
 * read. A text that was not taken is never thrown away: the file stays, and its name is said. An editor is a line for
 * the shell, as everywhere ("code --wait"). */
#include "aggregator/ctl/ctl_documents.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_BYTES = 512, LINE_BYTES = 1024 };

static const char *editor_line(void) {
    static const char *const names[] = {"VISUAL", "EDITOR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *line = getenv(names[i]);
        if (line && *line) return line;
    }
    return "vi";
}

static enum ctl_exit file_make(slice text, char path[PATH_BYTES]) {
    const char *folder = getenv("TMPDIR");
    const int size = snprintf(path, PATH_BYTES, "%s/picketctl-XXXXXX.yaml", folder && *folder ? folder : "/tmp");
    const int fd = size < PATH_BYTES ? mkstemps(path, sizeof ".yaml" - 1) : -1;
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file)
        return ctl_fail(CTL_EXIT_USAGE, "make a file under %s to edit: %s", folder ? folder : "/tmp", strerror(errno));
    const bool written = fwrite(text.data, 1, text.size, file) == text.size;
    if (fclose(file) == 0 && written) return CTL_EXIT_OK;
    (void)unlink(path);
    return ctl_fail(CTL_EXIT_USAGE, "write '%s': %s", path, strerror(errno));
}

static enum ctl_exit editor_run(const char *path) {
    char line[LINE_BYTES];
    int status;
    if (snprintf(line, sizeof line, "%s \"$1\"", editor_line()) >= (int)sizeof line)
        return ctl_fail(CTL_EXIT_USAGE, "the editor's command line has over %zu characters", sizeof line - 8);
    const pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line, "picketctl-edit", path, (char *)NULL);
        _exit(127);
    }
    if (child < 0) return ctl_fail(CTL_EXIT_USAGE, "start an editor: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return ctl_fail(CTL_EXIT_USAGE, "wait for the editor: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return CTL_EXIT_OK;
    return ctl_fail(CTL_EXIT_USAGE, "the editor '%s' ended with %s %d, nothing was sent (EDITOR names another one)",
                    editor_line(), WIFEXITED(status) ? "status" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* What the editor left, as the one document that it was made from. */
static enum ctl_exit apply_file(struct ctl *ctl, const char *path, const struct ctl_kind *kind, const char *id,
                                int64_t version) {
    struct ctl_document *documents;
    size_t count;
    struct ctl_changes changes = {0};
    const enum ctl_exit code = ctl_documents_read(ctl, path, &documents, &count);
    if (code) return code;
    if (count != 1 || documents[0].kind != kind || !slice_equal_text(documents[0].id, id))
        return ctl_fail(CTL_EXIT_USAGE, "the file is to hold %s '%s' and nothing else, nothing was sent", kind->kind,
                        id);
    if (!documents[0].version) documents[0].version = version;
    return ctl_apply_all(ctl, documents, count, &changes);
}

static enum ctl_exit edit_object(struct ctl *ctl, const struct ctl_kind *kind, const char *id,
                                 const struct yaml_node *object) {
    struct text text = text_begin(ctl->arena);
    char path[PATH_BYTES];
    slice before, after;
    struct fault fault;
    const slice version = ctl_tree_text(object, "version");
    text_format(
        &text,
        "# Change it, save it and leave the editor: it is applied at version %.*s. Unchanged: nothing is sent.\n"
        "# What the aggregator keeps by itself (versions, times, budgets) is passed over.\n",
        SLICE_ARG(version));
    ctl_object_add_yaml(&text, ctl_resource_find(kind->resource), object);
    if (text_end(&text, "object", &before, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    enum ctl_exit code = file_make(before, path);
    if (code) return code;
    code = editor_run(path);
    if (ctl_file_read(ctl->arena, path, &after, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    const bool same = slice_equal(before, after);
    if (!code && same) printf("%s %s unchanged: nothing was edited\n", kind->kind, id);
    if (!code && !same) code = apply_file(ctl, path, kind, id, strtoll((const char *)version.data, NULL, 10));
    if (code && !same)
        fprintf(stderr, "picketctl: what you wrote is kept: picketctl apply -f %s\n", path);
    else
        (void)unlink(path);
    return code;
}

enum ctl_exit ctl_edit(struct ctl *ctl) {
    const struct ctl_options *options = &ctl->options;
    if (options->words_count != 3)
        return ctl_fail(CTL_EXIT_USAGE,
                        "edit what? picketctl edit RESOURCE ID, as in picketctl edit slo checkout-availability");
    const struct ctl_resource *resource = ctl_resource_find(options->words[1]);
    if (!resource) return ctl_fail(CTL_EXIT_USAGE, "unknown resource '%s'; see picketctl get", options->words[1]);
    const struct ctl_kind *kind = ctl_kind_of(resource);
    if (!kind || !kind->update_path || !kind->resource)
        return ctl_fail(CTL_EXIT_USAGE, "%s are not edited as a whole, but by verbs; see picketctl --help",
                        resource->name);
    const struct yaml_node *object;
    const enum ctl_exit code = ctl_get_one(ctl, resource, options->words[2], false, &object);
    return code ? code : edit_object(ctl, kind, options->words[2], object);
}
