/* SPDX-License-Identifier: Apache-2.0
 * A name is reduced to its small letters and digits, and it is known where its last word begins. What is specific enough
 * ("password") counts at the end of anything ("dbpassword"); what is not ("pass", as in "bypass") only as a whole word.
 */
#include "agent/diagnose/mask_name.h"

#include "agent/diagnose/mask_text.h"

struct name_row {
    const char *end;
    enum mask_name means;
    bool word; /* only as the last word */
};

static const struct name_row rows[] = {
    {"password", MASK_NAME_PHRASE, false},
    {"passwd", MASK_NAME_PHRASE, false},
    {"passphrase", MASK_NAME_PHRASE, false},
    {"passcode", MASK_NAME_PHRASE, false},
    {"passwort", MASK_NAME_PHRASE, false},
    {"kennwort", MASK_NAME_PHRASE, false},
    {"pwd", MASK_NAME_PHRASE, false},
    {"secret", MASK_NAME_SECRET, false},
    {"token", MASK_NAME_SECRET, false},
    {"apikey", MASK_NAME_SECRET, false},
    {"accesskey", MASK_NAME_SECRET, false},
    {"secretkey", MASK_NAME_SECRET, false},
    {"secretaccesskey", MASK_NAME_SECRET, false},
    {"privatekey", MASK_NAME_SECRET, false},
    {"encryptionkey", MASK_NAME_SECRET, false},
    {"signingkey", MASK_NAME_SECRET, false},
    {"accountkey", MASK_NAME_SECRET, false},
    {"sharedkey", MASK_NAME_SECRET, false},
    {"tlskey", MASK_NAME_SECRET, false},
    {"keydata", MASK_NAME_SECRET, false},
    {"storepass", MASK_NAME_SECRET, false},
    {"requirepass", MASK_NAME_SECRET, false},
    {"masterauth", MASK_NAME_SECRET, false},
    {"keypass", MASK_NAME_SECRET, false},
    {"signature", MASK_NAME_SECRET, false},
    {"credential", MASK_NAME_SECRET, false},
    {"credentials", MASK_NAME_SECRET, false},
    {"sessionid", MASK_NAME_SECRET, false},
    {"dsn", MASK_NAME_SECRET, false},
    {"dockerconfigjson", MASK_NAME_SECRET, false},
    {"authorization", MASK_NAME_LINE, false},
    {"cookie", MASK_NAME_LINE, false},
    {"connectionstring", MASK_NAME_LINE, false},
    {"pass", MASK_NAME_SECRET, true},
    {"auth", MASK_NAME_SECRET, true},
    {"auths", MASK_NAME_SECRET, true},
    {"pw", MASK_NAME_SECRET, true},
    {"pin", MASK_NAME_SECRET, true},
    {"jwt", MASK_NAME_SECRET, true},
    {"otp", MASK_NAME_SECRET, true},
    {"sig", MASK_NAME_SECRET, true},
    {"name", MASK_NAME_OF_PAIR, true},
    {"key", MASK_NAME_OF_PAIR, true},
    {"header", MASK_NAME_OF_PAIR, true},
    {"variable", MASK_NAME_OF_PAIR, true},
    {"property", MASK_NAME_OF_PAIR, true},
    {"parameter", MASK_NAME_OF_PAIR, true},
    {"field", MASK_NAME_OF_PAIR, true},
    {"value", MASK_NAME_VALUE, true},
    {"values", MASK_NAME_VALUE, true},
    {"val", MASK_NAME_VALUE, true},
    {"default", MASK_NAME_VALUE, true},
};

struct small_name {
    char text[MASK_NAME_BYTES_MAX];
    size_t size, word; /* word: where the last one begins */
};

static struct small_name small_name(slice name) {
    struct small_name small = {.size = 0};
    if (name.size > MASK_NAME_BYTES_MAX) name = slice_from(name, name.size - MASK_NAME_BYTES_MAX);
    for (size_t i = 0; i < name.size; i++) {
        const uint8_t c = name.data[i];
        if (!mask_is_alnum(c) || (isupper(c) && i > 0 && islower(name.data[i - 1]))) small.word = small.size;
        if (mask_is_alnum(c)) small.text[small.size++] = (char)tolower(c);
    }
    return small;
}

static enum mask_name find_row(const struct small_name *name, size_t size) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const size_t end_size = strlen(rows[i].end);
        if (size < end_size || memcmp(name->text + size - end_size, rows[i].end, end_size) != 0) continue;
        if (!rows[i].word || size - end_size == name->word) return rows[i].means;
    }
    return MASK_NAME_OTHER;
}

enum mask_name mask_name_of(slice name) {
    const struct small_name small = small_name(name);
    const enum mask_name is = find_row(&small, small.size);
    if (is || !small.size || small.text[small.size - 1] != 's') return is;
    switch (find_row(&small, small.size - 1)) {
    case MASK_NAME_SECRET:
    case MASK_NAME_PHRASE:
    case MASK_NAME_LINE: return small.size - small.word > 4 ? MASK_NAME_SECRETS : MASK_NAME_OTHER; /* not "pins" */
    default: return MASK_NAME_OTHER;
    }
}

bool mask_name_is_secret(slice name) {
    const enum mask_name is = mask_name_of(name);
    return is != MASK_NAME_OTHER && is != MASK_NAME_OF_PAIR && is != MASK_NAME_VALUE;
}
