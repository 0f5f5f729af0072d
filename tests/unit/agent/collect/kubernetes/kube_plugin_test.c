/* SPDX-License-Identifier: Apache-2.0
 * What a credential plugin printed is used until it ends or is refused, for as long as an agent runs. The clock of this
 * program is set forward, so that half a minute's pauses cost none. */
#include "agent/collect/kubernetes/kube_plugin.h"
#include "tests/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static time_t ahead_s; /* of the monotonic clock; by the wall clock it is ten seconds before 2100 all the time */

int clock_gettime(clockid_t clock, struct timespec *time) {
    const int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_REALTIME)
        *time = (struct timespec){.tv_sec = 4102444800 - 10};
    else
        time->tv_sec += ahead_s;
    return result;
}

struct place {
    struct loop *loop;
    struct loop_timer *timer;
    struct kube_plugin *plugin;
};

static void look(void *context) {
    struct place *place = context;
    loop_stop(place->loop);
}

/* As those who ask do: again and again until it is there. */
static struct kube_credential ask(struct place *place) {
    struct kube_credential credential;
    struct fault fault;
    for (int i = 0; i < 3000; i++) {
        const fault_code code = kube_plugin_credential(place->plugin, &credential, &fault);
        if (!code) return credential;
        if (!strstr(fault.text, "is running")) fail_msg("%s", fault.text);
        loop_timer_set(place->timer, 5);
        loop_run(place->loop);
    }
    fail_msg("it never ended");
    return (struct kube_credential){0};
}

static void open_with(struct place *place, const struct kube_plugin_settings *settings) {
    struct fault fault;
    CHECK_OK(loop_new(&place->loop, &fault));
    place->timer = loop_timer_new(place->loop, look, place);
    CHECK_OK(kube_plugin_new(place->loop, settings, &place->plugin, &fault));
}

static void end(struct place *place) {
    (void)kube_plugin_free(place->plugin);
    (void)loop_timer_free(place->timer);
    (void)loop_free(place->loop);
}

struct script {
    char path[40], text[600];
    char *arguments[4];
};

static char *const environment[] = {"PATH=/usr/bin:/bin", NULL};

/* It prints how often it was run, behind as many zeros as digits says. */
static struct kube_plugin_settings script_write(struct script *script, int digits, const char *ends) {
    snprintf(script->path, sizeof script->path, "/tmp/kube_plugin_test-XXXXXX");
    const int fd = mkstemp(script->path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(script->text, sizeof script->text,
             "echo x >> %s; printf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
             "\"status\":{\"token\":\"%%0%dd\"%s}}' $(wc -l < %s)",
             script->path, digits, ends, script->path);
    script->arguments[0] = "/bin/sh";
    script->arguments[1] = "-c";
    script->arguments[2] = script->text;
    script->arguments[3] = NULL;
    return (struct kube_plugin_settings){script->arguments, environment, "client.authentication.k8s.io/v1"};
}

static int run_of(struct kube_credential credential) {
    return atoi((const char *)credential.token.data);
}

/* Tokens of a quarter of an hour are fetched some thousand times a month. */
TEST(what_was_printed_before_takes_no_room) {
    struct script script;
    const struct kube_plugin_settings settings =
        script_write(&script, 20000, ",\"expirationTimestamp\":\"2100-01-01T00:00:00Z\"");
    struct place place;
    open_with(&place, &settings);
    for (int run = 1; run <= 60; run++) {
        struct kube_credential credential = ask(&place);
        for (int i = 0; i < 3000 && run_of(credential) != run; i++) {
            loop_timer_set(place.timer, 5);
            loop_run(place.loop);
            credential = ask(&place);
            if (credential.token.size != 20000) fail_msg("after %d runs: %zu bytes", run, credential.token.size);
        }
        assert_int_equal(run_of(credential), run);
        ahead_s += KUBE_PLUGIN_AGAIN_MS / 1000; /* it is about to end: fetched anew, and good meanwhile */
    }
    end(&place);
    unlink(script.path);
}

TEST(what_has_no_end_is_used_until_it_is_refused_and_not_fetched_without_a_pause) {
    struct script script;
    const struct kube_plugin_settings settings = script_write(&script, 1, "");
    struct place place;
    open_with(&place, &settings);
    assert_int_equal(run_of(ask(&place)), 1);
    ahead_s += 30 * 24 * 3600;
    assert_int_equal(run_of(ask(&place)), 1);
    kube_plugin_forget(place.plugin);
    assert_int_equal(run_of(ask(&place)), 2);
    kube_plugin_forget(place.plugin); /* of a request that had the first one still, say */
    assert_int_equal(run_of(ask(&place)), 2);
    ahead_s += KUBE_PLUGIN_AGAIN_MS / 1000;
    kube_plugin_forget(place.plugin);
    assert_int_equal(run_of(ask(&place)), 3);
    end(&place);
    unlink(script.path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_printed_before_takes_no_room),
        cmocka_unit_test(what_has_no_end_is_used_until_it_is_refused_and_not_fetched_without_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
