/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a settings file: reads, binds, reports, within its bounds. */
#include "common/settings/settings.h"

#include <stdlib.h>

struct item {
    slice name;
    int64_t wait_ms;
    struct setting_map labels;
    struct {
        struct item *items;
        size_t count;
    } inner;
};
struct values {
    bool on;
    int64_t count, bytes;
    double factor;
    slice text;
    int level;
    struct setting_texts words;
    struct {
        struct item *items;
        size_t count;
    } items;
};

static const char *const levels[] = {"low", "high", NULL};
static const struct setting_row inner_rows[] = {SETTING_ROW(struct item, "name", TEXT, name, NULL, "1", "9", "name")};
static const struct setting_table inner_table = SETTING_TABLE("inner", struct item, inner_rows);
static const struct setting_row item_rows[] = {
    SETTING_ROW(struct item, "name", TEXT, name, "x", "1", "64", "name"),
    SETTING_ROW(struct item, "a.wait", DURATION, wait_ms, "1s", "0", "1h", "wait"),
    SETTING_MAP(struct item, "labels", labels, 4, "labels"),
    SETTING_LIST(struct item, "inner", inner, &inner_table, 4, "inner"),
};
static const struct setting_table item_table = SETTING_TABLE("item", struct item, item_rows);
static const struct setting_row rows[] = {
    SETTING_ROW(struct values, "on", BOOL, on, "true", NULL, NULL, "on"),
    SETTING_ROW(struct values, "a.count", INT, count, "1", "-5", "5", "count"),
    SETTING_ROW(struct values, "a.b.bytes", BYTES, bytes, "1MiB", NULL, "1GiB", "bytes"),
    SETTING_ROW(struct values, "factor", DOUBLE, factor, "1", NULL, NULL, "factor"),
    SETTING_ROW(struct values, "text", SECRET, text, "", NULL, NULL, "text"),
    SETTING_ENUM(struct values, "level", level, levels, "low", "level"),
    SETTING_TEXTS(struct values, "words", words, 4, "words"),
    SETTING_LIST(struct values, "items", items, &item_table, 8, "items"),
};
static const struct setting_table table = SETTING_TABLE("fuzz", struct values, rows);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *arena = arena_new(16384, 4 << 20);
    struct settings *settings = settings_new(&table, arena);
    struct values values;
    struct fault fault;
    static char *const environment[] = {"A=5", "B=${A}: [", "EMPTY=", NULL};
    const fault_code code =
        settings_read_text(settings, "fuzz.yaml", slice_of(data, size), environment, &values, &fault);
    if (code == FAULT_NONE) {
        if (values.count < -5 || values.count > 5 || values.items.count > 8 || values.words.count > 4) abort();
        for (size_t i = 0; i < values.items.count; i++) {
            if (values.items.items[i].name.size < 1 || values.items.items[i].labels.count > 4) abort();
            settings_mistake(settings, &values.items.items[i].wait_ms, "looked at");
        }
    } else if (code == FAULT_INPUT && settings_mistakes_count(settings) == 0)
        abort();
    for (size_t i = 0; i < settings_mistakes_count(settings); i++)
        if (strlen(settings_mistake_at(settings, i)) == 0) abort();
    arena_free(arena);
    return 0;
}
