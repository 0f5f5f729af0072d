/* SPDX-License-Identifier: Apache-2.0
 * A line has no blanks but between its words: names and epochs are of the contract's formats, which the intake has checked.
 * The last line of an agent counts. */
#include "aggregator/intake/queue_changes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { PATH_BYTES = 520, LINE_BYTES = 512, NAME_BYTES = 64 };

struct line {
    char tenant[NAME_BYTES + 1], agent[NAME_BYTES + 1], epoch[AGENT_EPOCH_BYTES + 1], previous[AGENT_EPOCH_BYTES + 1];
    struct agent_queue_change change;
};

static bool line_read(const char *text, struct line *line) {
    struct agent_queue_change *const c = &line->change;
    int end = 0;
    if (sscanf(text, "%64s %64s %36s %36s %" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNu64 " %" SCNu32 "%n", line->tenant,
               line->agent, line->epoch, line->previous, &c->changed_ms, &c->said_ms, &c->waiting, &c->committed_since,
               &c->times, &end) != 9 ||
        text[end] != '\n' || strlen(line->epoch) != AGENT_EPOCH_BYTES || strlen(line->previous) != AGENT_EPOCH_BYTES)
        return false;
    memcpy(c->previous_epoch, line->previous, AGENT_EPOCH_BYTES);
    return c->times > 0 && c->changed_ms > 0;
}

static bool line_write(FILE *to, slice tenant, slice agent, slice epoch, const struct agent_queue_change *change) {
    return fprintf(to, "%.*s %.*s %.*s %.*s %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu32 "\n",
                   SLICE_ARG(tenant), SLICE_ARG(agent), SLICE_ARG(epoch), AGENT_EPOCH_BYTES, change->previous_epoch,
                   change->changed_ms, change->said_ms, change->waiting, change->committed_since, change->times) > 0;
}

static bool recall_lines(FILE *from, FILE *to, struct agents *agents, int64_t now_ms) {
    char text[LINE_BYTES];
    bool written = true;
    while (fgets(text, sizeof text, from)) {
        struct line line = {.tenant = ""};
        if (!line_read(text, &line) || now_ms - line.change.changed_ms >= AGENT_CHANGE_SAID_MS) continue;
        const slice tenant = slice_from_text(line.tenant), agent = slice_from_text(line.agent),
                    epoch = slice_from_text(line.epoch);
        agents_recall(agents, tenant, agent, epoch, &line.change);
        written = line_write(to, tenant, agent, epoch, &line.change) && written;
    }
    return written;
}

fault_code queue_changes_recall(const char *path, struct agents *agents, int64_t now_ms, struct fault *reterr) {
    char beside[PATH_BYTES];
    if ((size_t)snprintf(beside, sizeof beside, "%s.new", path) >= sizeof beside)
        return fault_set(reterr, FAULT_LIMIT, "'%s' is too long a path", path);
    FILE *const from = fopen(path, "re");
    if (!from && errno == ENOENT) return FAULT_NONE;
    if (!from) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "read '%s'", path);
    FILE *const to = fopen(beside, "we");
    bool written = to != NULL;
    if (to) written = recall_lines(from, to, agents, now_ms);
    if (to && fclose(to)) written = false;
    fclose(from);
    if (written && !rename(beside, path)) return FAULT_NONE;
    return fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s' anew", path);
}

fault_code queue_changes_note(const char *path, slice tenant, slice agent, slice epoch,
                              const struct agent_queue_change *change, struct fault *reterr) {
    FILE *const to = fopen(path, "ae");
    if (!to) return fault_set_errno(reterr, FAULT_SYSTEM, errno, "open '%s'", path);
    const bool full = fseek(to, 0, SEEK_END) || ftell(to) >= QUEUE_CHANGES_BYTES_MAX;
    const bool written = !full && line_write(to, tenant, agent, epoch, change);
    if (fclose(to) == 0 && written) return FAULT_NONE;
    return full ? fault_set(reterr, FAULT_LIMIT, "'%s' has its %d bytes", path, QUEUE_CHANGES_BYTES_MAX)
                : fault_set_errno(reterr, FAULT_SYSTEM, errno, "write '%s'", path);
}
