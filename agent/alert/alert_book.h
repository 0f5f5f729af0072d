/* SPDX-License-Identifier: Apache-2.0
 * What is known of each SLO's alerts, in memory and as bytes. For edge_alerts.c and alert_book.c alone. */
#ifndef PICKET_ALERT_ALERT_BOOK_H
#define PICKET_ALERT_ALERT_BOOK_H

#include "agent/alert/burn.h"
#include "common/base/arena.h"

enum { ALERTS_PER_SLO = BURN_RULES_MAX + 1, ALERT_UNSEEN = BURN_RULES_MAX };

/* What is to be stored in the queue. */
enum alert_pending { ALERT_NOTHING, ALERT_REPEAT, ALERT_CHANGE };

/* One alert of one SLO. */
struct alert_one {
    bool firing;
    enum alert_pending pending;
    bool told_firing, told_end; /* to the webhook, of this firing */
    bool tell_end;              /* it may know of this firing, so it is told the end */
    uint32_t stream;            /* where the last change went; 0: nowhere yet */
    uint64_t sequence;
    int64_t starts_ms, ends_ms; /* starts 0: at rest; ends 0: it fires */
    int64_t observed_ms;        /* as last stored */
    /* Of this process alone. */
    int64_t changed_ms;  /* monotonic, of the last change */
    int64_t next_try_ms; /* monotonic */
    uint32_t tries;      /* of the webhook, for the last change, that failed */
    struct burn_rates rates;
};

/* What is to be watched. */
struct alert_watch {
    slice slo_id;
    double objective_percent;
};

struct alert_slo {
    slice slo_id; /* in the block of the book */
    double objective_percent;
    int64_t since_ms; /* since when it is watched */
    struct burn_history history;
    struct alert_one alerts[ALERTS_PER_SLO];
};

struct alert_book {
    struct burn_rule rules_items[BURN_RULES_MAX];
    struct burn_rules rules;
    struct alert_slo *slos; /* by slo_id */
    size_t count, memory_bytes;
    void *block;
};

/* Borrows the rules' names, copies the ids. FAULT_LIMIT: no memory, and nothing changed. */
fault_code alert_book_new(const struct burn_rule *rules, size_t rules_count, const struct alert_watch *watched,
                          size_t count, int64_t now_ms, struct alert_book *ret_book, struct fault *reterr) MUST_CHECK;
void alert_book_free(struct alert_book *book);
/* NULL: it is not watched. */
struct alert_slo *alert_book_find(const struct alert_book *book, slice slo_id);
slice alert_book_rule_name(const struct alert_book *book, size_t alert);
/* What the old book knows of SLOs and rules that the new one has. */
void alert_book_take_over(struct alert_book *book, const struct alert_book *old);

/* The alerts that are not at rest; in the arena. */
fault_code alert_book_encode_alerts(const struct alert_book *book, struct arena *arena, slice *ret_bytes,
                                    struct fault *reterr) MUST_CHECK;
fault_code alert_book_encode_history(const struct alert_book *book, struct arena *arena, slice *ret_bytes,
                                     struct fault *reterr) MUST_CHECK;
/* What fits the book is taken, the rest passed over. FAULT_CORRUPT: no such bytes; what came before was taken. */
fault_code alert_book_decode_alerts(struct alert_book *book, slice bytes, struct fault *reterr) MUST_CHECK;
fault_code alert_book_decode_history(struct alert_book *book, slice bytes, struct fault *reterr) MUST_CHECK;

#endif
