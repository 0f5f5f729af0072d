/* SPDX-License-Identifier: Apache-2.0
 * One request and its answer, waited for. */
#ifndef PICKET_CTL_CTL_CALL_H
#define PICKET_CTL_CTL_CALL_H

#include "aggregator/ctl/ctl.h"

struct ctl_answer {
    int status;                   /* 0: none came */
    struct fault fault;           /* why none came */
    slice body;                   /* in ctl's arena */
    int64_t date_ms;              /* the server's clock, from its Date header; 0: it gave none */
    int64_t sent_ms, received_ms; /* ours, wall clock */
};

/* GET (body empty) or POST of JSON; path begins with /. headers: NULL-terminated, may be NULL. */
struct ctl_answer ctl_http(struct ctl *ctl, const char *path, slice json, const char *const *headers);

/* Calls a method of the contract: the JSON request is decoded, checked and encoded by the contract's tables
 * before it goes out, and the answer after it came. On failure prints what failed and what to do, and returns
 * the exit code. */
enum ctl_exit ctl_call(struct ctl *ctl, const char *method_path, slice request_json, slice *ret_response_json);

/* Likewise for a method that changes something, with --idempotency-key (behind it "/<part>" when part is not 0: a file
 * of several commands has one key for each). With --dry-run prints the request, sends nothing, and answers {}. */
enum ctl_exit ctl_command(struct ctl *ctl, const char *method_path, slice request_json, size_t part,
                          slice *ret_response_json);

/* As ctl_call, but what does not exist is no error: *ret_response_json is empty then. */
enum ctl_exit ctl_call_or_absent(struct ctl *ctl, const char *method_path, slice request_json,
                                 slice *ret_response_json);

/* Prints why an answer was not one of success, with advice; returns its exit code. what: the method or path.
 */
enum ctl_exit ctl_explain(struct ctl *ctl, const char *what, const struct ctl_answer *answer);

#endif
