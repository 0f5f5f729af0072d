/* SPDX-License-Identifier: Apache-2.0
 * edge_alerts in the agent's configuration: the rules, when an alert is said again, and the local webhook. */
#ifndef PICKET_ALERT_ALERT_SETTINGS_H
#define PICKET_ALERT_ALERT_SETTINGS_H

#include "agent/alert/burn.h"
#include "agent/collect/access_settings.h"

struct burn_rule_settings {
    slice name;
    double factor;
    int64_t long_ms, short_ms;
    int severity; /* 0 critical to 3 low */
};

struct alert_settings {
    bool disabled;
    int64_t unseen_ms, repeat_ms, expires_ms;
    struct {
        struct burn_rule_settings *items;
        size_t count;
    } rules;
    slice webhook_url;
    int64_t webhook_after_ms, webhook_timeout_ms;
    struct access_settings access; /* of the webhook */
};

extern const struct setting_table burn_rule_table;

/* For the table of an owner that has a member `struct alert_settings member`. */
#define ALERT_ROWS(owner, member)                                                                                      \
    SETTING_ROW(owner, "edge_alerts.disabled", BOOL, member.disabled, "false", NULL, NULL,                             \
                "evaluate no burn rates here"),                                                                        \
        SETTING_ROW(owner, "edge_alerts.unseen_after", DURATION, member.unseen_ms, "15m", "1s", "7d",                  \
                    "an SLO of which nothing was seen for so long is an alert of its own"),                            \
        SETTING_ROW(owner, "edge_alerts.repeat_interval", DURATION, member.repeat_ms, "15m", "1s", "1d",               \
                    "what fires is said again that often"),                                                            \
        SETTING_ROW(owner, "edge_alerts.expires_after", DURATION, member.expires_ms, "1h", "2s", "7d",                 \
                    "what is not said again expires at the centre"),                                                   \
        SETTING_LIST(owner, "edge_alerts.rules", member.rules, &burn_rule_table, 8,                                    \
                     "burn rates that are alerts; none: 14.4 over 1h and 5m (critical), 6 over 6h and 30m (high), 1 "  \
                     "over 3d and 6h (low)"),                                                                          \
        SETTING_ROW(owner, "edge_alerts.webhook.url", TEXT, member.webhook_url, "", "1", "2048",                       \
                    "is called (POST, as Alertmanager does) with what the centre did not take in time"),               \
        SETTING_ROW(owner, "edge_alerts.webhook.after", DURATION, member.webhook_after_ms, "30s", "0s", "1d",          \
                    "the time that the centre has to commit an alert; 0s: the webhook is always called"),              \
        SETTING_ROW(owner, "edge_alerts.webhook.timeout", DURATION, member.webhook_timeout_ms, "10s", "100ms", "1m",   \
                    "for a whole call"),                                                                               \
        SETTING_ROW(owner, "edge_alerts.webhook.auth.bearer_token", SECRET, member.access.bearer_token, "", NULL,      \
                    "4096", "sent as Authorization: Bearer"),                                                          \
        SETTING_ROW(owner, "edge_alerts.webhook.auth.bearer_token_file", PATH, member.access.bearer_token_file, "",    \
                    NULL, NULL, "file with the token, read again at each call"),                                       \
        SETTING_ROW(owner, "edge_alerts.webhook.auth.username", TEXT, member.access.username, "", NULL, "256",         \
                    "for basic authentication"),                                                                       \
        SETTING_ROW(owner, "edge_alerts.webhook.auth.password", SECRET, member.access.password, "", NULL, "1024",      \
                    "for basic authentication"),                                                                       \
        SETTING_ROW(owner, "edge_alerts.webhook.tls.ca", PATH, member.access.tls_ca, "", NULL, NULL,                   \
                    "certificates to trust, PEM; without it the system's"),                                            \
        SETTING_ROW(owner, "edge_alerts.webhook.tls.certificate", PATH, member.access.tls_certificate, "", NULL, NULL, \
                    "client certificate, PEM"),                                                                        \
        SETTING_ROW(owner, "edge_alerts.webhook.tls.key", PATH, member.access.tls_key, "", NULL, NULL, "its key, PEM")

/* What the rows cannot say. */
void alert_settings_check(struct settings *read, const struct alert_settings *settings);
/* The rules, or the workbook's three where none are given; names are borrowed. Returns how many. */
size_t alert_settings_rules(const struct alert_settings *settings, struct burn_rule ret_rules[BURN_RULES_MAX]);

#endif
