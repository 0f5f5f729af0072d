/* SPDX-License-Identifier: Apache-2.0
 * Lists and watches in both encodings, cut anywhere, with objects over the bound and with what is no such thing. */
#include "agent/collect/kubernetes/kube_split.h"
#include "kube_objects.h"
#include "kube_support.h"

/* What came, a line each. */
struct seen {
    const struct message_desc *desc;
    bool protobuf;
    struct arena *arena;
    char text[8192];
    size_t size, skipped, skipped_bytes, largest;
};

static void note(struct seen *seen, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct seen *seen, const char *format, ...) {
    va_list args;
    va_start(args, format);
    seen->size += (size_t)vsnprintf(seen->text + seen->size, sizeof seen->text - seen->size, format, args);
    va_end(args);
    assert_true(seen->size < sizeof seen->text);
}

static fault_code decode(const struct seen *seen, const struct message_desc *desc, slice bytes, void *ret_message,
                         struct fault *reterr) {
    return seen->protobuf ? codec_decode_protobuf_foreign(desc, bytes, seen->arena, ret_message, reterr)
                          : codec_decode_json_foreign(desc, bytes, seen->arena, ret_message, reterr);
}

static void on_object(void *context, slice type, slice bytes, size_t wire_bytes) {
    struct seen *seen = context;
    struct fault fault;
    arena_reset(seen->arena);
    if (bytes.size > seen->largest) seen->largest = bytes.size;
    if (slice_equal(type, SLICE_LIT("ERROR"))) {
        KubeStatus status;
        if (decode(seen, &KubeStatus_desc, bytes, &status, &fault)) {
            note(seen, "ERROR unreadable\n");
            return;
        }
        note(seen, "ERROR %d %.*s\n", status.code, SLICE_ARG(status.reason));
        return;
    }
    KubeObject *object = arena_alloc(seen->arena, message_size(seen->desc));
    if (decode(seen, seen->desc, bytes, object, &fault)) {
        note(seen, "%.*s unreadable\n", SLICE_ARG(type));
        return;
    }
    assert_true(wire_bytes + 64 >= bytes.size); /* commas are ours, blanks were theirs */
    note(seen, "%.*s %.*s %.*s\n", SLICE_ARG(type), SLICE_ARG(object->metadata.name),
         SLICE_ARG(object->metadata.resource_version));
}

static void on_metadata(void *context, slice bytes) {
    struct seen *seen = context;
    struct fault fault;
    KubeListMeta metadata;
    arena_reset(seen->arena);
    if (decode(seen, &KubeListMeta_desc, bytes, &metadata, &fault)) {
        note(seen, "list unreadable\n");
        return;
    }
    note(seen, "list %.*s %zu\n", SLICE_ARG(metadata.resource_version), metadata.continue_token.size);
}

static void on_skipped(void *context, slice type, slice head, size_t wire_bytes) {
    struct seen *seen = context;
    struct kube_identity identity;
    if (kube_split_identity(seen->protobuf, head, &identity))
        note(seen, "(%.*s %.*s %.*s)\n", SLICE_ARG(type), SLICE_ARG(identity.name),
             SLICE_ARG(identity.resource_version));
    seen->skipped++;
    seen->skipped_bytes += wire_bytes;
}

static fault_code run(struct seen *seen, const struct message_desc *desc, enum kube_split_form form, bool protobuf,
                      slice bytes, size_t piece_bytes, size_t object_bytes_max, struct fault *reterr) {
    struct arena *arena = arena_new(16 * 1024, 1024 * 1024);
    *seen = (struct seen){.desc = desc, .protobuf = protobuf, .arena = arena};
    const struct kube_split_calls calls = {on_object, on_metadata, on_skipped, seen};
    struct kube_split *split = kube_split_new(object_bytes_max, &calls);
    kube_split_begin(split, form, protobuf, desc);
    fault_code code = FAULT_NONE;
    for (size_t i = 0; i < bytes.size && !code; i += piece_bytes)
        code = kube_split_feed(split, slice_first(slice_from(bytes, i), piece_bytes), reterr);
    if (!code) code = kube_split_end(split, reterr);
    assert_true(kube_split_buffer_bytes(split) <= 16 * 1024 || code);
    kube_split_free(split);
    arena_free(arena);
    return code;
}

/* Whatever the pieces, the same comes out. */
static void check_all(const struct message_desc *desc, enum kube_split_form form, bool protobuf, slice bytes,
                      const char *expected) {
    static struct seen seen;
    struct fault fault;
    static const size_t pieces[] = {1, 2, 3, 7, 64, 1000, 4096, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        CHECK_OK(run(&seen, desc, form, protobuf, bytes, pieces[i], 100000, &fault));
        if (strcmp(seen.text, expected) != 0) fail_msg("in pieces of %zu:\n%s", pieces[i], seen.text);
        assert_int_equal(seen.skipped, 0);
    }
    for (size_t cut = 1; cut < bytes.size; cut += 97) { /* a body that ends too early is not taken for whole */
        const fault_code code = run(&seen, desc, form, protobuf, slice_first(bytes, cut), 50, 100000, &fault);
        if (form == KUBE_SPLIT_LIST) assert_int_equal(code, FAULT_INPUT);
        assert_true(strncmp(seen.text, expected, seen.size) == 0);
    }
}

TEST(lists_are_cut_into_items) {
    struct arena *arena = arena_new(4096, 1024 * 1024);
    const slice protobuf = kube_fixture("lists/nodelist.pb", arena), json = kube_fixture("lists/nodelist.json", arena),
                pods = kube_fixture("lists/podlist-page-1.json", arena);
    SKIP_WITHOUT(protobuf, arena)
    static struct seen seen;
    struct fault fault;
    CHECK_OK(run(&seen, &KubeNode_desc, KUBE_SPLIT_LIST, true, protobuf, 100, 100000, &fault));
    char expected[8192];
    memcpy(expected, seen.text, seen.size + 1);
    assert_non_null(strstr(expected, "list 880160 0\n edge-1 "));
    check_all(&KubeNode_desc, KUBE_SPLIT_LIST, true, protobuf, expected);
    check_all(&KubeNode_desc, KUBE_SPLIT_LIST, false, json, expected);
    CHECK_OK(run(&seen, &KubePod_desc, KUBE_SPLIT_LIST, false, pods, 100, 100000, &fault));
    assert_non_null(strstr(seen.text, "list 880160 62\n my-pod 151454\n"));
    assert_true(seen.largest < 4000);
    arena_free(arena);
}

TEST(watches_are_cut_into_events) {
    struct arena *arena = arena_new(4096, 1024 * 1024);
    const slice protobuf = kube_fixture("watch/nodes.pbstream", arena),
                json = kube_fixture("watch/nodes.pbstream.jsonl", arena),
                pods = kube_fixture("watch/pods-basic.jsonl", arena);
    SKIP_WITHOUT(protobuf, arena)
    static struct seen seen;
    struct fault fault;
    CHECK_OK(run(&seen, &KubeNode_desc, KUBE_SPLIT_WATCH, true, protobuf, 100, 100000, &fault));
    char expected[8192];
    memcpy(expected, seen.text, seen.size + 1);
    assert_non_null(strstr(expected, "ADDED edge-1 880001\n"));
    assert_non_null(strstr(expected, "ERROR 410 Expired\n"));
    check_all(&KubeNode_desc, KUBE_SPLIT_WATCH, true, protobuf, expected);
    check_all(&KubeNode_desc, KUBE_SPLIT_WATCH, false, json, expected);
    CHECK_OK(run(&seen, &KubePod_desc, KUBE_SPLIT_WATCH, false, pods, 100, 100000, &fault));
    assert_non_null(strstr(seen.text, "DELETED my-pod "));
    assert_non_null(strstr(seen.text, "BOOKMARK  "));
    arena_free(arena);
}

TEST(json_events_need_no_line_ends_and_no_order) {
    check_all(
        &KubePod_desc, KUBE_SPLIT_WATCH, false,
        SLICE_LIT(
            "{\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}},\"type\":\"ADDED\"}"
            "{\"type\":\"MODIFIED\",\"more\":[{\"object\":{}}],\"object\":{\"spec\":{\"volumes\":[{\"a\":\"}]\\\"\"}]},"
            "\"metadata\":{\"managedFields\":[[{}]],\"name\":\"b\",\"resourceVersion\":\"2\"}}}\r\n\n"
            "{ \"type\" : \"ERROR\" , \"object\" : { \"code\" : 410 , \"reason\" : \"Gone\" } } "),
        "ADDED a 1\nMODIFIED b 2\nERROR 410 Gone\n");
}

TEST(json_lists_take_their_members_in_any_order) {
    check_all(
        &KubePod_desc, KUBE_SPLIT_LIST, false,
        SLICE_LIT(
            " {\"items\" : [ {\"metadata\":{\"name\":\"a\"}} , {\"metadata\":{\"na\\u006de\":\"x\",\"name\":\"b\"}}]"
            ",\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\",\"continue\":\"abc\"}}\n"),
        " a \n b \nlist 9 3\n");
    check_all(&KubePod_desc, KUBE_SPLIT_LIST, false,
              SLICE_LIT("{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":null}"), "list 9 0\n");
    check_all(&KubePod_desc, KUBE_SPLIT_LIST, false,
              SLICE_LIT("{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[null,[],7,{}]}"),
              "list 9 0\n unreadable\n unreadable\n unreadable\n  \n");
}

TEST(members_that_nobody_reads_are_not_kept) {
    static char big[300 * 1024];
    size_t size =
        (size_t)snprintf(big, sizeof big,
                         "{\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[{\"metadata\":{\"name\":\"shop\"},"
                         "\"status\":{\"resources\":[");
    while (size < sizeof big - 200)
        size += (size_t)snprintf(big + size, sizeof big - size, "{\"kind\":\"Service\",\"name\":\"n%zu\"},", size);
    size += (size_t)snprintf(big + size, sizeof big - size, "null],\"health\":{\"status\":\"Healthy\"}}}]}");
    static struct seen seen;
    struct fault fault;
    CHECK_OK(run(&seen, &KubeApplication_desc, KUBE_SPLIT_LIST, false, slice_of(big, size), 1000, 2000, &fault));
    assert_string_equal(seen.text, "list 9 0\n shop \n");
    assert_true(seen.largest < 100);
}

/* A pod whose name has so many bytes. */
static size_t pod_write(bool event, char *ret_bytes, size_t name_bytes) {
    char *at = ret_bytes;
    at += snprintf(at, 64, "%s{\"metadata\":{\"name\":\"", event ? "{\"type\":\"ADDED\",\"object\":" : "");
    memset(at, 'x', name_bytes);
    at += name_bytes;
    at += snprintf(at, 8, "\"}}%s", event ? "}" : "");
    return (size_t)(at - ret_bytes);
}

static void check_identity(bool protobuf, slice head, const char *expected) {
    struct kube_identity seen;
    char text[600] = "none";
    if (kube_split_identity(protobuf, head, &seen))
        snprintf(text, sizeof text, "%.*s/%.*s %.*s %.*s", SLICE_ARG(seen.namespace), SLICE_ARG(seen.name),
                 SLICE_ARG(seen.uid), SLICE_ARG(seen.resource_version));
    assert_string_equal(text, expected);
}

TEST(of_an_object_that_is_cut_off_its_name_is_read) {
    check_identity(
        false,
        SLICE_LIT(
            "{\"spec\":{\"metadata\":{\"name\":\"no\"},\"name\":\"no\"},\"metadata\":{\"annotations\":{\"name\":"
            "\"no\",\"a\":\"\\\"name\\\":\"},\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":"
            "\"7\",\"labels\":{\"x\":\"y"),
        "n/p u 7");
    check_identity(false, SLICE_LIT("{\"metadata\":{\"name\":\"p\"},\"name\":\"no\",\"spec\":["), "/p  ");
    check_identity(false, SLICE_LIT("{\"metadata\":{\"namespace\":\"n\",\"name\":\"cut"), "none");
    check_identity(false, SLICE_LIT("{\"metadata\":{\"name\":\"a b\"}"), "none");
    check_identity(false, SLICE_LIT("{\"metadata\":{\"name\":{\"name\":\"no\"}}"), "none");
    check_identity(false, (slice){0}, "none");
    check_identity(true, (slice){0}, "none");
    check_identity(true,
                   SLICE_LIT("\x0a\xff\x01\x0a\x01p\x1a\x01n\x2a\x01u\x32\x01"
                             "7\x5a\x70"),
                   "n/p u 7");
    check_identity(true,
                   SLICE_LIT("\x0a\xff\x01\x0a\x08"
                             "cut"),
                   "none");
    check_identity(true, SLICE_LIT("\x0a\xff\x01\x08\x01\x0a\x01p\x1a\x05n"), "/p  ");
    check_identity(true, SLICE_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "none");
}

TEST(objects_over_the_bound_are_skipped_and_the_rest_goes_on) {
    static char text[64 * 1024];
    static struct seen seen;
    struct fault fault;
    size_t size = 0;
    static const size_t names[] = {1, 5000, 2, 15000, 3};
    for (size_t i = 0; i < 5; i++) size += pod_write(true, text + size, names[i]);
    CHECK_OK(run(&seen, &KubePod_desc, KUBE_SPLIT_WATCH, false, slice_of(text, size), 100, 4000, &fault));
    assert_string_equal(seen.text, "ADDED x \nADDED xx \nADDED xxx \n");
    assert_int_equal(seen.skipped, 2);
    assert_in_range(seen.skipped_bytes, 20000, 20200);

    size = (size_t)snprintf(text, 32, "{\"items\":[");
    for (size_t i = 0; i < 5; i++) {
        if (i) text[size++] = ',';
        size += pod_write(false, text + size, names[i]);
    }
    size += (size_t)snprintf(text + size, 64, "],\"metadata\":{\"resourceVersion\":\"4\"}}");
    CHECK_OK(run(&seen, &KubePod_desc, KUBE_SPLIT_LIST, false, slice_of(text, size), 1, 4000, &fault));
    assert_string_equal(seen.text, " x \n xx \n xxx \nlist 4 0\n");
    assert_int_equal(seen.skipped, 2);

    struct arena *arena = arena_new(4096, 1024 * 1024);
    const slice list = kube_fixture("lists/nodelist.pb", arena), watch = kube_fixture("watch/nodes.pbstream", arena);
    SKIP_WITHOUT(list, arena)
    for (size_t pieces = 1; pieces < 5000; pieces *= 3) {
        CHECK_OK(run(&seen, &KubeNode_desc, KUBE_SPLIT_LIST, true, list, pieces, 600, &fault));
        assert_true(slice_starts_with(slice_from_text(seen.text), SLICE_LIT("list 880160 0\n( edge-1 ")));
        assert_null(strstr(seen.text, "\n edge-1")); /* by its name, and no more */
        assert_true(seen.skipped >= 3);
        CHECK_OK(run(&seen, &KubeNode_desc, KUBE_SPLIT_WATCH, true, watch, pieces, 10, &fault));
        assert_null(strstr(seen.text, "\nADDED"));
        assert_true(slice_starts_with(slice_from_text(seen.text), SLICE_LIT("(ADDED edge-")));
        assert_non_null(strstr(seen.text, "ERROR 410"));
        assert_int_equal(seen.skipped, 2);
    }
    arena_free(arena);
}

TEST(what_is_neither_list_nor_watch_is_refused) {
    static struct seen seen;
    struct fault fault;
    static const char *const texts[] = {
        "[]",
        "7",
        "{]",
        "<html>",
        "{\"items\":[}",
        "{\"items\" 7}",
        "{\"items\":[{} {}]}",
        "{} {}",
        "{\"items\":}",
        "{\"items\":[{\"metadata\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (run(&seen, &KubePod_desc, KUBE_SPLIT_LIST, false, slice_from_text(texts[i]), 3, 4000, &fault) !=
            FAULT_INPUT)
            fail_msg("'%s' is taken", texts[i]);
    static const struct {
        enum kube_split_form form;
        slice bytes;
    } bodies[] = {
        {KUBE_SPLIT_LIST, SLICE_LIT("k8x\0")},
        {KUBE_SPLIT_LIST, SLICE_LIT("k8s\0\x00")},
        {KUBE_SPLIT_LIST, SLICE_LIT("k8s\0\x13")},
        {KUBE_SPLIT_LIST, SLICE_LIT("k8s\0\x12\x02\x12\x05zzzzz")},
        {KUBE_SPLIT_LIST, SLICE_LIT("k8s\0\x12\x02\x11zzzzzzzz")},
        {KUBE_SPLIT_LIST, SLICE_LIT("k8s\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")},
        {KUBE_SPLIT_LIST, SLICE_LIT("k8s\0\x0a\x00")},
        {KUBE_SPLIT_WATCH, SLICE_LIT("\xff\xff\xff\xff")},
        {KUBE_SPLIT_WATCH, SLICE_LIT("\0\0\0\x05xx")},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (run(&seen, &KubePod_desc, bodies[i].form, true, bodies[i].bytes, 2, 4000, &fault) != FAULT_INPUT)
            fail_msg("body %zu is taken", i);
    CHECK_OK(run(&seen, &KubePod_desc, KUBE_SPLIT_WATCH, true, SLICE_LIT("\0\0\0\x03zzz\0\0\0\0"), 2, 4000, &fault));
    assert_string_equal(seen.text, "BROKEN unreadable\n");
    /* An event without an object, and one whose object is nothing. */
    CHECK_OK(run(&seen, &KubePod_desc, KUBE_SPLIT_WATCH, true, SLICE_LIT("\0\0\0\x03\x0a\x01X\0\0\0\x02\x12\0"), 2,
                 4000, &fault));
    assert_string_equal(seen.text, "BROKEN unreadable\nBROKEN  \n");
}

TEST(very_long_text_is_cut_at_a_whole_character) {
    static const char *const units[] = {"x",     "\xC3\xA9", "\\u00e9.",         "\\ud83d\\ude00 ",
                                        "\\\\a", "\\\"b",    "\xF0\x9F\x98\x80z"};
    static char text[80 * 1024];
    static struct seen seen;
    struct fault fault;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (size_t shift = 0; shift < 14; shift++) {
            size_t size = (size_t)snprintf(text, 200,
                                           "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"},\"status\":"
                                           "{\"message\":\"%.*s",
                                           (int)shift, "..............");
            while (size < 40000) {
                memcpy(text + size, units[i], strlen(units[i]));
                size += strlen(units[i]);
            }
            size += (size_t)snprintf(text + size, 64, "\",\"reason\":\"b\"}}}");
            CHECK_OK(run(&seen, &KubePod_desc, KUBE_SPLIT_WATCH, false, slice_of(text, size), 1 + shift * 777, 50000,
                         &fault));
            assert_string_equal(seen.text, "ADDED a \n");
            if (i != 1) assert_in_range(seen.largest, 16384, 16600); /* é alone is never before a plain letter */
        }
}

/* Anything may come; nothing may be read or written beside what is ours (the sanitizers say). */
TEST(no_bytes_break_it) {
    uint64_t seed = check_seed();
    struct arena *arena = arena_new(4096, 4 * 1024 * 1024);
    static const char *const names[] = {"lists/nodelist.pb", "lists/nodelist.json", "watch/nodes.pbstream",
                                        "watch/nodes.pbstream.jsonl"};
    slice bodies[4];
    for (size_t i = 0; i < 4; i++) bodies[i] = kube_fixture(names[i], arena);
    SKIP_WITHOUT(bodies[0], arena)
    static struct seen seen;
    struct fault fault;
    for (size_t i = 0; i < 400; i++) {
        static uint8_t copy[16 * 1024];
        const size_t which = i % 4;
        memcpy(copy, bodies[which].data, bodies[which].size);
        for (size_t j = 0; j < 1 + check_random(&seed) % 6; j++)
            copy[check_random(&seed) % bodies[which].size] = (uint8_t)check_random(&seed);
        const size_t cut = check_random(&seed) % bodies[which].size;
        (void)run(&seen, &KubeNode_desc, which < 2 ? KUBE_SPLIT_LIST : KUBE_SPLIT_WATCH, which % 2 == 0,
                  slice_of(copy, bodies[which].size - cut / 2), 1 + check_random(&seed) % 300, 2000, &fault);
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_cut_into_items),
        cmocka_unit_test(watches_are_cut_into_events),
        cmocka_unit_test(json_events_need_no_line_ends_and_no_order),
        cmocka_unit_test(json_lists_take_their_members_in_any_order),
        cmocka_unit_test(members_that_nobody_reads_are_not_kept),
        cmocka_unit_test(of_an_object_that_is_cut_off_its_name_is_read),
        cmocka_unit_test(objects_over_the_bound_are_skipped_and_the_rest_goes_on),
        cmocka_unit_test(what_is_neither_list_nor_watch_is_refused),
        cmocka_unit_test(very_long_text_is_cut_at_a_whole_character),
        cmocka_unit_test(no_bytes_break_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
