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
    {"permission_denied", CTL_EXIT_DENIED,
     "the token is good but may not do this: it takes another role ('picketctl roles'), or another person"},
    {"not_found", CTL_EXIT_ABSENT, "see what there is with 'picketctl get'"},
    {"already_exists", CTL_EXIT_REFUSED,
     "choose another id, or look at the one that is there with 'picketctl describe' (to change it: 'picketctl edit' or "
     "'apply')"},
    {"invalid_argument", CTL_EXIT_REFUSED, NULL},
    {"failed_precondition", CTL_EXIT_REFUSED, "look at its present state with 'picketctl describe', then decide again"},
    {"unavailable", CTL_EXIT_REFUSED,
     "it is starting, overloaded, or what it needs is away (the broker, the agent): ask 'picketctl doctor', try again"},
    {"resource_exhausted", CTL_EXIT_REFUSED,
     "a bound is reached: one of a rate passes, try again in some seconds; any other is final, ask for less"},
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

/* Decoded, checked and written again, so that what goes out is the contract's. */
static enum ctl_exit canonical(struct ctl *ctl, const char *path, slice json, const struct method_desc **ret_method,
                               slice *ret_json) {
    const struct method_desc *method = method_find(slice_from_text(path));
    if (!method) return ctl_fail(CTL_EXIT_USAGE, "%s: not a method of this picketctl's contract", path);
    struct fault fault = {0};
    void *request = arena_alloc(ctl->arena, message_size(method->request));
    if (!request) return ctl_fail(CTL_EXIT_USAGE, "%s: out of memory", method->name);
    if (codec_decode_json(method->request, json, false, ctl->arena, request, &fault) ||
        codec_validate(method->request, request, &fault) ||
        codec_encode_json(method->request, request, false, ctl->arena, ret_json, &fault))
        return ctl_fail(CTL_EXIT_USAGE, "%s: %s", method->name,
                        strncmp(fault.text, "command.", 8) == 0 ? fault.text + 8 : fault.text);
    *ret_method = method;
    return CTL_EXIT_OK;
}

static bool is_absent(struct ctl *ctl, const struct ctl_answer *answer) {
    struct yaml_node *root = NULL;
    return answer->status == 404 && answer->body.size && answer->body.data[0] == '{' &&
           ctl_tree_read(answer->body, "answer", ctl->arena, &root, NULL) == FAULT_NONE &&
           slice_equal_text(ctl_tree_text(root, "code"), "not_found");
}

static enum ctl_exit call(struct ctl *ctl, const struct method_desc *method, slice json, const char *const *headers,
                          bool absent_is_fine, slice *ret_response_json) {
    struct fault fault = {0};
    void *response = arena_alloc(ctl->arena, message_size(method->response));
    if (!response) return ctl_fail(CTL_EXIT_USAGE, "%s: out of memory", method->name);
    const struct ctl_answer answer = ctl_http(ctl, method->path, json, headers);
    if (absent_is_fine && is_absent(ctl, &answer)) {
        *ret_response_json = (slice){0};
        return CTL_EXIT_OK;
    }
    if (answer.status != 200) return ctl_explain(ctl, method->name, &answer);
    if (codec_decode_json(method->response, answer.body, true, ctl->arena, response, &fault) ||
        codec_encode_json(method->response, response, false, ctl->arena, ret_response_json, &fault))
        return ctl_fail(CTL_EXIT_REFUSED, "%s: the answer is not what the contract says: %s", method->name, fault.text);
    return CTL_EXIT_OK;
}

enum ctl_exit ctl_call(struct ctl *ctl, const char *method_path, slice request_json, slice *ret_response_json) {
    const struct method_desc *method;
    slice json;
    const enum ctl_exit code = canonical(ctl, method_path, request_json, &method, &json);
    return code ? code : call(ctl, method, json, NULL, false, ret_response_json);
}

enum ctl_exit ctl_call_or_absent(struct ctl *ctl, const char *method_path, slice request_json,
                                 slice *ret_response_json) {
    const struct method_desc *method;
    slice json;
    const enum ctl_exit code = canonical(ctl, method_path, request_json, &method, &json);
    return code ? code : call(ctl, method, json, NULL, true, ret_response_json);
}

static enum ctl_exit print_request(struct ctl *ctl, const struct method_desc *method, slice json, const char *key) {
    struct yaml_node *root = NULL;
    struct fault fault;
    if (ctl_tree_read(json, "request", ctl->arena, &root, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    struct text text = text_begin(ctl->arena);
    if (ctl->options.output == CTL_OUTPUT_JSON) {
        text_format(&text, "{\n  \"method\": \"%s\",\n", method->path);
        if (key) text_format(&text, "  \"idempotencyKey\": \"%s\",\n", key);
        text_add_text(&text, "  \"request\": ");
        ctl_tree_add_json(&text, root, NULL, 2);
        text_add_text(&text, "\n}\n");
    } else {
        text_format(&text, "---\n# POST %s\n", method->path);
        if (key) text_format(&text, "# Idempotency-Key: %s\n", key);
        ctl_tree_add_yaml(&text, root, 0);
    }
    slice page;
    if (text_end(&text, "request", &page, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    fwrite(page.data, 1, page.size, stdout);
    return CTL_EXIT_OK;
}

enum ctl_exit ctl_command(struct ctl *ctl, const char *method_path, slice request_json, size_t part,
                          slice *ret_response_json) {
    const struct method_desc *method;
    slice json;
    const enum ctl_exit code = canonical(ctl, method_path, request_json, &method, &json);
    if (code) return code;
    const char *key = ctl->options.idempotency_key;
    if (key && part) key = (const char *)arena_format(ctl->arena, "%s/%zu", key, part).data;
    const slice header = key ? arena_format(ctl->arena, "Idempotency-Key: %s", key) : (slice){0};
    if (ctl->options.idempotency_key && !header.data) return ctl_fail(CTL_EXIT_USAGE, "out of memory");
    if (ctl->options.dry_run) {
        *ret_response_json = SLICE_LIT("{}");
        return print_request(ctl, method, json, key);
    }
    const char *const headers[] = {"Content-Type: application/json", "Connect-Protocol-Version: 1",
                                   (const char *)header.data, NULL};
    return call(ctl, method, json, headers, false, ret_response_json);
}
