/* SPDX-License-Identifier: Apache-2.0
 * What picketctl can show and create, as rows: commands, completion, help and the reference come from them. A
 * new resource is a row here, its columns, and nothing else. */
#ifndef PICKET_CTL_CTL_RESOURCES_H
#define PICKET_CTL_CTL_RESOURCES_H

#include "common/base/slice.h"

enum ctl_format {
    CTL_FORMAT_TEXT,
    CTL_FORMAT_ENUM,    /* without the type's prefix, in small letters */
    CTL_FORMAT_AGE,     /* a timestamp as "12s ago" */
    CTL_FORMAT_TIME,    /* a timestamp as 2026-01-31 09:30:00Z */
    CTL_FORMAT_NUMBER,  /* to the right */
    CTL_FORMAT_REAL,    /* likewise, four digits */
    CTL_FORMAT_PERCENT, /* a number with % */
    CTL_FORMAT_RATIO,   /* 0..1 as percent; "-" while the total beside it is 0 */
    CTL_FORMAT_BUDGET,  /* percent, or "unknown" where nothing has been measured */
    CTL_FORMAT_SEEN,    /* scrapesSeen/scrapesExpected */
    CTL_FORMAT_STATE,   /* "unknown" where unknown is true, else "ok" */
    CTL_FORMAT_YES,     /* "yes" or "no" */
    CTL_FORMAT_LIST,    /* texts, by commas */
    CTL_FORMAT_SIZE,    /* of a list, how many; to the right */
    CTL_FORMAT_UNTIL,   /* a timestamp: "2026-01-31 09:30:00Z", or "OVER since" it */
    CTL_FORMAT_ENDS,    /* of a certificate, its notAfter as TIME; whether that is over, or its error is a renewal's */
    CTL_FORMAT_KIND,    /* the name of the object's own oneof: what a fact says */
};

struct ctl_column {
    const char *title; /* NULL ends the list */
    const char *path;  /* in the item, JSON names; "^agent": in the object that holds the list */
    enum ctl_format format;
};

struct ctl_resource {
    const char *name;          /* plural: "slos" */
    const char *one;           /* of it: "slo"; also understood */
    const char *aliases;       /* further names; may be empty */
    const char *list_path;     /* method's path; NULL: cannot be listed, only got */
    const char *list_items;    /* where the items are in the answer; "series.points": points of each of series */
    const char *list_parent;   /* request field that the argument fills ("sloId"); NULL: the argument is an id to get */
    bool list_by_sequence;     /* paged by afterSequence and limit (facts) instead of by token */
    bool list_pages;           /* paged by pageToken */
    bool list_by_time;         /* takes from and to */
    const char *get_path;      /* NULL: only listed */
    const char *get_field;     /* request field of the id */
    const char *get_item;      /* where the object is in the answer */
    const char *describe_also; /* resource shown below a description, listed by the same id; NULL: none */
    const char *fact_types;    /* aggregate types whose facts change it, "slo"; for watch */
    const struct ctl_column *columns;
    const struct ctl_column *wide; /* further ones for -o wide; NULL: none */
    const char *help;
};
extern const struct ctl_resource ctl_resources[];
extern const size_t ctl_resources_count;
/* By name or alias; NULL when there is none. */
const struct ctl_resource *ctl_resource_find(const char *name);

struct ctl_kind {
    const char *kind;        /* as in `kind: SLO` */
    const char *path;        /* method that creates; its request holds the object in `command` */
    const char *update_path; /* method that replaces it as a whole; NULL: it is changed by verbs only */
    const char *resource;    /* ctl_resources' name, to read it by its id; NULL: it is not read before it is sent */
    const char *id_field;    /* JSON name of its id; NULL: it has none that is given */
    const char *needs;       /* field that names others, which must be there before; NULL: none */
    bool repeats;            /* creating what is there is an observation more, not an error */
    const char *example;     /* a document that can be created */
};
extern const struct ctl_kind ctl_kinds[];
extern const size_t ctl_kinds_count;
/* Of a resource's objects; NULL when they are of no kind that can be created. */
const struct ctl_kind *ctl_kind_of(const struct ctl_resource *resource);
const struct ctl_kind *ctl_kind_find(slice kind);

#endif
