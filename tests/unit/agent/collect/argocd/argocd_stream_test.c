/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/collect/argocd/argocd_stream.h"
#include "tests/support/check.h"

struct heard {
    size_t events, skipped, skipped_bytes;
    char text[1024]; /* "ADDED argocd/cart Healthy Synced;" ... */
};

static void on_event(void *context, slice type, const KubeApplication *application) {
    struct heard *const heard = context;
    const size_t used = strlen(heard->text);
    heard->events++;
    snprintf(heard->text + used, sizeof heard->text - used, "%.*s %.*s/%.*s %.*s %.*s;", SLICE_ARG(type),
             SLICE_ARG(application->metadata.namespace), SLICE_ARG(application->metadata.name),
             SLICE_ARG(application->status.health.status), SLICE_ARG(application->status.sync.status));
}

static void on_skipped(void *context, size_t bytes) {
    struct heard *const heard = context;
    heard->skipped++;
    heard->skipped_bytes += bytes;
}

static struct argocd_stream *stream_of(struct heard *heard, size_t bytes_max) {
    struct argocd_stream *stream;
    struct fault fault;
    const struct argocd_stream_calls calls = {on_event, on_skipped, heard};
    CHECK_OK(argocd_stream_new(bytes_max, &calls, &stream, &fault));
    argocd_stream_begin(stream);
    return stream;
}

#define CART(type, health)                                                                                             \
    "{\"result\":{\"type\":\"" type "\",\"application\":{\"metadata\":{\"name\":\"cart\",\"namespace\":\"argocd\","    \
    "\"managedFields\":[{\"a\":{}}]},\"status\":{\"health\":{\"status\":\"" health "\"},"                              \
    "\"sync\":{\"status\":\"Synced\"}}}}}\n"

static const char bare[] = CART("ADDED", "Healthy") CART("MODIFIED", "Degraded") "\n" CART("DELETED", "");
static const char events[] = ": hello\n\ndata: " CART("ADDED", "Healthy") "\n:\n\nid: 7\r\ndata:" CART(
    "MODIFIED", "Degraded") "\ndata: " CART("DELETED", "") "\n";
static const char said[] =
    "ADDED argocd/cart Healthy Synced;MODIFIED argocd/cart Degraded Synced;DELETED argocd/cart  Synced;";

TEST(lines_are_read_wherever_they_are_cut) {
    struct fault fault;
    for (size_t piece = 1; piece < sizeof bare; piece++) {
        struct heard heard = {0};
        struct argocd_stream *const stream = stream_of(&heard, 4096);
        for (size_t at = 0; at < sizeof bare - 1; at += piece)
            CHECK_OK(argocd_stream_feed(stream, slice_first(slice_of(bare + at, sizeof bare - 1 - at), piece), &fault));
        assert_string_equal(heard.text, said);
        assert_false(argocd_stream_speaks(stream));
        argocd_stream_free(stream);
    }
}

TEST(server_sent_events_say_the_same_and_that_they_live) {
    struct fault fault;
    for (size_t piece = 1; piece < 200; piece += 7) {
        struct heard heard = {0};
        struct argocd_stream *const stream = stream_of(&heard, 4096);
        for (size_t at = 0; at < sizeof events - 1; at += piece)
            CHECK_OK(
                argocd_stream_feed(stream, slice_first(slice_of(events + at, sizeof events - 1 - at), piece), &fault));
        assert_string_equal(heard.text, said);
        assert_true(argocd_stream_speaks(stream));
        argocd_stream_begin(stream);
        assert_false(argocd_stream_speaks(stream));
        argocd_stream_free(stream);
    }
}

TEST(a_line_over_the_bound_is_passed_over_and_the_rest_goes_on) {
    struct fault fault;
    struct heard heard = {0};
    struct argocd_stream *const stream = stream_of(&heard, 1024);
    char large[5000];
    memset(large, 'x', sizeof large);
    large[sizeof large - 1] = '\n';
    for (size_t at = 0; at < sizeof large; at += 100)
        CHECK_OK(argocd_stream_feed(stream, slice_of(large + at, 100), &fault));
    CHECK_OK(argocd_stream_feed(stream, slice_of(bare, sizeof bare - 1), &fault));
    assert_int_equal(heard.skipped, 1);
    assert_int_equal(heard.skipped_bytes, sizeof large - 1);
    assert_int_equal(heard.events, 3);
    assert_true(argocd_stream_buffer_bytes(stream) <= 2048);
    argocd_stream_free(stream);
}

TEST(what_is_no_change_ends_the_stream_with_a_sentence) {
    static const struct {
        const char *line;
        fault_code code;
        const char *says;
    } cases[] = {
        {"{\"error\":{\"grpc_code\":14,\"message\":\"permission denied: token expired\"}}\n", FAULT_AGAIN,
         "token expired"},
        {"{\"result\":{\"type\":\"ADDED\"}}\n", FAULT_INPUT, "no change of an application"},
        {"{\"result\":{\"type\":\"ADDED\",\"application\":{\"metadata\":{}}}}\n", FAULT_INPUT, "no change"},
        {"<html>\n", FAULT_INPUT, "stream"},
        {"{\"result\":\n", FAULT_INPUT, "stream"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault;
        struct heard heard = {0};
        struct argocd_stream *const stream = stream_of(&heard, 4096);
        assert_int_equal(argocd_stream_feed(stream, slice_from_text(cases[i].line), &fault), cases[i].code);
        if (!strstr(fault.text, cases[i].says)) fail_msg("%s: %s", cases[i].line, fault.text);
        assert_int_equal(heard.events, 0);
        argocd_stream_free(stream);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read_wherever_they_are_cut),
        cmocka_unit_test(server_sent_events_say_the_same_and_that_they_live),
        cmocka_unit_test(a_line_over_the_bound_is_passed_over_and_the_rest_goes_on),
        cmocka_unit_test(what_is_no_change_ends_the_stream_with_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
