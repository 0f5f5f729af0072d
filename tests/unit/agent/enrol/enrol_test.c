/* SPDX-License-Identifier: Apache-2.0
 * An agent's way to its certificates, with real keys, a real authority and a real HTTP server. The server's script stands in
 * for what a real centre cannot be made to do at will (answers that get lost, refusals, silence); tests/e2e has the real one. */
#include "enrol_fixture.h"

#include "agent/enrol/enrol.h"
#include "common/codec/codec.h"
#include "common/net/http_server.h"
#include "sre.pb.h"

#include <pthread.h>

#define SERVICE "/ameide_core_proto.sre.edge.v1.AgentService/"

enum answer { SIGNS, REFUSES, LOSES_ITS_ANSWER, SENDS_RUBBISH };

struct centre {
    pthread_mutex_t lock;
    struct enrol_place *place;
    struct http_server *server;
    enum answer answer;
    const char *name;  /* that it signs for */
    int64_t life_ms;   /* of what it signs */
    const char *token; /* that it takes */
    char used_by[CERTIFICATE_HASH_BYTES];
    char signed_pem[CERTIFICATE_PEM_BYTES_MAX]; /* for the token */
    unsigned enrolments, renewals;              /* asked for */
    char refusal[160];
};

static void refuse(struct http_exchange *exchange, int status, const char *why) {
    const slice body = arena_format(http_exchange_arena(exchange), "{\"code\":\"x\",\"message\":\"%s\"}", why);
    http_exchange_answer(exchange,
                         &(struct http_answer){.status = status, .content_type = "application/json", .body = body});
}

/* The request, checked as a centre does: a renewal is signed by the key of a certificate that is valid now. */
static fault_code request_of(struct centre *centre, struct http_exchange *exchange, bool renewal, slice *ret_csr,
                             struct fault *reterr) {
    struct arena *const arena = http_exchange_arena(exchange);
    if (!renewal) {
        EnrolAgentRequest request;
        const fault_code code =
            codec_decode_protobuf(&EnrolAgentRequest_desc, http_exchange_body(exchange), arena, &request, reterr);
        if (code) return code;
        if (!slice_equal_text(request.token, centre->token))
            return fault_set(reterr, FAULT_DENIED, "the token is not known");
        *ret_csr = request.csr;
        return FAULT_NONE;
    }
    static const char prefix[] = "picket: renew\n";
    RenewCertificateRequest request;
    struct certificate_view view;
    fault_code code =
        codec_decode_protobuf(&RenewCertificateRequest_desc, http_exchange_body(exchange), arena, &request, reterr);
    if (code) return code;
    if (strstr((const char *)request.certificate.data, "PRIVATE")) return fault_set(reterr, FAULT_DENIED, "a key left");
    uint8_t *message = arena_alloc(arena, sizeof prefix - 1 + request.csr.size);
    memcpy(message, prefix, sizeof prefix - 1);
    memcpy(message + sizeof prefix - 1, request.csr.data, request.csr.size);
    *ret_csr = request.csr;
    return certificate_authority_prove(centre->place->authority, request.certificate,
                                       slice_of(message, sizeof prefix - 1 + request.csr.size), request.signature,
                                       clock_wall_ms(), &view, reterr);
}

static void answer(struct centre *centre, struct http_exchange *exchange) {
    struct arena *const arena = http_exchange_arena(exchange);
    const bool renewal = slice_equal_text(http_exchange_path(exchange), SERVICE "RenewCertificate");
    struct fault fault;
    char hash[CERTIFICATE_HASH_BYTES];
    struct certificate_view view;
    slice csr, pem, payload;
    ++*(renewal ? &centre->renewals : &centre->enrolments);
    if (centre->answer == SENDS_RUBBISH) {
        http_exchange_answer(exchange, &(struct http_answer){.status = 200, .body = SLICE_LIT("\xff\xff\xff")});
        return;
    }
    if (centre->answer == REFUSES) return refuse(exchange, 412, centre->refusal);
    if (request_of(centre, exchange, renewal, &csr, &fault) || certificate_authority_check(csr, hash, &fault))
        return refuse(exchange, 403, fault.text);
    if (!renewal && centre->used_by[0] && strcmp(centre->used_by, hash) != 0)
        return refuse(exchange, 412, "the token was used already");
    if (!renewal && centre->used_by[0]) {
        pem = slice_from_text(centre->signed_pem);
    } else if (certificate_authority_issue(centre->place->authority, csr, centre->name, clock_wall_ms(),
                                           centre->life_ms, arena, &pem, &view, &fault)) {
        return refuse(exchange, 500, fault.text);
    }
    if (!renewal && !centre->used_by[0]) {
        snprintf(centre->used_by, sizeof centre->used_by, "%s", hash);
        snprintf(centre->signed_pem, sizeof centre->signed_pem, "%.*s", SLICE_ARG(pem));
    }
    if (centre->answer == LOSES_ITS_ANSWER) return refuse(exchange, 503, "lost");
    const EnrolAgentResponse given = {.certificate = pem, .broker_authority = SLICE_LIT("broker's authority\n")};
    if (codec_encode_protobuf(&EnrolAgentResponse_desc, &given, arena, &payload, &fault))
        return refuse(exchange, 500, fault.text);
    http_exchange_answer(exchange,
                         &(struct http_answer){.status = 200, .content_type = "application/proto", .body = payload});
}

static void on_request(void *context, struct http_exchange *exchange) {
    struct centre *const centre = context;
    pthread_mutex_lock(&centre->lock);
    answer(centre, exchange);
    pthread_mutex_unlock(&centre->lock);
}

/* ---- the agent ---- */

struct agent {
    struct enrol_place *place;
    struct centre centre;
    struct loop *loop;
    struct http_client *client;
    struct enrol_settings settings;
    struct enrol *enrol;
    char url[64];
    uint16_t port;
    bool used; /* `use` was called */
    unsigned uses;
};

static void on_use(void *context) {
    struct agent *const agent = context;
    agent->used = true;
    agent->uses++;
}

static void centre_opens(struct agent *agent) {
    struct fault fault;
    const struct http_server_settings settings = {.address = "127.0.0.1",
                                                  .port = agent->port,
                                                  .threads = 1,
                                                  .connections_max = 10,
                                                  .body_bytes_max = 65536,
                                                  .idle_timeout_ms = 1000};
    CHECK_OK(http_server_open(&settings, on_request, &agent->centre, &agent->centre.server, &fault));
    agent->port = http_server_port(agent->centre.server);
}

static void starts(struct agent *agent) {
    struct fault fault;
    const struct enrol_parts parts = {.loop = agent->loop,
                                      .client = agent->client,
                                      .settings = &agent->settings,
                                      .folder = agent->place->identity,
                                      .tenant = SLICE_LIT("demo"),
                                      .agent = SLICE_LIT("edge-1"),
                                      .use = on_use,
                                      .context = agent};
    agent->used = false;
    CHECK_OK(enrol_open(&parts, &agent->enrol, &fault));
}

/* As by kill -9: nothing is said. */
static void ends(struct agent *agent) {
    agent->enrol = enrol_close(agent->enrol);
}

static struct agent *agent_in(void **state, const char *token) {
    static struct agent made;
    struct fault fault;
    struct agent *const agent = &made;
    *agent = (struct agent){.place = *state,
                            .centre = {.place = *state, .name = NAME, .life_ms = HOUR_MS, .token = "demo/edge-1:good"}};
    pthread_mutex_init(&agent->centre.lock, NULL);
    centre_opens(agent);
    snprintf(agent->url, sizeof agent->url, "http://127.0.0.1:%u", agent->port);
    net_write(&agent->place->folder, "token", token);
    agent->settings.url = slice_from_text(agent->url);
    agent->settings.token_file = slice_from_text(net_path(&agent->place->folder, "token"));
    CHECK_OK(loop_new(&agent->loop, &fault));
    CHECK_OK(http_client_new(agent->loop, 4, &agent->client, &fault));
    return agent;
}

static void agent_done(struct agent *agent) {
    ends(agent);
    agent->client = http_client_free(agent->client);
    agent->loop = loop_free(agent->loop);
    agent->centre.server = http_server_close(agent->centre.server);
}

static struct enrol_report report(const struct agent *agent) {
    struct enrol_report said;
    enrol_report(agent->enrol, &said);
    return said;
}

static bool says(const struct agent *agent, const char *word) {
    return strstr(report(agent).error, word) != NULL;
}

/* Runs the loop until the report has the word. */
static void waits_until_it_says(struct agent *agent, const char *word) {
    for (int i = 0; i < 1200 && !says(agent, word); i++) net_loop_for(agent->loop, 50);
    if (!says(agent, word)) fail_msg("expected '%s', got '%s'", word, report(agent).error);
}

static void waits_for_a_certificate(struct agent *agent) {
    if (!net_loop_until(agent->loop, &agent->used, 8000)) fail_msg("no certificate came: '%s'", report(agent).error);
    agent->used = false;
}

/* ---- stories ---- */

static void a_token_gives_a_certificate_that_outlives_a_restart(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-1:good\n");
    starts(agent);
    assert_null(enrol_file(agent->enrol));
    waits_for_a_certificate(agent);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "agent.pem"));
    assert_non_null(enrol_authority(agent->enrol));
    assert_string_equal(report(agent).error, "");
    char serial[CERTIFICATE_SERIAL_BYTES];
    snprintf(serial, sizeof serial, "%s", report(agent).serial);
    ends(agent);
    starts(agent);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "agent.pem"));
    assert_string_equal(report(agent).serial, serial);
    net_loop_for(agent->loop, 200);
    assert_int_equal(agent->centre.enrolments, 1);
    assert_int_equal(agent->uses, 1);
    agent_done(agent);
}

static void an_answer_that_got_lost_is_asked_for_again_with_the_same_key(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-1:good");
    agent->centre.answer = LOSES_ITS_ANSWER;
    starts(agent);
    waits_until_it_says(agent, "503");
    ends(agent); /* killed between the key and the certificate */
    agent->centre.answer = SIGNS;
    starts(agent);
    waits_for_a_certificate(agent);
    struct certificate_view given;
    struct fault fault;
    CHECK_OK(certificate_read(slice_from_text(agent->centre.signed_pem), &given, &fault));
    assert_string_equal(report(agent).serial, given.serial);
    agent_done(agent);
}

static void a_used_token_is_refused_and_a_new_one_is_taken_without_a_restart(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-1:good");
    snprintf(agent->centre.used_by, sizeof agent->centre.used_by, "somebody else's key");
    starts(agent);
    waits_until_it_says(agent, "the token was used already");
    assert_null(enrol_file(agent->enrol));
    net_write(&agent->place->folder, "token", "demo/edge-1:newer");
    agent->centre.token = "demo/edge-1:newer";
    agent->centre.used_by[0] = '\0';
    net_loop_for(agent->loop, 1500);
    assert_int_equal(agent->centre.enrolments, 1); /* a refusal is not asked about again at once */
    enrol_use(agent->enrol, &agent->settings);     /* SIGHUP */
    waits_for_a_certificate(agent);
    agent_done(agent);
}

/* As an operator brings a revoked agent back: its certificate is valid, and nobody touches its folder. */
static void a_token_that_was_not_used_yet_replaces_a_certificate_that_is_valid(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-1:good");
    starts(agent);
    waits_for_a_certificate(agent);
    enrol_on_link(agent->enrol, true);
    char first[CERTIFICATE_SERIAL_BYTES];
    snprintf(first, sizeof first, "%s", report(agent).serial);
    enrol_use(agent->enrol, &agent->settings); /* the same token: nothing is asked */
    net_loop_for(agent->loop, 300);
    assert_int_equal(agent->centre.enrolments, 1);
    net_write(&agent->place->folder, "token", "demo/edge-1:newer\n");
    agent->centre.token = "demo/edge-1:newer";
    agent->centre.used_by[0] = '\0';
    enrol_use(agent->enrol, &agent->settings);
    waits_for_a_certificate(agent);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "next.pem"));
    ends(agent); /* killed before it has connected: the old one, then the new one, and no third */
    starts(agent);
    assert_string_equal(report(agent).serial, first);
    waits_for_a_certificate(agent);
    enrol_on_link(agent->enrol, true);
    assert_string_not_equal(report(agent).serial, first);
    ends(agent);
    starts(agent);
    net_loop_for(agent->loop, 300);
    assert_int_equal(agent->centre.enrolments, 2);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "agent.pem"));
    agent_done(agent);
}

static void a_new_token_that_is_refused_leaves_the_renewal_as_it_was(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-1:bad");
    enrol_give(agent->place, "agent.pem", NAME, clock_wall_ms() - 3000, 9000); /* due by now or within seconds */
    starts(agent);
    waits_until_it_says(agent, "the token is not known");
    assert_non_null(enrol_file(agent->enrol));
    waits_for_a_certificate(agent);
    assert_int_equal(agent->centre.enrolments, 1);
    assert_int_equal(agent->centre.renewals, 1);
    agent_done(agent);
}

static void a_renewal_keeps_the_token_that_the_first_was_got_with(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-1:good");
    agent->centre.life_ms = 4000;
    starts(agent);
    waits_for_a_certificate(agent);
    waits_for_a_certificate(agent);
    enrol_on_link(agent->enrol, true);
    agent->centre.life_ms = HOUR_MS;
    waits_for_a_certificate(agent);
    enrol_on_link(agent->enrol, true);
    ends(agent);
    starts(agent);
    net_loop_for(agent->loop, 300);
    assert_int_equal(agent->centre.enrolments, 1);
    assert_true(agent->centre.renewals >= 2);
    agent_done(agent);
}

static void another_agents_token_is_not_shown_to_the_centre(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-2:good");
    agent->centre.token = "demo/edge-2:good";
    starts(agent);
    waits_until_it_says(agent, "is for 'demo/edge-2', and this is 'demo/edge-1'");
    net_write(&agent->place->folder, "token", "good");
    enrol_use(agent->enrol, &agent->settings);
    waits_until_it_says(agent, "holds no token");
    assert_int_equal(agent->centre.enrolments, 0);
    agent_done(agent);
}

static void what_is_refused_or_no_answer_leaves_the_agent_without_and_says_why(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-1:bad");
    starts(agent);
    waits_until_it_says(agent, "the token is not known");
    snprintf(agent->centre.refusal, sizeof agent->centre.refusal, "the request's key is weak");
    agent->centre.answer = REFUSES;
    enrol_use(agent->enrol, &agent->settings);
    waits_until_it_says(agent, "HTTP status 412: the request's key is weak");
    agent->centre.answer = SENDS_RUBBISH;
    enrol_use(agent->enrol, &agent->settings);
    for (int i = 0; i < 1200 && (says(agent, "412") || !report(agent).error[0]); i++) net_loop_for(agent->loop, 50);
    assert_non_null(strstr(report(agent).error, "enrolment: "));
    agent->centre.answer = SIGNS;
    agent->centre.name = "demo/edge-2"; /* a centre that is wrong about who asks */
    agent->centre.token = "demo/edge-1:bad";
    enrol_use(agent->enrol, &agent->settings);
    waits_until_it_says(agent, "the certificate is for 'demo/edge-2'");
    assert_null(enrol_file(agent->enrol));
    assert_int_equal(agent->uses, 0);
    agent_done(agent);
}

static void a_token_that_is_not_there_is_said_and_found_when_it_comes(void **state) {
    struct agent *agent = agent_in(state, "x");
    unlink(net_path(&agent->place->folder, "token"));
    starts(agent);
    waits_until_it_says(agent, "token");
    net_write(&agent->place->folder, "token", "demo/edge-1:good");
    waits_for_a_certificate(agent);
    agent_done(agent);
}

static void a_renewal_comes_before_the_end_and_the_old_one_serves_until_the_new_one_has_connected(void **state) {
    struct agent *agent = agent_in(state, "");
    enrol_give(agent->place, "agent.pem", NAME, clock_wall_ms(), 6000); /* to the second: due after 3 to 4.5 s */
    starts(agent);
    enrol_on_link(agent->enrol, true);
    char first[CERTIFICATE_SERIAL_BYTES];
    snprintf(first, sizeof first, "%s", report(agent).serial);
    net_loop_for(agent->loop, 2500);
    assert_int_equal(agent->centre.renewals, 0);
    waits_for_a_certificate(agent);
    assert_int_equal(agent->centre.renewals, 1);
    assert_int_equal(agent->centre.enrolments, 0);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "next.pem"));
    ends(agent); /* killed while it is tried: the old one is there, and the new one is tried again */
    starts(agent);
    assert_string_equal(report(agent).serial, first);
    waits_for_a_certificate(agent);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "next.pem"));
    enrol_on_link(agent->enrol, false);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "next.pem"));
    enrol_on_link(agent->enrol, true);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "agent.pem"));
    assert_string_not_equal(report(agent).serial, first);
    assert_int_equal(agent->centre.renewals, 1);
    agent_done(agent);
}

static void a_centre_that_is_away_during_a_renewal_is_asked_again(void **state) {
    struct agent *agent = agent_in(state, "");
    agent->centre.server = http_server_close(agent->centre.server);
    enrol_give(agent->place, "agent.pem", NAME, clock_wall_ms() - 3000, 9000); /* it ends in 6 s */
    agent->settings.token_file = (slice){0};
    starts(agent);
    waits_until_it_says(agent, "renewal: ");
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "agent.pem"));
    centre_opens(agent);
    waits_for_a_certificate(agent);
    assert_string_equal(report(agent).error, "");
    enrol_on_link(agent->enrol, true);
    assert_true(report(agent).not_after_ms > clock_wall_ms() + HOUR_MS / 2);
    agent_done(agent);
}

static void a_certificate_that_is_over_takes_a_token(void **state) {
    struct agent *agent = agent_in(state, "demo/edge-1:good");
    enrol_give(agent->place, "agent.pem", NAME, clock_wall_ms() - 10000, 9000);
    starts(agent);
    waits_for_a_certificate(agent);
    assert_int_equal(agent->centre.renewals, 0);
    assert_int_equal(agent->centre.enrolments, 1);
    ends(agent);
    enrol_place_empty(state);
    enrol_give(agent->place, "agent.pem", NAME, clock_wall_ms() - 10000, 9000);
    agent->settings.token_file = (slice){0};
    starts(agent);
    waits_until_it_says(agent, "no certificate that is valid, and no enrolment.token_file");
    assert_non_null(enrol_file(agent->enrol)); /* the clock may be what is wrong: the broker decides */
    agent_done(agent);
}

/* A machine without a clock of its own begins in 1970. */
static void a_clock_before_the_beginning_of_the_certificate_changes_nothing(void **state) {
    struct agent *agent = agent_in(state, "");
    enrol_give(agent->place, "agent.pem", NAME, clock_wall_ms() + 20 * HOUR_MS, HOUR_MS);
    starts(agent);
    net_loop_for(agent->loop, 500);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "agent.pem"));
    assert_string_equal(report(agent).error, "");
    assert_int_equal(agent->centre.renewals + agent->centre.enrolments, 0);
    agent_done(agent);
}

static void a_kill_between_the_new_file_and_the_old_key_costs_one_round(void **state) {
    struct agent *agent = agent_in(state, "");
    struct fault fault;
    char key[CERTIFICATE_KEY_PEM_BYTES];
    CHECK_OK(certificate_key_new(key, &fault));
    enrol_write(agent->place, "next.pem", slice_from_text(key),
                enrol_signed(agent->place, key, NAME, clock_wall_ms(), HOUR_MS));
    enrol_write(agent->place, "next.key", slice_from_text(key), (slice){0});
    starts(agent);
    assert_string_equal(enrol_file(agent->enrol), enrol_file_path(agent->place, "agent.pem"));
    net_loop_for(agent->loop, 200);
    assert_int_equal(agent->centre.enrolments, 0);
    agent_done(agent);
}

#define IN_EMPTY(test) cmocka_unit_test_setup_teardown(test, NULL, enrol_place_empty)
int main(void) {
    const struct CMUnitTest tests[] = {
        IN_EMPTY(a_token_gives_a_certificate_that_outlives_a_restart),
        IN_EMPTY(an_answer_that_got_lost_is_asked_for_again_with_the_same_key),
        IN_EMPTY(a_used_token_is_refused_and_a_new_one_is_taken_without_a_restart),
        IN_EMPTY(a_token_that_was_not_used_yet_replaces_a_certificate_that_is_valid),
        IN_EMPTY(a_new_token_that_is_refused_leaves_the_renewal_as_it_was),
        IN_EMPTY(a_renewal_keeps_the_token_that_the_first_was_got_with),
        IN_EMPTY(another_agents_token_is_not_shown_to_the_centre),
        IN_EMPTY(what_is_refused_or_no_answer_leaves_the_agent_without_and_says_why),
        IN_EMPTY(a_token_that_is_not_there_is_said_and_found_when_it_comes),
        IN_EMPTY(a_renewal_comes_before_the_end_and_the_old_one_serves_until_the_new_one_has_connected),
        IN_EMPTY(a_centre_that_is_away_during_a_renewal_is_asked_again),
        IN_EMPTY(a_certificate_that_is_over_takes_a_token),
        IN_EMPTY(a_clock_before_the_beginning_of_the_certificate_changes_nothing),
        IN_EMPTY(a_kill_between_the_new_file_and_the_old_key_costs_one_round),
    };
    return cmocka_run_group_tests(tests, enrol_place_make, enrol_place_free);
}
