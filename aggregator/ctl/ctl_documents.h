/* SPDX-License-Identifier: Apache-2.0
 * Documents: what a file says there should be, each with its kind, checked by the contract. create sends them, apply and
 * import make the aggregator hold them. */
#ifndef PICKET_CTL_CTL_DOCUMENTS_H
#define PICKET_CTL_CTL_DOCUMENTS_H

#include "aggregator/ctl/ctl.h"

struct ctl_document {
    const struct ctl_kind *kind;
    const char *file; /* where it stands, for messages */
    int line;
    slice command; /* canonical JSON of the kind's creating command */
    slice
        command_before; /* likewise, without what may not exist yet; empty: its kind needs nothing. See ctl_apply_all */
    slice id;           /* empty: the aggregator makes one */
    int64_t version;    /* the one that was read; 0: not said */
    bool only_create;   /* what is there already is left as it is */
};

/* At most 16 MiB; "-" is standard input. */
fault_code ctl_file_read(struct arena *arena, const char *path, slice *ret_bytes, struct fault *reterr) MUST_CHECK;

/* Prints every mistake of the file; CTL_EXIT_USAGE when there is one. */
enum ctl_exit ctl_documents_read(struct ctl *ctl, const char *file, struct ctl_document **ret_documents,
                                 size_t *ret_count);
/* Has the contract check `command`, writes it anew in its form, and finds the id. FAULT_INPUT names the field. */
fault_code ctl_document_check(struct ctl_document *document, struct arena *arena, struct fault *reterr) MUST_CHECK;
/* {"command":...}, with the version that is expected (0: any). data is NULL when memory is out. */
slice ctl_document_request(slice command, int64_t version, struct arena *arena);

enum ctl_change { CTL_CHANGE_CREATED, CTL_CHANGE_CONFIGURED, CTL_CHANGE_UNCHANGED, CTL_CHANGE_FAILED, CTL_CHANGE_MAX_ };
struct ctl_changes {
    size_t counts[CTL_CHANGE_MAX_];
    const char *failed_word; /* begins the line on each that failed, as import's notes have it; NULL: "  of" */
};
/* Makes each of them be: what does not exist is created, what differs is replaced at the version that was read, and what
 * is so already is left alone. Documents that need one another (command_before) are created without their needs first,
 * so that neither order nor cycles matter. Prints one line on each. Returns the worst exit code. */
enum ctl_exit ctl_apply_all(struct ctl *ctl, struct ctl_document *documents, size_t count, struct ctl_changes *changes);

#endif
