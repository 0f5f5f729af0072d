/* SPDX-License-Identifier: Apache-2.0
 * The aggregator's configuration: rows (aggregator_settings.c) that give the file's grammar, its checks, --help, the
 * sample and REFERENCE.md. Slices live as long as the arena that was read into. Read by any thread, changed by none. */
#ifndef PICKET_AGGREGATOR_AGGREGATOR_SETTINGS_H
#define PICKET_AGGREGATOR_AGGREGATOR_SETTINGS_H

#include "aggregator/api/oidc.h"
#include "common/settings/settings.h"

struct aggregator_settings {
    struct {
        slice path;
        int64_t map_bytes, budget_bytes, budget_warn_percent;
    } data;
    struct {
        slice address, tls_certificate, tls_key;
        int64_t port, threads, connections_max, body_bytes_max, idle_timeout_ms, event_streams_max;
        bool plain_text;
    } http;
    struct {
        int64_t requests_per_second, burst, machine_requests_per_second, machine_burst, failed_sign_ins_per_minute;
    } limits;
    struct {
        struct oidc_issuer *items;
        size_t count;
    } oidc;
    struct {
        slice host, ca, certificate, key, server_name, client_id;
        int64_t port, keep_alive_ms, connect_timeout_ms, backoff_ms_min, backoff_ms_max, inflight_max,
            inflight_bytes_max;
        bool plain_text, disabled;
    } mqtt;
    struct {
        slice ca_certificate, ca_key, broker_host, broker_ca;
        struct setting_texts reserved;
        int64_t validity_ms, broker_port;
    } enrolment;
    struct {
        int64_t queue_commands_max, queue_bytes_max, commit_intents_max, rejections_max, rejections_days,
            alert_expiry_ms, health_expiry_ms;
    } journal;
    struct {
        int64_t readers, retention_days;
    } projections;
    struct {
        int64_t sli_windows_ms, health_checks_ms, newest_facts;
    } retention;
    struct {
        int64_t lag_max;
    } ready;
    int log_level, log_format;
    slice log_debug;
};

extern const struct setting_table aggregator_setting_table;

/* Reads and checks a file (and the environment, which may be NULL). FAULT_INPUT when there are mistakes;
 * ret_mistakes, each a line of text, is in the arena and valid whatever is returned. */
fault_code aggregator_settings_read(const char *path, char *const *environment, struct arena *arena,
                                    struct aggregator_settings *ret_settings, struct setting_texts *ret_mistakes,
                                    struct fault *reterr) MUST_CHECK;
/* As above from memory; file_name stands in the messages. */
fault_code aggregator_settings_read_text(const char *file_name, slice yaml, char *const *environment,
                                         struct arena *arena, struct aggregator_settings *ret_settings,
                                         struct setting_texts *ret_mistakes, struct fault *reterr) MUST_CHECK;

#endif
