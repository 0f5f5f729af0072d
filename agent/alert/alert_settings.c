/* SPDX-License-Identifier: Apache-2.0
 * The default rules are those of The Site Reliability Workbook, chapter 5, table 5-8: 2 % of a 30-day budget in an hour
 * and 5 % in six hours wake somebody, 10 % in three days are work for a day. */
#include "agent/alert/alert_settings.h"

#include "common/base/text.h"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * SECOND_MS, HOUR_MS = 60 * MINUTE_MS };

static const char *const severity_names[] = {"critical", "high", "medium", "low", NULL};
static const struct burn_rule_settings workbook[] = {
    {{(const uint8_t *)"page-1h", 7}, 14.4, HOUR_MS, 5 * MINUTE_MS, 0},
    {{(const uint8_t *)"page-6h", 7}, 6, 6 * HOUR_MS, 30 * MINUTE_MS, 1},
    {{(const uint8_t *)"ticket-3d", 9}, 1, 72 * HOUR_MS, 6 * HOUR_MS, 3},
};

static const struct setting_row burn_rule_rows[] = {
    SETTING_ROW(struct burn_rule_settings, "name", TEXT, name, NULL, "1", "32",
                "part of the alert's identity, [A-Za-z0-9._-]; unique"),
    SETTING_ROW(struct burn_rule_settings, "burn_rate", DOUBLE, factor, NULL, "0.1", "1000",
                "how many times as fast as the objective allows"),
    SETTING_ROW(struct burn_rule_settings, "long", DURATION, long_ms, NULL, "1s", "7d", "over this span"),
    SETTING_ROW(struct burn_rule_settings, "short", DURATION, short_ms, NULL, "1s", "7d",
                "and over this one, so that it ends when the cause has ended"),
    SETTING_ENUM(struct burn_rule_settings, "severity", severity, severity_names, "critical", "of the alert"),
};
const struct setting_table burn_rule_table = SETTING_TABLE("rule", struct burn_rule_settings, burn_rule_rows);

static bool is_name(slice name) {
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '-'))
            return false;
    }
    return true;
}

void alert_settings_check(struct settings *read, const struct alert_settings *settings) {
    for (size_t i = 0; i < settings->rules.count; i++) {
        const struct burn_rule_settings *const rule = &settings->rules.items[i];
        if (!is_name(rule->name)) settings_mistake(read, &rule->name, "may have A-Z, a-z, 0-9, '.', '_' and '-' only");
        if (slice_equal_text(rule->name, "unseen"))
            settings_mistake(read, &rule->name, "is the name of the alert of an SLO that is not seen");
        for (size_t other = 0; other < i; other++)
            if (slice_equal(rule->name, settings->rules.items[other].name)) {
                settings_mistake(read, &rule->name, "another rule is called '%.*s' already", SLICE_ARG(rule->name));
                break;
            }
        if (rule->short_ms > rule->long_ms) settings_mistake(read, &rule->short_ms, "is longer than `long`");
    }
    if (settings->expires_ms < 2 * settings->repeat_ms)
        settings_mistake(read, &settings->expires_ms,
                         "must be two times edge_alerts.repeat_interval or more: what "
                         "fires would expire when one repeat is late");
    if (settings->webhook_url.size && !text_is_http_url(settings->webhook_url))
        settings_mistake(read, &settings->webhook_url,
                         "must begin with http:// or https:// and a host, and hold no blanks");
    access_settings_check(read, &settings->access);
}

size_t alert_settings_rules(const struct alert_settings *settings, struct burn_rule ret_rules[BURN_RULES_MAX]) {
    const bool own = settings->rules.count > 0;
    const struct burn_rule_settings *const from = own ? settings->rules.items : workbook;
    const size_t count = own ? settings->rules.count : sizeof workbook / sizeof *workbook;
    for (size_t i = 0; i < count && i < BURN_RULES_MAX; i++)
        ret_rules[i] =
            (struct burn_rule){from[i].name, from[i].factor, from[i].long_ms, from[i].short_ms, from[i].severity + 1};
    return count < BURN_RULES_MAX ? count : BURN_RULES_MAX;
}
