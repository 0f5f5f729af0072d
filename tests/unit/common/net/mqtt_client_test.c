/* SPDX-License-Identifier: Apache-2.0
 * The MQTT client against a real Mosquitto with TLS and client certificates, and against mqtt_test_broker.py for
 * what Mosquitto does not do on request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/net/mqtt_client.h"
#include "net_support.h"

static const char mosquitto[] = "/usr/sbin/mosquitto";
static const char python[] = "/usr/bin/python3";

enum { TOKENS_MAX = 1024 };

/* One client and what it was told. */
struct subject {
    struct mqtt_client *client;
    bool connected, disconnected, got_message, all_published;
    unsigned connects, disconnects, messages, published, failed;
    unsigned published_want, per_token[TOKENS_MAX];
    struct fault reason, publish_fault;
    char topic[128], payload[256], content_type[64], properties[256];
    bool retained;
    unsigned block_first_ms, messages_want;
    uint64_t next_number;
};

struct bench {
    struct net_folder folder;
    struct loop *loop;
    struct net_child broker, odd_broker;
    struct subject subjects[3];
    int port, plain_port, odd_port;
};

static void told_connected(void *context, bool session_present) {
    struct subject *subject = context;
    subject->connected = true;
    subject->disconnected = false;
    subject->connects++;
}

static void told_disconnected(void *context, const struct fault *reason) {
    struct subject *subject = context;
    subject->connected = false;
    subject->disconnected = true;
    subject->disconnects++;
    subject->reason = *reason;
}

static void told_message(void *context, const struct mqtt_message *message) {
    struct subject *subject = context;
    subject->messages++;
    snprintf(subject->topic, sizeof subject->topic, "%.*s", SLICE_ARG(message->topic));
    snprintf(subject->payload, sizeof subject->payload, "%.*s", SLICE_ARG(slice_first(message->payload, 255)));
    snprintf(subject->content_type, sizeof subject->content_type, "%.*s", SLICE_ARG(message->content_type));
    subject->properties[0] = '\0';
    for (size_t i = 0; i < message->properties_count; i++) {
        const size_t used = strlen(subject->properties);
        snprintf(subject->properties + used, sizeof subject->properties - used, "%.*s=%.*s;",
                 SLICE_ARG(message->properties[i].name), SLICE_ARG(message->properties[i].value));
    }
    subject->retained = message->retained;
    if (subject->messages_want) {
        assert_int_equal(strtoull(subject->payload, NULL, 10), subject->next_number);
        subject->next_number++;
        if (subject->block_first_ms && subject->messages == 1) usleep(subject->block_first_ms * 1000);
    }
    subject->got_message = subject->messages >= (subject->messages_want ? subject->messages_want : 1);
}

static void told_published(void *context, uint64_t token, const struct fault *fault) {
    struct subject *subject = context;
    assert_true(token < TOKENS_MAX);
    subject->per_token[token]++;
    if (fault) {
        subject->failed++;
        subject->publish_fault = *fault;
    } else {
        subject->published++;
    }
    subject->all_published = subject->published + subject->failed >= subject->published_want;
}

static struct mqtt_settings settings_for(struct bench *bench, const char *client_id) {
    return (struct mqtt_settings){.host = "localhost",
                                  .port = (uint16_t)bench->port,
                                  .ca_path = net_path(&bench->folder, "ca.pem"),
                                  .certificate_path = net_path(&bench->folder, "client.pem"),
                                  .key_path = net_path(&bench->folder, "client.key"),
                                  .client_id = client_id,
                                  .inflight_max = 100,
                                  .inflight_bytes_max = 1 << 20,
                                  .keep_alive_ms = 30000,
                                  .connect_timeout_ms = 3000,
                                  .backoff_min_ms = 20,
                                  .backoff_max_ms = 200,
                                  .clean_start = true};
}

static struct mqtt_settings odd_settings_for(struct bench *bench, const char *client_id) {
    struct mqtt_settings settings = settings_for(bench, client_id);
    settings.host = "127.0.0.1";
    settings.port = (uint16_t)bench->odd_port;
    settings.plain_text = true;
    return settings;
}

static void begin(struct bench *bench, struct subject *subject, const struct mqtt_settings *settings) {
    const struct mqtt_callbacks callbacks = {.on_connected = told_connected,
                                             .on_disconnected = told_disconnected,
                                             .on_message = told_message,
                                             .on_published = told_published,
                                             .context = subject};
    struct fault fault = {0};
    memset(subject, 0, sizeof *subject);
    if (mqtt_client_open(bench->loop, settings, &callbacks, &subject->client, &fault) != FAULT_NONE)
        fail_msg("%s", fault.text);
}

static void begin_connected(struct bench *bench, struct subject *subject, const struct mqtt_settings *settings) {
    begin(bench, subject, settings);
    if (!net_loop_until(bench->loop, &subject->connected, 10000)) fail_msg("not connected: %s", subject->reason.text);
}

static fault_code publish(struct subject *subject, const char *topic, const char *payload, uint64_t token) {
    const struct mqtt_publication publication = {
        .topic = topic, .payload = slice_from_text(payload), .qos = 1, .token = token};
    return mqtt_client_publish(subject->client, &publication, &subject->publish_fault);
}

static void must_publish(struct subject *subject, const char *topic, const char *payload, uint64_t token) {
    if (publish(subject, topic, payload, token) != FAULT_NONE)
        fail_msg("token %d is not taken: %s", (int)token, subject->publish_fault.text);
}

static void assert_says(const struct fault *fault, fault_code code, const char *words) {
    if (fault->code != code || !strstr(fault->text, words))
        fail_msg("expected %s with '%s', got %s: %s", fault_code_name(code), words, fault_code_name(fault->code),
                 fault->text);
}

static void broker_start(struct bench *bench, const char *certificate) {
    char text[1200];
    const char *folder = bench->folder.path;
    snprintf(
        text, sizeof text,
        "user root\npersistence false\nlog_dest file %s/mosquitto.log\nmax_queued_messages 0\nmax_inflight_messages "
        "500\nallow_anonymous true\n"
        "per_listener_settings false\nlistener %d 127.0.0.1\ncafile %s/ca.pem\ncertfile %s/%s.pem\nkeyfile %s/%s.key\n"
        "require_certificate true\nlistener %d 127.0.0.1\n",
        folder, bench->port, folder, folder, certificate, folder, certificate, bench->plain_port);
    net_write(&bench->folder, "mosquitto.conf", text);
    net_child_kill(&bench->broker);
    const char *const arguments[] = {mosquitto, "-c", net_path(&bench->folder, "mosquitto.conf"), NULL};
    net_child_start(&bench->broker, arguments);
}

static int setup(void **state) {
    struct bench *bench = calloc(1, sizeof *bench);
    struct fault fault = {0};
    *state = bench;
    setenv("http_proxy", "http://127.0.0.1:1/", 1); /* must not be followed */
    net_folder_make(&bench->folder);
    net_certificates_make(&bench->folder);
    bench->port = net_free_port();
    bench->plain_port = net_free_port();
    broker_start(bench, "server");
    const char *const arguments[] = {python, "tests/unit/common/net/mqtt_test_broker.py", NULL};
    net_child_start(&bench->odd_broker, arguments);
    bench->odd_port = net_child_number(&bench->odd_broker);
    if (loop_new(&bench->loop, &fault) != FAULT_NONE) fail_msg("%s", fault.text);
    return 0;
}

/* After a test that failed in its middle, its client must not go on into the next. */
static int clients_close(void **state) {
    struct bench *bench = *state;
    for (size_t i = 0; i < sizeof bench->subjects / sizeof *bench->subjects; i++)
        bench->subjects[i].client = mqtt_client_close(bench->subjects[i].client, 0);
    return 0;
}

static int teardown(void **state) {
    struct bench *bench = *state;
    (void)loop_free(bench->loop);
    net_child_kill(&bench->broker);
    net_child_kill(&bench->odd_broker);
    net_folder_free(&bench->folder);
    free(bench);
    return 0;
}

static void carries_a_message_and_all_that_is_on_it(void **state) {
    struct bench *bench = *state;
    struct subject *const subject = &bench->subjects[0];
    struct mqtt_settings settings = settings_for(bench, "carrier");
    const char *const topics[] = {"a/+/in", "b/#", NULL};
    settings.subscriptions = topics;
    begin_connected(bench, subject, &settings);
    const struct mqtt_property properties[] = {{SLICE_LIT("traceparent"), SLICE_LIT("00-ab-cd-01")},
                                               {SLICE_LIT("tenant_id"), SLICE_LIT("north")}};
    const struct mqtt_publication publication = {.topic = "a/x/in",
                                                 .payload = SLICE_LIT("hello"),
                                                 .qos = 1,
                                                 .token = 7,
                                                 .content_type = "application/x-protobuf; proto=Some",
                                                 .properties = properties,
                                                 .properties_count = 2};
    subject->published_want = 1;
    assert_int_equal(mqtt_client_publish(subject->client, &publication, &subject->publish_fault), FAULT_NONE);
    assert_true(net_loop_until(bench->loop, &subject->all_published, 5000));
    assert_true(net_loop_until(bench->loop, &subject->got_message, 5000));
    assert_int_equal(subject->published, 1);
    assert_int_equal(subject->per_token[7], 1);
    assert_string_equal(subject->topic, "a/x/in");
    assert_string_equal(subject->payload, "hello");
    assert_string_equal(subject->content_type, "application/x-protobuf; proto=Some");
    assert_string_equal(subject->properties, "traceparent=00-ab-cd-01;tenant_id=north;");
    assert_false(subject->retained);
    struct mqtt_stats stats;
    mqtt_client_stats(subject->client, &stats);
    assert_true(stats.connected);
    assert_int_equal(stats.messages_out, 1);
    assert_int_equal(stats.messages_in, 1);
    assert_int_equal(stats.bytes_in, 5);
    assert_int_equal(stats.inflight, 0);
    subject->client = mqtt_client_close(subject->client, 1000);
}

static void keeps_a_retained_message_for_later(void **state) {
    struct bench *bench = *state;
    struct subject *const first = &bench->subjects[0], *const second = &bench->subjects[1];
    struct mqtt_settings settings = settings_for(bench, "first");
    begin_connected(bench, first, &settings);
    const struct mqtt_publication publication = {
        .topic = "kept/x", .payload = SLICE_LIT("state"), .qos = 1, .retained = true};
    assert_int_equal(mqtt_client_publish(first->client, &publication, NULL), FAULT_NONE);
    first->client = mqtt_client_close(first->client, 5000); /* drains: the acknowledgement came before it returned */
    assert_int_equal(first->published, 1);
    const char *const topics[] = {"kept/#", NULL};
    settings = settings_for(bench, "second");
    settings.subscriptions = topics;
    begin_connected(bench, second, &settings);
    assert_true(net_loop_until(bench->loop, &second->got_message, 5000));
    assert_true(second->retained);
    assert_string_equal(second->payload, "state");
    second->client = mqtt_client_close(second->client, 0);
}

static void refuses_more_than_the_window(void **state) {
    struct bench *bench = *state;
    struct subject *const subject = &bench->subjects[0];
    struct mqtt_settings settings = settings_for(bench, "window");
    settings.inflight_max = 4;
    settings.inflight_bytes_max = 100;
    begin(bench, subject, &settings);
    assert_int_equal(publish(subject, "w", "early", 0), FAULT_AGAIN);
    assert_true(net_loop_until(bench->loop, &subject->connected, 10000));
    for (uint64_t token = 0; token < 4; token++) must_publish(subject, "w", "0123456789", token);
    assert_int_equal(publish(subject, "w", "x", 4), FAULT_AGAIN);
    subject->published_want = 4;
    assert_true(net_loop_until(bench->loop, &subject->all_published, 5000));
    char text[101] = "";
    memset(text, 'x', 60);
    must_publish(subject, "w", text, 5);
    assert_int_equal(publish(subject, "w", text, 6), FAULT_AGAIN); /* bytes */
    memset(text, 'x', 100);
    const struct mqtt_publication large = {.topic = "w", .payload = slice_of(text, 101), .qos = 1};
    assert_int_equal(mqtt_client_publish(subject->client, &large, NULL), FAULT_LIMIT);
    assert_int_equal(publish(subject, "w/#", "x", 7), FAULT_INPUT);
    subject->published_want = 5;
    subject->all_published = false;
    assert_true(net_loop_until(bench->loop, &subject->all_published, 5000));
    for (uint64_t token = 0; token < 6; token++) assert_int_equal(subject->per_token[token], token != 4);
    assert_int_equal(subject->failed, 0);
    subject->client = mqtt_client_close(subject->client, 0);
}

static void bulk_leaves_room_for_what_is_not(void **state) {
    struct bench *bench = *state;
    struct subject *const subject = &bench->subjects[0];
    struct mqtt_settings settings = settings_for(bench, "bulk");
    settings.inflight_max = 8;
    settings.inflight_bytes_max = 100;
    begin_connected(bench, subject, &settings);
    const struct mqtt_publication small = {.topic = "w", .payload = SLICE_LIT("x"), .qos = 1, .bulk = true};
    struct mqtt_publication large = {.topic = "w", .qos = 1, .bulk = true};
    for (int i = 0; i < 6; i++) assert_int_equal(mqtt_client_publish(subject->client, &small, NULL), FAULT_NONE);
    assert_int_equal(mqtt_client_publish(subject->client, &small, NULL), FAULT_AGAIN);
    for (uint64_t token = 1; token < 3; token++) must_publish(subject, "w", "single", token);
    assert_int_equal(publish(subject, "w", "single", 3), FAULT_AGAIN);
    subject->published_want = 8;
    assert_true(net_loop_until(bench->loop, &subject->all_published, 5000));
    char text[101] = "";
    memset(text, 'x', 100);
    large.payload = slice_of(text, 100); /* alone it goes, as large as it is */
    assert_int_equal(mqtt_client_publish(subject->client, &large, NULL), FAULT_NONE);
    subject->published_want = 9;
    subject->all_published = false;
    assert_true(net_loop_until(bench->loop, &subject->all_published, 5000));
    large.payload = slice_of(text, 70);
    assert_int_equal(mqtt_client_publish(subject->client, &large, NULL), FAULT_NONE);
    large.payload = slice_of(text, 20);
    assert_int_equal(mqtt_client_publish(subject->client, &large, NULL), FAULT_AGAIN);
    must_publish(subject, "w", "01234567890123456789", 4);
    subject->client = mqtt_client_close(subject->client, 1000);
}

static void fails_what_is_in_flight_and_comes_back(void **state) {
    struct bench *bench = *state;
    struct subject *const subject = &bench->subjects[0];
    struct mqtt_settings settings = settings_for(bench, "survivor");
    const char *const topics[] = {"again/#", NULL};
    settings.subscriptions = topics;
    begin_connected(bench, subject, &settings);
    kill(bench->broker.pid, SIGSTOP); /* no acknowledgement from here on */
    waitpid(bench->broker.pid, NULL, WUNTRACED);
    for (uint64_t token = 0; token < 50; token++) must_publish(subject, "again/x", "lost", token);
    net_loop_for(bench->loop, 50);
    assert_int_equal(subject->published, 0);
    net_child_kill(&bench->broker);
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 5000));
    assert_int_equal(subject->failed, 50);
    assert_says(&subject->publish_fault, FAULT_AGAIN, "before the broker's PUBACK");
    assert_int_equal(subject->reason.code, FAULT_SYSTEM);
    assert_int_equal(publish(subject, "again/x", "early", 60), FAULT_AGAIN);
    subject->disconnected = false;
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 5000));
    assert_says(&subject->reason, FAULT_SYSTEM, "Connection refused");
    broker_start(bench, "server");
    assert_true(net_loop_until(bench->loop, &subject->connected, 10000));
    assert_int_equal(subject->connects, 2);
    subject->got_message = false;
    must_publish(subject, "again/x", "found", 61);
    assert_true(net_loop_until(bench->loop, &subject->got_message, 5000)); /* subscribed again */
    assert_string_equal(subject->payload, "found");
    for (uint64_t token = 0; token < 50; token++) assert_int_equal(subject->per_token[token], 1);
    subject->client = mqtt_client_close(subject->client, 1000);
}

static void says_what_is_wrong_with_tls(void **state) {
    struct bench *bench = *state;
    struct subject *const subject = &bench->subjects[0];
    static const struct {
        const char *broker, *server_name, *ca, *own, *says;
        fault_code code;
    } cases[] = {
        {"expired", NULL, "ca", "client", "the broker's certificate has expired", FAULT_DENIED},
        {"other", NULL, "ca", "client", "for another name than 'localhost'", FAULT_DENIED},
        {"server", "elsewhere.example", "ca", "client", "for another name than 'elsewhere.example'", FAULT_DENIED},
        {"server", NULL, "foreign-ca", "client", "not from the authority in", FAULT_DENIED},
        {"server", NULL, "ca", "foreign",
         "refused by the broker with TLS alert 48 (our certificate is not from an authority", FAULT_DENIED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mqtt_settings settings = settings_for(bench, "tls");
        char name[64];
        broker_start(bench, cases[i].broker);
        snprintf(name, sizeof name, "%s.pem", cases[i].ca);
        settings.ca_path = net_path(&bench->folder, name);
        snprintf(name, sizeof name, "%s.pem", cases[i].own);
        settings.certificate_path = net_path(&bench->folder, name);
        snprintf(name, sizeof name, "%s.key", cases[i].own);
        settings.key_path = net_path(&bench->folder, name);
        settings.server_name = cases[i].server_name;
        begin(bench, subject, &settings);
        /* The first attempts may come before Mosquitto listens. */
        for (int attempt = 0; attempt < 500; attempt++) {
            subject->disconnected = false;
            assert_true(net_loop_until(bench->loop, &subject->disconnected, 10000));
            if (!strstr(subject->reason.text, "Connection refused")) break;
            net_loop_for(bench->loop, 20);
        }
        assert_says(&subject->reason, cases[i].code, cases[i].says);
        assert_int_equal(subject->connects, 0);
        subject->client = mqtt_client_close(subject->client, 0);
    }
    broker_start(bench, "server");
    /* Wrong server name in DNS, right one in the certificate. */
    struct mqtt_settings settings = settings_for(bench, "tls");
    settings.host = "127.0.0.1";
    settings.server_name = "localhost";
    begin_connected(bench, subject, &settings);
    subject->client = mqtt_client_close(subject->client, 0);
}

static void refuses_wrong_files_at_once(void **state) {
    struct bench *bench = *state;
    struct mqtt_settings settings = settings_for(bench, "files");
    const struct mqtt_callbacks callbacks = {0};
    struct mqtt_client *client = NULL;
    struct fault fault = {0};
    settings.ca_path = net_path(&bench->folder, "absent.pem");
    assert_int_equal(mqtt_client_open(bench->loop, &settings, &callbacks, &client, &fault), FAULT_INPUT);
    assert_says(&fault, FAULT_INPUT, "absent.pem");
    settings = settings_for(bench, "files");
    settings.key_path = net_path(&bench->folder, "foreign.key");
    assert_int_equal(mqtt_client_open(bench->loop, &settings, &callbacks, &client, &fault), FAULT_INPUT);
    assert_says(&fault, FAULT_INPUT, "does not belong to our certificate");
    assert_null(client);
}

static void ends_when_its_session_is_taken_over(void **state) {
    struct bench *bench = *state;
    struct subject *const first = &bench->subjects[0], *const second = &bench->subjects[1],
                          *const watcher = &bench->subjects[2];
    struct mqtt_settings settings = settings_for(bench, "watcher");
    const char *const topics[] = {"wills/#", NULL};
    settings.subscriptions = topics;
    begin_connected(bench, watcher, &settings);
    settings = settings_for(bench, "twin");
    settings.backoff_min_ms = settings.backoff_max_ms = 60000;
    settings.will_topic = "wills/twin";
    settings.will_payload = SLICE_LIT("gone");
    settings.will_content_type = "text/x-will";
    begin_connected(bench, first, &settings);
    begin_connected(bench, second, &settings);
    assert_true(net_loop_until(bench->loop, &first->disconnected, 5000));
    if (first->reason.code != FAULT_CONFLICT) /* Mosquitto tells the old client why from 2.0.15 on */
        assert_says(&first->reason, FAULT_SYSTEM, "closed by the broker");
    assert_true(net_loop_until(bench->loop, &watcher->got_message, 5000));
    assert_string_equal(watcher->payload, "gone");
    assert_string_equal(watcher->content_type, "text/x-will");
    first->client = mqtt_client_close(first->client, 0);
    second->client = mqtt_client_close(second->client, 0); /* an orderly end: no will */
    net_loop_for(bench->loop, 300);
    assert_int_equal(watcher->messages, 1);
    watcher->client = mqtt_client_close(watcher->client, 0);
}

static void loses_nothing_when_the_reader_is_slow(void **state) {
    struct bench *bench = *state;
    enum { MESSAGES = 6000 };
    struct subject *const reader = &bench->subjects[0];
    struct mqtt_settings settings = settings_for(bench, "reader");
    const char *const topics[] = {"flood", NULL};
    settings.subscriptions = topics;
    begin_connected(bench, reader, &settings);
    reader->block_first_ms = 700;
    reader->messages_want = MESSAGES;
    char *text = malloc(MESSAGES * 1024 + 1), *end = text;
    for (int i = 0; i < MESSAGES; i++) end += snprintf(end, 1024, "%d %0*d\n", i, 900, 0);
    net_write(&bench->folder, "flood.txt", text);
    free(text);
    char command[400];
    snprintf(command, sizeof command, "exec mosquitto_pub -h 127.0.0.1 -p %d -V mqttv5 -t flood -q 1 -l <%s",
             bench->plain_port, net_path(&bench->folder, "flood.txt"));
    const char *const arguments[] = {"/bin/sh", "-c", command, NULL};
    struct net_child publisher;
    net_child_start(&publisher, arguments);
    const bool all = net_loop_until(bench->loop, &reader->got_message, 30000);
    net_child_kill(&publisher);
    if (!all) fail_msg("%u messages of %d came", reader->messages, MESSAGES);
    assert_int_equal(reader->disconnects, 0);
    reader->client = mqtt_client_close(reader->client, 0);
}

static void says_what_the_broker_refuses(void **state) {
    struct bench *bench = *state;
    struct subject *const subject = &bench->subjects[0];
    const char *const topics[] = {"secret/#", NULL};
    struct mqtt_settings settings = odd_settings_for(bench, "refused");
    begin(bench, subject, &settings);
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 5000));
    assert_says(&subject->reason, FAULT_DENIED, "refuses the connection: not authorized");
    subject->client = mqtt_client_close(subject->client, 0);

    settings = odd_settings_for(bench, "no-subscription");
    settings.subscriptions = topics;
    begin(bench, subject, &settings);
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 5000));
    assert_says(&subject->reason, FAULT_DENIED, "refuses the subscription 'secret/#': not authorized");
    assert_int_equal(subject->connects, 0);
    subject->client = mqtt_client_close(subject->client, 0);

    settings = odd_settings_for(bench, "quota");
    begin_connected(bench, subject, &settings);
    subject->published_want = 1;
    must_publish(subject, "q", "x", 3);
    assert_true(net_loop_until(bench->loop, &subject->all_published, 5000));
    assert_int_equal(subject->failed, 1);
    assert_says(&subject->publish_fault, FAULT_AGAIN, "quota exceeded");
    subject->client = mqtt_client_close(subject->client, 0);

    settings = odd_settings_for(bench, "goes");
    settings.backoff_min_ms = settings.backoff_max_ms = 60000;
    begin_connected(bench, subject, &settings);
    must_publish(subject, "q", "x", 3);
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 5000));
    assert_says(&subject->reason, FAULT_AGAIN, "the broker is shutting down (0x8b): maintenance");
    assert_int_equal(subject->failed, 1);
    subject->client = mqtt_client_close(subject->client, 0);

    settings = odd_settings_for(bench, "twin");
    settings.backoff_min_ms = settings.backoff_max_ms = 60000;
    begin_connected(bench, subject, &settings);
    must_publish(subject, "q", "x", 3);
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 5000));
    assert_says(&subject->reason, FAULT_CONFLICT,
                "session taken over: another client connected with the same client id");
    subject->client = mqtt_client_close(subject->client, 0);
}

static void obeys_the_brokers_limits(void **state) {
    struct bench *bench = *state;
    struct subject *const subject = &bench->subjects[0];
    struct mqtt_settings settings = odd_settings_for(bench, "two-at-a-time");
    begin_connected(bench, subject, &settings);
    subject->published_want = 2;
    must_publish(subject, "q", "x", 0);
    must_publish(subject, "q", "x", 1);
    assert_int_equal(publish(subject, "q", "x", 2), FAULT_AGAIN);
    assert_true(net_loop_until(bench->loop, &subject->all_published, 5000));
    subject->client = mqtt_client_close(subject->client, 0);

    settings = odd_settings_for(bench, "small-packets");
    begin_connected(bench, subject, &settings);
    char text[101] = "";
    memset(text, 'x', 100);
    assert_int_equal(publish(subject, "q", text, 0), FAULT_LIMIT);
    must_publish(subject, "q", "x", 0);
    subject->client = mqtt_client_close(subject->client, 1000);
    assert_int_equal(subject->published, 1);
}

static void gives_up_on_a_broker_that_says_nothing(void **state) {
    struct bench *bench = *state;
    struct subject *const subject = &bench->subjects[0];
    struct mqtt_settings settings = odd_settings_for(bench, "silent");
    settings.connect_timeout_ms = 1000;
    begin(bench, subject, &settings);
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 5000));
    assert_says(&subject->reason, FAULT_TIMEOUT, "no answer to CONNECT in 2000 ms");
    subject->disconnected = false;
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 5000)); /* it tries again */
    subject->client = mqtt_client_close(subject->client, 0);

    settings = odd_settings_for(bench, "nobody");
    settings.host = "broker.invalid";
    begin(bench, subject, &settings);
    assert_true(net_loop_until(bench->loop, &subject->disconnected, 10000));
    assert_says(&subject->reason, FAULT_SYSTEM, "the name 'broker.invalid' is not resolved");
    subject->client = mqtt_client_close(subject->client, 0);
}

int main(void) {
    if (!net_program_exists(mosquitto) || !net_program_exists(python) || !net_program_exists("/usr/bin/openssl") ||
        !net_program_exists("/usr/bin/mosquitto_pub")) {
        fprintf(stderr, "skipped: needs %s, /usr/bin/mosquitto_pub, %s and /usr/bin/openssl\n", mosquitto, python);
        return 77;
    }
#define TEST(name) cmocka_unit_test_teardown(name, clients_close)
    const struct CMUnitTest tests[] = {
        TEST(carries_a_message_and_all_that_is_on_it),
        TEST(keeps_a_retained_message_for_later),
        TEST(refuses_more_than_the_window),
        TEST(bulk_leaves_room_for_what_is_not),
        TEST(fails_what_is_in_flight_and_comes_back),
        TEST(says_what_is_wrong_with_tls),
        TEST(refuses_wrong_files_at_once),
        TEST(ends_when_its_session_is_taken_over),
        TEST(loses_nothing_when_the_reader_is_slow),
        TEST(says_what_the_broker_refuses),
        TEST(obeys_the_brokers_limits),
        TEST(gives_up_on_a_broker_that_says_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
