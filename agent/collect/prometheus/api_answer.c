/* SPDX-License-Identifier: Apache-2.0
 * The bytes are walked once, knowing no more of JSON than strings and brackets. What lies in data.result goes element by
 * element into one buffer and from there through the JSON reader; everything else, the frame, goes into another, small
 * one, which is a JSON text of its own with an empty result. An error has no result, so its frame is the whole answer. */
#include "agent/collect/prometheus/api_answer.h"

#include "common/base/arena.h"
#include "common/base/limits.h"
#include "common/codec/json_tree.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 16, KEY_BYTES = 8, RESULT_DEPTH = 3, ARENA_BYTES = 1024 * 1024, TEXT_SHOWN = 120 };

struct text {
    uint8_t *data;
    size_t size, room;
};

struct api_answer {
    void (*on_sample)(void *context, const struct exposition_sample *sample);
    void *context;
    struct arena *arena; /* of one element */
    struct text element, frame;
    struct api_answer_stats stats;
    uint64_t number; /* of the element, from 1 */
    unsigned depth;
    bool in_string, escaped, in_result, in_element, seen_result, frame_full, other;
    char last[KEY_BYTES], keys[RESULT_DEPTH][KEY_BYTES]; /* the last string; the last key at each depth */
    size_t last_size;
    struct exposition_label labels[LIMIT_LABELS_PER_SERIES];
};

struct api_answer *api_answer_new(void) {
    struct api_answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL) return NULL;
    answer->arena = arena_new(4096, ARENA_BYTES);
    return answer->arena ? answer : api_answer_free(answer);
}

struct api_answer *api_answer_free(struct api_answer *answer) {
    if (answer) {
        arena_free(answer->arena);
        free(answer->element.data);
        free(answer->frame.data);
        free(answer);
    }
    return NULL;
}

void api_answer_begin(struct api_answer *answer,
                      void (*on_sample)(void *context, const struct exposition_sample *sample), void *context) {
    const struct text element = {.data = answer->element.data, .room = answer->element.room};
    const struct text frame = {.data = answer->frame.data, .room = answer->frame.room};
    *answer = (struct api_answer){
        .on_sample = on_sample, .context = context, .arena = answer->arena, .element = element, .frame = frame};
}

static fault_code text_add(struct text *text, size_t bytes_max, uint8_t byte, struct fault *reterr) {
    if (text->size == text->room) {
        const size_t room = text->room ? 2 * text->room : 1024;
        if (text->size >= bytes_max) return fault_set(reterr, FAULT_LIMIT, "more than %zu bytes", bytes_max);
        uint8_t *const larger = realloc(text->data, room);
        if (larger == NULL) return fault_set(reterr, FAULT_SYSTEM, "out of memory");
        text->data = larger;
        text->room = room;
    }
    text->data[text->size++] = byte;
    return FAULT_NONE;
}

/* The labels but __name__; false: more than a series may have, or one that is no text. */
static bool element_labels(struct api_answer *answer, const struct json_value *metric,
                           struct exposition_sample *sample) {
    slice names[LIMIT_LABELS_PER_SERIES + 1];
    const struct json_value *values[LIMIT_LABELS_PER_SERIES + 1];
    const size_t count = json_tree_members(metric, names, values, LIMIT_LABELS_PER_SERIES + 1);
    if (count > LIMIT_LABELS_PER_SERIES) return false;
    for (size_t i = 0; i < count; i++) {
        slice value;
        if (!json_tree_text(values[i], &value)) return false;
        if (slice_equal_text(names[i], "__name__"))
            sample->name = value;
        else
            answer->labels[sample->labels_count++] = (struct exposition_label){names[i], value};
    }
    return true;
}

static fault_code element_take(struct api_answer *answer, struct fault *reterr) {
    const struct json_value *root;
    struct exposition_sample sample = {.labels = answer->labels, .line = answer->number};
    arena_reset(answer->arena);
    const fault_code code =
        json_tree_read(slice_of(answer->element.data, answer->element.size), answer->arena, &root, reterr);
    if (code) return fault_wrap(reterr, "result %llu", (unsigned long long)answer->number);
    const struct json_value *const metric = json_tree_member(root, SLICE_LIT("metric"));
    const struct json_value *const value = json_tree_member(root, SLICE_LIT("value"));
    if (!value && json_tree_member(root, SLICE_LIT("histogram"))) {
        answer->stats.histograms++;
        return FAULT_NONE;
    }
    slice text;
    if (!json_tree_is_object(metric) || !json_tree_is_list(value) || json_tree_count(value) != 2 ||
        !json_tree_text(json_tree_next(json_tree_first(value)), &text) || !exposition_number(text, &sample.value) ||
        !element_labels(answer, metric, &sample))
        return fault_set(reterr, FAULT_INPUT,
                         "result %llu: expected a metric of at most %d labels and one value, [time, \"number\"]",
                         (unsigned long long)answer->number, LIMIT_LABELS_PER_SERIES);
    answer->stats.samples++;
    answer->on_sample(answer->context, &sample);
    return FAULT_NONE;
}

/* Into the element or the frame; a frame that is too long is no answer of Prometheus, and the status says enough. */
static fault_code keep(struct api_answer *answer, uint8_t byte, struct fault *reterr) {
    struct fault full;
    if (answer->in_element) {
        const fault_code code = text_add(&answer->element, API_ELEMENT_BYTES_MAX, byte, reterr);
        return code ? fault_wrap(reterr, "result %llu", (unsigned long long)answer->number) : FAULT_NONE;
    }
    if (!answer->frame_full && text_add(&answer->frame, API_FRAME_BYTES_MAX, byte, &full)) answer->frame_full = true;
    return FAULT_NONE;
}

static void string_byte(struct api_answer *answer, uint8_t byte) {
    if (answer->escaped) {
        answer->escaped = false;
    } else if (byte == '\\') {
        answer->escaped = true;
    } else if (byte == '"') {
        answer->in_string = false;
        return;
    }
    if (answer->last_size < KEY_BYTES - 1) answer->last[answer->last_size] = (char)byte;
    answer->last_size++;
}

static bool is_result(const struct api_answer *answer) {
    return answer->depth == RESULT_DEPTH && !answer->seen_result && strcmp(answer->keys[1], "data") == 0 &&
           strcmp(answer->keys[2], "result") == 0;
}

static fault_code open_bracket(struct api_answer *answer, uint8_t byte, struct fault *reterr) {
    if (answer->depth == DEPTH_MAX) return fault_set(reterr, FAULT_INPUT, "JSON nested deeper than %d", DEPTH_MAX);
    if (answer->in_result && answer->depth == RESULT_DEPTH) {
        if (byte == '[') answer->other = true;
        answer->in_element = true;
        answer->element.size = 0;
        answer->number++;
    }
    const fault_code code = keep(answer, byte, reterr);
    if (code) return code;
    answer->depth++;
    if (byte == '[' && is_result(answer)) answer->in_result = answer->seen_result = true;
    return FAULT_NONE;
}

static fault_code close_bracket(struct api_answer *answer, uint8_t byte, struct fault *reterr) {
    if (answer->depth == 0) return fault_set(reterr, FAULT_INPUT, "expected JSON, found '%c'", byte);
    if (answer->in_result && answer->depth == RESULT_DEPTH) answer->in_result = false;
    const fault_code code = keep(answer, byte, reterr);
    if (code) return code;
    answer->depth--;
    if (!answer->in_element || answer->depth > RESULT_DEPTH) return FAULT_NONE;
    answer->in_element = false;
    return answer->other ? FAULT_NONE : element_take(answer, reterr);
}

static fault_code take_byte(struct api_answer *answer, uint8_t byte, struct fault *reterr) {
    const bool between = answer->in_result && !answer->in_element;
    if (answer->in_string) {
        string_byte(answer, byte);
        return between ? FAULT_NONE : keep(answer, byte, reterr);
    }
    switch (byte) {
    case '{':
    case '[': return open_bracket(answer, byte, reterr);
    case '}':
    case ']': return close_bracket(answer, byte, reterr);
    case '"':
        memset(answer->last, 0, sizeof answer->last);
        answer->last_size = 0;
        answer->in_string = true;
        break;
    case ':':
        if (answer->depth < RESULT_DEPTH)
            snprintf(answer->keys[answer->depth], KEY_BYTES, "%s", answer->last_size < KEY_BYTES ? answer->last : "");
        break;
    default: break;
    }
    /* A scalar's or a string's result has no elements: resultType will say so. */
    if (between) return FAULT_NONE;
    return keep(answer, byte, reterr);
}

fault_code api_answer_feed(struct api_answer *answer, slice piece, struct fault *reterr) {
    answer->stats.bytes += piece.size;
    for (size_t i = 0; i < piece.size; i++) {
        const fault_code code = take_byte(answer, piece.data[i], reterr);
        if (code) return code;
    }
    return FAULT_NONE;
}

/* The first text of a list; false: there is nothing in it. */
static bool first_text(const struct json_value *root, slice name, slice *ret_text) {
    const struct json_value *const list = json_tree_member(root, name);
    if (json_tree_count(list) == 0) return false;
    if (!json_tree_text(json_tree_first(list), ret_text)) *ret_text = (slice){0};
    return true;
}

/* A selector's answer has a warning where something could not be asked for it: a remote read, a store of Thanos. What is
 * missing cannot be known, so none of it counts. Infos are about the query. */
static fault_code judge_notes(struct api_answer *answer, const struct json_value *root, struct fault *reterr) {
    slice text;
    const bool partial = first_text(root, SLICE_LIT("warnings"), &text);
    if (partial || first_text(root, SLICE_LIT("infos"), &text))
        snprintf(answer->stats.warning, sizeof answer->stats.warning, "%.*s", SLICE_ARG(slice_first(text, TEXT_SHOWN)));
    if (!partial) return FAULT_NONE;
    return fault_set(reterr, FAULT_AGAIN, "the answer may be partial: %s", answer->stats.warning);
}

static fault_code refusal(const struct json_value *root, int status, struct fault *reterr) {
    slice type = {0}, text = {0};
    if (!json_tree_text(json_tree_member(root, SLICE_LIT("error")), &text)) text = (slice){0};
    if (!json_tree_text(json_tree_member(root, SLICE_LIT("errorType")), &type)) type = (slice){0};
    if (type.size == 0)
        return fault_set(reterr, FAULT_SYSTEM,
                         "the answer is HTTP status %d and no answer of Prometheus: is its URL right?", status);
    /* bad_data and execution are about what was asked; all others may pass by themselves. */
    const bool ours = slice_equal_text(type, "bad_data") || slice_equal_text(type, "execution");
    return fault_set(reterr, ours ? FAULT_INPUT : FAULT_AGAIN, "Prometheus answers HTTP status %d, %.*s: %.*s", status,
                     SLICE_ARG(slice_first(type, 40)), SLICE_ARG(slice_first(text, TEXT_SHOWN)));
}

fault_code api_answer_end(struct api_answer *answer, int status, struct fault *reterr) {
    const struct json_value *root = NULL;
    struct fault fault;
    slice said, type;
    arena_reset(answer->arena);
    const slice frame = slice_of(answer->frame.data, answer->frame.size);
    if (answer->frame_full || json_tree_read(frame, answer->arena, &root, &fault)) root = NULL;
    const bool success =
        json_tree_text(json_tree_member(root, SLICE_LIT("status")), &said) && slice_equal_text(said, "success");
    if (status == 200 && (!root || answer->depth))
        return fault_set(reterr, FAULT_INPUT, "the answer is no JSON of Prometheus, or was cut short");
    if (status != 200 || !success) return refusal(root, status, reterr);
    const fault_code partial = judge_notes(answer, root, reterr);
    if (partial) return partial;
    if (!json_tree_text(json_tree_member(json_tree_member(root, SLICE_LIT("data")), SLICE_LIT("resultType")), &type) ||
        !slice_equal_text(type, "vector") || answer->other || !answer->seen_result)
        return fault_set(reterr, FAULT_INPUT, "expected a result of type vector");
    return FAULT_NONE;
}

void api_answer_stats(const struct api_answer *answer, struct api_answer_stats *ret_stats) {
    *ret_stats = answer->stats;
}
