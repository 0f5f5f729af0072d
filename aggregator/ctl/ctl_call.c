/* SPDX-License-Identifier: Apache-2.0
 * The client is asynchronous on a loop; a command has nothing else to do, so it runs the loop until its one
 * call is done. Errors come in Connect's shape ({code, message}); each code has one sentence of advice. */
#include "aggregator/ctl/ctl_call.h"

#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "common/codec/services.h"

#include <stdio.h>

enum { ANSWER_BYTES_MAX = 64 * 1024 * 1024 };

struct waiting {
    struct ctl *ctl;
    struct text body;
    struct ctl_answer *answer;
};

static bool on_body(void *context, slice piece) {
    struct waiting *waiting = context;
    text_add(&waiting->body, piece);
    return !waiting->body.full;
}

static void on_done(void *context, const struct http_result *result) {
    struct waiting *waiting = context;
    waiting->answer->status = result->fault.code == FAULT_NONE ? result->status : 0;
    waiting->answer->fault = result->fault;
    waiting->answer->date_ms = result->date_ms;
    waiting->answer->received_ms = clock_wall_ms();
    loop_stop(waiting->ctl->loop);
}

struct ctl_answer ctl_http(struct ctl *ctl, const char *path, slice json, const char *const *headers) {
    static const char *const json_headers[] = {"Content-Type: application/json", "Connect-Protocol-Version: 1", NULL};
    struct ctl_answer answer = {.sent_ms = clock_wall_ms()};
    size_t base_size = strlen(ctl->options.url);
    while (base_size && ctl->options.url[base_size - 1] == '/') base_size--;
    const slice url = arena_format(ctl->arena, "%.*s%s", (int)base_size, ctl->options.url, path);
    if (!url.data) {
        fault_set(&answer.fault, FAULT_LIMIT, "out of memory");
        return answer;
    }
    struct waiting waiting = {.ctl = ctl, .answer = &answer, .body = text_begin(ctl->arena)};
    const struct http_request request = {
        .url = (const char *)url.data,
        .headers = headers     ? headers
                   : json.size ? json_headers
                               : NULL,
        .body = json,
        .tls = &ctl->tls,
        .auth = &ctl->auth,
        .timeout_ms = ctl->options.timeout_ms,
        .body_bytes_max = ANSWER_BYTES_MAX,
        .accept_gzip = true,
        .on_body = on_body,
        .on_done = on_done,
        .context = &waiting,
    };
    if (http_client_start(ctl->client, &request, NULL, &answer.fault)) return answer;
    loop_run(ctl->loop);
    if (answer.status && text_end(&waiting.body, "answer", &answer.body, &answer.fault)) answer.status = 0;
    return answer;
}

struct advice {
    const char *code; /* Connect's */
    enum ctl_exit exit;
    const char *text; /* NULL: the message says it all */
};

static const struct advice advices[] = {
    {"unauthenticated", CTL_EXIT_DENIED,
     "give a token that the aggregator knows, by PICKET_TOKEN or --token-file (a local one: "
     "build/local/env)"},
    {"permission_denied", CTL_EXIT_DENIED, "the token is good but its role may not do this; use one that may"},
    {"not_found", CTL_EXIT_ABSENT, "see what there is with 'picketctl get'"},
    {"already_exists", CTL_EXIT_REFUSED,
     "choose another id, or look at the one that is there with 'picketctl describe'"},
    {"invalid_argument", CTL_EXIT_REFUSED, NULL},
    {"failed_precondition", CTL_EXIT_REFUSED, "look at its present state with 'picketctl describe', then decide again"},
    {"unavailable", CTL_EXIT_REFUSED, "the aggregator is starting or overloaded; try again, or ask 'picketctl doctor'"},
    {"resource_exhausted", CTL_EXIT_REFUSED, "the aggregator's queue is full; try again in some seconds"},
    {"unimplemented", CTL_EXIT_REFUSED, "this aggregator does not have it (compare 'picketctl version' with /metrics)"},
    {"internal", CTL_EXIT_REFUSED, "its log has the whole story; please report it"},
};

enum ctl_exit ctl_explain(struct ctl *ctl, const char *what, const struct ctl_answer *answer) {
    if (answer->status == 0) {
        return ctl_fail(CTL_EXIT_UNREACHABLE,
                        "%s: no answer from %s: %s\n"
                        "  is the aggregator running there? another address: --url or PICKET_URL; its own CA: --ca or "
                        "PICKET_CA",
                        what, ctl->options.url, answer->fault.text);
    }
    slice code = {0}, message = {0};
    struct yaml_node *root = NULL;
    if (answer->body.size && answer->body.data[0] == '{' &&
        ctl_tree_read(answer->body, "answer", ctl->arena, &root, NULL) == FAULT_NONE) {
        code = ctl_tree_text(root, "code");
        message = ctl_tree_text(root, "message");
    }
    if (!code.size && answer->status == 401) code = SLICE_LIT("unauthenticated");
    if (!code.size && answer->status == 403) code = SLICE_LIT("permission_denied");
    if (!code.size)
        return ctl_fail(CTL_EXIT_REFUSED, "%s: HTTP %d without Connect's error: is %s a Picket aggregator?", what,
                        answer->status, ctl->options.url);
    const struct advice *advice = NULL;
    for (size_t i = 0; i < sizeof advices / sizeof *advices && !advice; i++)
        if (slice_equal_text(code, advices[i].code)) advice = &advices[i];
    return ctl_fail(advice ? advice->exit : CTL_EXIT_REFUSED, "%s: %.*s%s%.*s%s%s", what, SLICE_ARG(code),
                    message.size ? ": " : "", SLICE_ARG(message), advice && advice->text ? "\n  " : "",
                    advice && advice->text ? advice->text : "");
}

enum ctl_exit ctl_call(struct ctl *ctl, const char *method_path, slice request_json, slice *ret_response_json) {
    const struct method_desc *method = method_find(slice_from_text(method_path));
    if (!method) return ctl_fail(CTL_EXIT_USAGE, "%s: not a method of this picketctl's contract", method_path);
    struct fault fault = {0};
    void *request = arena_alloc(ctl->arena, message_size(method->request));
    void *response = arena_alloc(ctl->arena, message_size(method->response));
    if (!request || !response) return ctl_fail(CTL_EXIT_USAGE, "%s: out of memory", method->name);
    slice json;
    if (codec_decode_json(method->request, request_json, false, ctl->arena, request, &fault) ||
        codec_validate(method->request, request, &fault) ||
        codec_encode_json(method->request, request, false, ctl->arena, &json, &fault))
        return ctl_fail(CTL_EXIT_USAGE, "%s: %s", method->name, fault.text);
    const struct ctl_answer answer = ctl_http(ctl, method->path, json, NULL);
    if (answer.status != 200) return ctl_explain(ctl, method->name, &answer);
    if (codec_decode_json(method->response, answer.body, true, ctl->arena, response, &fault) ||
        codec_encode_json(method->response, response, false, ctl->arena, ret_response_json, &fault))
        return ctl_fail(CTL_EXIT_REFUSED, "%s: the answer is not what the contract says: %s", method->name, fault.text);
    return CTL_EXIT_OK;
}
