/* SPDX-License-Identifier: Apache-2.0
 * A path for each method, a schema for each message and enum, every constraint in the words of JSON Schema 2020-12
 * (which OpenAPI 3.1 uses as it is). Schemas describe the proto3 JSON mapping: 64-bit integers are strings (numbers
 * are taken too), times are RFC 3339, bytes base64. Errors are Connect's (https://connectrpc.com/docs/protocol). */
#include "common/codec/openapi.h"

#include <inttypes.h>

#include "common/base/text.h"
#include "common/codec/format.h"
#include "common/codec/json.h"
#include "common/codec/tables.h"

static void write_service_tags(struct text *out, size_t more_count);
static void write_error_responses(struct text *out);
static bool *find_used_messages(const struct method_desc *more, size_t more_count, struct arena *arena);
static bool enum_is_used(const struct enum_desc *desc, const bool *used);
static void write_method(struct text *out, const struct method_desc *method);
static void write_message_schema(struct text *out, const struct message_doc *doc);
static void write_enum_schema(struct text *out, const struct enum_desc *desc);

#define OTHER_TAG "HTTP"

static const char error_schema[] =
    "\"connect.error\":{\"type\":\"object\",\"description\":\"What went wrong, as the Connect protocol says it.\","
    "\"required\":[\"code\"],\"properties\":{"
    "\"code\":{\"type\":\"string\",\"enum\":[\"canceled\",\"unknown\",\"invalid_argument\",\"deadline_exceeded\","
    "\"not_found\",\"already_exists\",\"permission_denied\",\"resource_exhausted\",\"failed_precondition\",\"aborted\","
    "\"out_of_range\",\"unimplemented\",\"internal\",\"unavailable\",\"data_loss\",\"unauthenticated\"]},"
    "\"message\":{\"type\":\"string\",\"description\":\"One sentence for people.\"},"
    "\"details\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
    "\"type\":{\"type\":\"string\"},\"value\":{\"type\":\"string\",\"contentEncoding\":\"base64\"}}}}}}";

static const char parameters[] =
    "\"parameters\":{"
    "\"IdempotencyKey\":{\"name\":\"Idempotency-Key\",\"in\":\"header\",\"schema\":{\"type\":\"string\",\"maxLength\":"
    "255},"
    "\"description\":\"The same request again with the same key has no effect twice; it is answered with repeated "
    "set.\"},"
    "\"IfMatch\":{\"name\":\"If-Match\",\"in\":\"header\",\"schema\":{\"type\":\"string\"},\"example\":\"\\\"7\\\"\","
    "\"description\":\"The version that the caller saw, as expected_version; refused when it is no longer that.\"},"
    "\"Encoding\":{\"name\":\"encoding\",\"in\":\"query\",\"required\":true,\"schema\":{\"type\":\"string\","
    "\"enum\":[\"json\",\"proto\"]},\"description\":\"How message is written.\"},"
    "\"Message\":{\"name\":\"message\",\"in\":\"query\",\"required\":true,\"schema\":{\"type\":\"string\"},"
    "\"description\":\"The request message in that encoding.\"},"
    "\"Base64\":{\"name\":\"base64\",\"in\":\"query\",\"schema\":{\"type\":\"string\",\"enum\":[\"1\"]},"
    "\"description\":\"1: message is base64.\"},"
    "\"Connect\":{\"name\":\"connect\",\"in\":\"query\",\"schema\":{\"type\":\"string\",\"enum\":[\"v1\"]},"
    "\"description\":\"The version of the Connect protocol.\"}},";

/* What is answered instead of success: HTTP status, name among the components, Connect's codes in words. */
static const struct error_response {
    const char *status, *name, *words;
    bool of_commands_only;
} error_responses[] = {
    {"400", "Invalid",
     "invalid_argument: the request breaks a rule. failed_precondition: the state forbids it, or the "
     "version is no longer the expected one.",
     false},
    {"401", "Unauthenticated", "unauthenticated: there is no token, or it is not known.", false},
    {"403", "Denied", "permission_denied: the token's role may not do this.", false},
    {"404", "Absent", "not_found: the tenant has nothing with that id.", false},
    {"409", "Conflict", "already_exists: there is one with that id.", true},
    {"429", "Limited", "resource_exhausted: a bound is reached; try again after Retry-After, or ask for less.", false},
    {"default", "Error", "Any other error: unimplemented (501), unavailable (503), deadline_exceeded (504), ...",
     false},
};
enum { ERROR_RESPONSES = sizeof error_responses / sizeof *error_responses };

fault_code openapi_write(const struct method_desc *more, size_t more_count, struct arena *arena, slice *ret_json,
                         struct fault *reterr) {
    const bool *used = find_used_messages(more, more_count, arena);
    if (!used) return fault_set(reterr, FAULT_LIMIT, "the OpenAPI document: no memory");
    struct text text = text_begin(arena);
    struct text *const out = &text;
    text_add_text(out,
                  "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Picket\",\"version\":\"" PICKET_VERSION "\","
                  "\"description\":\"Unary RPC in the Connect protocol: POST JSON or protobuf. Methods without side "
                  "effects also answer GET.\",\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}},"
                  "\"servers\":[{\"url\":\"/\",\"description\":\"Where this document came from.\"}],"
                  "\"security\":[{\"bearer\":[]}],\"tags\":[");
    write_service_tags(out, more_count);
    text_add_text(out, "],\"paths\":{");
    for (size_t i = 0; i < methods_count; i++) {
        if (i > 0) text_add_text(out, ",");
        write_method(out, &methods_table[i]);
    }
    for (size_t i = 0; i < more_count; i++) {
        text_add_text(out, ",");
        write_method(out, &more[i]);
    }
    text_add_text(out, "},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\","
                       "\"description\":\"The token that 'picket-aggregator token create' printed.\"}},");
    text_add_text(out, parameters);
    write_error_responses(out);
    text_add_text(out, ",\"schemas\":{");
    text_add_text(out, error_schema);
    for (size_t i = 0; i < enums_count; i++)
        if (enum_is_used(enums_table[i], used)) write_enum_schema(out, enums_table[i]);
    for (size_t i = 0; i < message_docs_count; i++)
        if (used[i] && !message_docs[i].message->well_known) write_message_schema(out, &message_docs[i]);
    text_add_text(out, "}}}");
    return text_end(out, "the OpenAPI document", ret_json, reterr);
}

/* ---- what the methods use: the edge's messages go over MQTT only, and a schema that nothing leads to helps nobody ---- */

static size_t message_place(const struct message_desc *desc) {
    size_t i = 0;
    while (i < message_docs_count && message_docs[i].message != desc) i++;
    return i;
}

static void mark_used(const struct message_desc *desc, bool *used) {
    const size_t place = message_place(desc);
    if (place == message_docs_count || used[place]) return;
    used[place] = true;
    for (size_t i = 0; i < desc->fields_count; i++)
        if (desc->fields[i].message) mark_used(desc->fields[i].message, used);
}

/* One flag for each of message_docs, in the arena; NULL when that is full. */
static bool *find_used_messages(const struct method_desc *more, size_t more_count, struct arena *arena) {
    bool *used = arena_alloc_array(arena, message_docs_count, sizeof *used);
    for (size_t i = 0; used && i < methods_count + more_count; i++) {
        const struct method_desc *method = i < methods_count ? &methods_table[i] : &more[i - methods_count];
        mark_used(method->request, used);
        mark_used(method->response, used);
    }
    return used;
}

static bool enum_is_used(const struct enum_desc *desc, const bool *used) {
    for (size_t i = 0; i < message_docs_count; i++)
        for (size_t f = 0; used[i] && f < message_docs[i].message->fields_count; f++)
            if (message_docs[i].message->fields[f].enumeration == desc) return true;
    return false;
}

/* ---- paths ---- */

static void write_json_text(struct text *out, const char *value) {
    text_add_json_string(out, slice_from_text(value));
}

/* ,"description":"..." where there are words */
static void write_description(struct text *out, const char *words) {
    if (!words[0]) return;
    text_add_text(out, ",\"description\":");
    write_json_text(out, words);
}

static void write_ref(struct text *out, const char *full_name) {
    text_format(out, "{\"$ref\":\"#/components/schemas/%s\"}", full_name);
}

static const char *last_part(const char *full_name) {
    const char *dot = strrchr(full_name, '.');
    return dot ? dot + 1 : full_name;
}

static void write_service_tags(struct text *out, size_t more_count) {
    for (size_t i = 0; i < service_docs_count; i++) {
        text_format(out, "%s{\"name\":\"%s\"", i ? "," : "", last_part(service_docs[i].full_name));
        write_description(out, service_docs[i].comment);
        text_add_text(out, "}");
    }
    if (more_count)
        text_add_text(out, ",{\"name\":\"" OTHER_TAG "\",\"description\":\"Paths that are no method of a service.\"}");
}

/* The first sentence, without its dot, as the summary; all of it as the description. */
static void write_words(struct text *out, const struct method_desc *method) {
    const slice words = slice_from_text(method->comment[0] ? method->comment : method->name);
    size_t size = 0;
    while (size < words.size && !(words.data[size] == '.' && (size + 1 == words.size || words.data[size + 1] == ' ')))
        size++;
    text_add_text(out, ",\"summary\":");
    text_add_json_string(out, slice_first(words, size));
    write_description(out, method->comment);
}

static void write_operation(struct text *out, const struct method_desc *method, const char *suffix) {
    static const char *const roles[] = {[ROLE_NONE] = "none",
                                        [ROLE_VIEWER] = "viewer",
                                        [ROLE_RESPONDER] = "responder",
                                        [ROLE_APPROVER] = "approver",
                                        [ROLE_ADMIN] = "admin",
                                        [ROLE_AGENT] = "agent",
                                        [ROLE_INTEGRATION] = "integration",
                                        [ROLE_STRANGER] = "stranger"};
    const char *service = method->service[0] ? last_part(method->service) : OTHER_TAG;
    text_format(out, "{\"operationId\":\"%s_", service);
    for (const char *c = method->name; *c; c++) /* of a path: a slash fits no generator's name */
        text_format(out, "%c", *c == '/' ? '_' : *c);
    text_format(out, "%s\",\"tags\":[\"%s\"]", suffix, service);
    if (method->role != ROLE_NONE) text_format(out, ",\"x-picket-role\":\"%s\"", roles[method->role]);
    if (method->role == ROLE_STRANGER) text_add_text(out, ",\"security\":[]");
    write_words(out, method);
}

/* Commands are {command, expected_version}: for them the header fields count. */
static bool is_command(const struct method_desc *method) {
    const struct message_desc *request = method->request;
    return request->fields_count > 0 && strcmp(request->fields[0].name, "command") == 0;
}

static void write_responses(struct text *out, const struct method_desc *method) {
    text_add_text(out,
                  ",\"responses\":{\"200\":{\"description\":\"Done\",\"content\":{\"application/json\":{\"schema\":");
    write_ref(out, message_full_name(method->response));
    text_add_text(out, "},\"application/proto\":{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}}}");
    for (size_t i = 0; i < ERROR_RESPONSES; i++)
        if (!error_responses[i].of_commands_only || is_command(method))
            text_format(out, ",\"%s\":{\"$ref\":\"#/components/responses/%s\"}", error_responses[i].status,
                        error_responses[i].name);
    text_add_text(out, "}}");
}

static void write_error_responses(struct text *out) {
    text_add_text(out, "\"responses\":{");
    for (size_t i = 0; i < ERROR_RESPONSES; i++) {
        text_format(out, "%s\"%s\":{\"content\":{\"application/json\":{\"schema\":", i ? "," : "",
                    error_responses[i].name);
        write_ref(out, "connect.error");
        text_add_text(out, "}}");
        write_description(out, error_responses[i].words);
        text_add_text(out, "}");
    }
    text_add_text(out, "}");
}

static void write_method(struct text *out, const struct method_desc *method) {
    text_format(out, "\"%s\":{\"post\":", method->path);
    write_operation(out, method, "");
    if (is_command(method))
        text_add_text(out, ",\"parameters\":[{\"$ref\":\"#/components/parameters/IdempotencyKey\"},"
                           "{\"$ref\":\"#/components/parameters/IfMatch\"}]");
    text_add_text(out, ",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":{\"schema\":");
    write_ref(out, message_full_name(method->request));
    text_add_text(out, "},\"application/proto\":{\"schema\":{\"type\":\"string\",\"format\":\"binary\"}}}}");
    write_responses(out, method);
    if (method->no_side_effects) {
        text_add_text(out, ",\"get\":");
        write_operation(out, method, "_get");
        text_add_text(out, ",\"parameters\":[{\"$ref\":\"#/components/parameters/Encoding\"},"
                           "{\"$ref\":\"#/components/parameters/Message\"},"
                           "{\"$ref\":\"#/components/parameters/Base64\"},"
                           "{\"$ref\":\"#/components/parameters/Connect\"}]");
        write_responses(out, method);
    }
    text_add_text(out, "}");
}

static void write_bounds(struct text *out, const struct field_rule *rule) {
    if (!rule) return;
    if (rule->bounds & BOUND_GT) text_format(out, ",\"exclusiveMinimum\":%.17g", rule->low);
    if (rule->bounds & BOUND_GTE) text_format(out, ",\"minimum\":%.17g", rule->low);
    if (rule->bounds & BOUND_LT) text_format(out, ",\"exclusiveMaximum\":%.17g", rule->high);
    if (rule->bounds & BOUND_LTE) text_format(out, ",\"maximum\":%.17g", rule->high);
}

static void write_text_rules(struct text *out, const struct field_rule *rule) {
    if (!rule) return;
    const uint32_t low = rule->required && rule->min_len == 0 ? 1 : rule->min_len;
    if (low) text_format(out, ",\"minLength\":%" PRIu32, low);
    if (rule->max_len) text_format(out, ",\"maxLength\":%" PRIu32, rule->max_len);
    const char *pattern = format_pattern(rule->format);
    if (!pattern) return;
    text_add_text(out, ",\"pattern\":");
    write_json_text(out, pattern);
}

/* The inside of a schema's braces for one value. A reference stands alone in it. */
static void write_value_schema(struct text *out, const struct field_desc *field) {
    const struct field_rule *rule = field->rule;
    switch ((enum field_type)field->type) {
    case FIELD_STRING:
        text_add_text(out, "\"type\":\"string\"");
        write_text_rules(out, rule);
        return;
    case FIELD_BYTES:
        text_add_text(out, "\"type\":\"string\",\"contentEncoding\":\"base64\"");
        if (rule && rule->max_len) text_format(out, ",\"maxLength\":%zu", json_base64_size(rule->max_len));
        return;
    case FIELD_BOOL: text_add_text(out, "\"type\":\"boolean\""); return;
    case FIELD_DOUBLE: text_add_text(out, "\"type\":[\"number\",\"string\"],\"format\":\"double\""); break;
    case FIELD_INT32: text_add_text(out, "\"type\":\"integer\",\"format\":\"int32\""); break;
    case FIELD_UINT32: text_add_text(out, "\"type\":\"integer\",\"format\":\"uint32\",\"minimum\":0"); return;
    case FIELD_INT64: text_add_text(out, "\"type\":[\"string\",\"integer\"],\"format\":\"int64\""); break;
    case FIELD_UINT64: text_add_text(out, "\"type\":[\"string\",\"integer\"],\"format\":\"uint64\""); break;
    case FIELD_ENUM: text_format(out, "\"$ref\":\"#/components/schemas/%s\"", field->enumeration->full_name); return;
    case FIELD_MESSAGE:
        if (field->message->well_known == WELL_KNOWN_TIMESTAMP)
            text_add_text(out, "\"type\":\"string\",\"format\":\"date-time\"");
        else if (field->message->well_known == WELL_KNOWN_DURATION)
            text_add_text(out, "\"type\":\"string\",\"pattern\":\"^-?[0-9]+(\\\\.[0-9]{1,9})?s$\"");
        else
            text_format(out, "\"$ref\":\"#/components/schemas/%s\"", field->message->full_name);
        return;
    }
    write_bounds(out, rule);
}

static void write_map_schema(struct text *out, const struct field_rule *rule) {
    text_add_text(out, "\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"");
    if (rule && rule->max_len) text_format(out, ",\"maxLength\":%" PRIu32, rule->max_len);
    text_add_text(out, "},\"propertyNames\":{\"minLength\":1");
    if (rule && rule->key_max_len) text_format(out, ",\"maxLength\":%" PRIu32, rule->key_max_len);
    if (rule && format_pattern(rule->key_format)) {
        text_add_text(out, ",\"pattern\":");
        write_json_text(out, format_pattern(rule->key_format));
    }
    text_add_text(out, "}");
    if (rule && rule->max_items) text_format(out, ",\"maxProperties\":%" PRIu32, rule->max_items);
}

static void write_field_schema(struct text *out, const struct field_desc *field, const char *comment) {
    const struct field_rule *rule = field->rule;
    write_json_text(out, field->json_name);
    text_add_text(out, ":{");
    if (field->label == FIELD_MAP) {
        write_map_schema(out, rule);
    } else if (field->label == FIELD_REPEATED) {
        text_add_text(out, "\"type\":\"array\",\"items\":{");
        write_value_schema(out, field);
        text_add_text(out, "}");
        if (rule && rule->min_items) text_format(out, ",\"minItems\":%" PRIu32, rule->min_items);
        if (rule && rule->max_items) text_format(out, ",\"maxItems\":%" PRIu32, rule->max_items);
    } else {
        write_value_schema(out, field);
    }
    write_description(out, comment);
    text_add_text(out, "}");
}

/* "required":[...] and, for a oneof that must be there, one alternative for each of its fields. */
static void write_required(struct text *out, const struct message_desc *desc) {
    size_t count = 0;
    for (size_t i = 0; i < desc->fields_count; i++) {
        const struct field_desc *field = &desc->fields[i];
        const bool required =
            field->rule && (field_is_list(field) ? field->rule->min_items > 0 : field->rule->required);
        if (!required) continue;
        text_format(out, "%s\"%s\"", count++ ? "," : ",\"required\":[", field->json_name);
    }
    if (count) text_add_text(out, "]");
    size_t oneofs = 0;
    for (size_t o = 0; o < desc->oneofs_count; o++) {
        if (!desc->oneofs[o].required) continue;
        text_add_text(out, oneofs++ ? ",{\"oneOf\":[" : ",\"allOf\":[{\"oneOf\":[");
        count = 0;
        for (size_t i = 0; i < desc->fields_count; i++)
            if (desc->fields[i].oneof == (int)o)
                text_format(out, "%s{\"required\":[\"%s\"]}", count++ ? "," : "", desc->fields[i].json_name);
        text_add_text(out, "]}");
    }
    if (oneofs) text_add_text(out, "]");
}

static void write_message_schema(struct text *out, const struct message_doc *doc) {
    const struct message_desc *desc = doc->message;
    text_format(out, ",\"%s\":{\"type\":\"object\"", desc->full_name);
    write_description(out, doc->comment);
    write_required(out, desc);
    text_add_text(out, ",\"properties\":{");
    for (size_t i = 0; i < desc->fields_count; i++) {
        if (i > 0) text_add_text(out, ",");
        write_field_schema(out, &desc->fields[i], doc->field_comments[i]);
    }
    text_add_text(out, "}}");
}

static void write_enum_schema(struct text *out, const struct enum_desc *desc) {
    text_format(out, ",\"%s\":{\"type\":\"string\",\"enum\":[", desc->full_name);
    for (uint32_t i = 0; i < desc->count; i++) text_format(out, "%s\"%s\"", i ? "," : "", desc->values[i].name);
    text_add_text(out, "]}");
}
