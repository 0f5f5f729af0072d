/* SPDX-License-Identifier: Apache-2.0
 * What a person writes into an aggregate, as one list of its fields: creating, replacing and asking whether anything
 * changes are made from the same list, so that no field can be forgotten in one of them. A list is a macro that takes
 * five others: ONE(field) for texts, numbers and times, TEXTS(field) for lists of texts, LIST(field, equal) for lists of
 * messages, MESSAGE(field, equal) for one message (with its has_), MAP(field). `equal` takes two pointers. */
#ifndef PICKET_DOMAIN_CONTENT_H
#define PICKET_DOMAIN_CONTENT_H

#include "aggregator/domain/domain_list.h"
#include "sre.pb.h"

static inline bool content_time_equal(Timestamp a, Timestamp b) {
    return a.seconds == b.seconds && a.nanos == b.nanos;
}
static inline bool content_number_equal(int64_t a, int64_t b) {
    return a == b;
}
static inline bool content_double_equal(double a, double b) {
    return a == b;
}
#define CONTENT_SAME(a, b)                                                                                             \
    _Generic((a), slice                                                                                                \
             : slice_equal, Timestamp                                                                                  \
             : content_time_equal, double                                                                              \
             : content_double_equal, default                                                                           \
             : content_number_equal)((a), (b))

static inline bool content_texts_equal(const slice *a, size_t a_count, const slice *b, size_t b_count) {
    if (a_count != b_count) return false;
    for (size_t i = 0; i < a_count; i++)
        if (!slice_equal(a[i], b[i])) return false;
    return true;
}

/* At most so many bytes of a text, and whole characters (UTF-8): for sentences that name what somebody wrote. */
static inline slice content_shortened(slice text, size_t bytes_max) {
    if (text.size <= bytes_max) return text;
    while (bytes_max && (text.data[bytes_max] & 0xc0) == 0x80) bytes_max--;
    return slice_first(text, bytes_max);
}

/* For a function with `to`, `from` and `arena`. */
#define CONTENT_COPY_ONE(field) (to)->field = (from)->field;
#define CONTENT_COPY_TEXTS(field) LIST_SHARE((to)->field, (from)->field);
#define CONTENT_COPY_LIST(field, equal) LIST_SHARE((to)->field, (from)->field);
#define CONTENT_COPY_MESSAGE(field, equal) (to)->has_##field = (from)->has_##field, (to)->field = (from)->field;
#define CONTENT_COPY_MAP(field) MAP_COPY((to)->field, (from)->field, arena);
#define CONTENT_COPY(FIELDS)                                                                                           \
    FIELDS(CONTENT_COPY_ONE, CONTENT_COPY_TEXTS, CONTENT_COPY_LIST, CONTENT_COPY_MESSAGE, CONTENT_COPY_MAP)

/* For a function with `a` and `b` that returns a bool. */
#define CONTENT_EQUAL_ONE(field)                                                                                       \
    if (!CONTENT_SAME((a)->field, (b)->field)) return false;
#define CONTENT_EQUAL_TEXTS(field)                                                                                     \
    if (!content_texts_equal((a)->field.items, (a)->field.count, (b)->field.items, (b)->field.count)) return false;
#define CONTENT_EQUAL_LIST(field, equal)                                                                               \
    if ((a)->field.count != (b)->field.count) return false;                                                            \
    for (size_t i_ = 0; i_ < (a)->field.count; i_++)                                                                   \
        if (!equal(&(a)->field.items[i_], &(b)->field.items[i_])) return false;
#define CONTENT_EQUAL_MESSAGE(field, equal)                                                                            \
    if ((a)->has_##field != (b)->has_##field || ((a)->has_##field && !equal(&(a)->field, &(b)->field))) return false;
/* In any order: a map has none. */
#define CONTENT_EQUAL_MAP(field)                                                                                       \
    if ((a)->field.count != (b)->field.count) return false;                                                            \
    for (size_t i_ = 0; i_ < (a)->field.count; i_++) {                                                                 \
        size_t k_ = 0;                                                                                                 \
        while (k_ < (b)->field.count && !slice_equal((a)->field.items[i_].key, (b)->field.items[k_].key)) k_++;        \
        if (k_ == (b)->field.count || !slice_equal((a)->field.items[i_].value, (b)->field.items[k_].value))            \
            return false;                                                                                              \
    }
#define CONTENT_EQUAL(FIELDS)                                                                                          \
    FIELDS(CONTENT_EQUAL_ONE, CONTENT_EQUAL_TEXTS, CONTENT_EQUAL_LIST, CONTENT_EQUAL_MESSAGE, CONTENT_EQUAL_MAP)

/* A resource is named whole: its kind, its id and where it runs. */
#define CONTENT_OF_RESOURCE(ONE, TEXTS, LIST, MESSAGE, MAP)                                                            \
    ONE(type)                                                                                                          \
    ONE(id)                                                                                                            \
    ONE(namespace)                                                                                                     \
    ONE(cluster)                                                                                                       \
    ONE(environment)
static inline bool content_resource_equal(const ResourceRef *a, const ResourceRef *b) {
    CONTENT_EQUAL(CONTENT_OF_RESOURCE)
    return true;
}

#endif
