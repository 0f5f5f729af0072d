/* SPDX-License-Identifier: Apache-2.0
 * An object of a cluster as it may be shown: without what nobody reads (managedFields, the copy of itself that kubectl
 * keeps in an annotation) and without secrets. Masked are: values of environment variables and of all that is written as
 * {name, value}, with their names kept; the data of a ConfigMap; Helm values; what drivers of volumes are told; all below the
 * name of a secret but references to one; in commands what mask_command.h knows; and in every other text what mask.h does. Any thread. */
#ifndef PICKET_DIAGNOSE_OBJECT_VIEW_H
#define PICKET_DIAGNOSE_OBJECT_VIEW_H

#include "agent/diagnose/mask.h"

enum { OBJECT_VIEW_DEPTH_MAX = 48 };

struct object_view {
    const struct mask *mask;  /* may be NULL */
    const slice *shown_names; /* of environment variables whose values are shown */
    size_t shown_names_count;
    bool config_maps_shown; /* their data, masked as any text */
    struct arena *arena;    /* for texts with escapes; given back by whoever owns it */
    uint32_t masked_count;  /* added to */
    uint32_t commands;      /* the view's own: what mask_command.h knows of the object that is walked */
};

/* Appends it as JSON without blanks. FAULT_INPUT: it is not JSON, or deeper than OBJECT_VIEW_DEPTH_MAX: nothing of what
 * was appended may be shown then. */
fault_code object_view_add(struct object_view *view, slice json, struct text *out, struct fault *reterr) MUST_CHECK;
/* One text, masked, as a JSON string. */
void object_view_add_text(struct object_view *view, slice text, struct text *out);

#endif
