/* SPDX-License-Identifier: Apache-2.0
 * First byte: which secret is planted; second: where, in what follows. Beyond not crashing: no eight bytes of it in a row
 * are left. Surroundings that repeat some of the secret themselves are passed over. */
#include "agent/diagnose/mask.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE = 8, SHARED = 4 };

/* No secret of anybody: made for tests, in pieces, so that scanners of repositories leave them alone. */
static const char *const secrets[] = {
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwaWNrZXQifQ"
    ".c2lnbmF0dXJlLW9mLW5vYm9keQ",
    "AKIA"
    "IOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/"
    "bPxRfiCYEXAMPLEKEY",
    "ghp_"
    "16C7e42F292c6912E7710c838347Ae178B4a",
    "xoxb-"
    "17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzqqgy",
    "password=hunter2hunter2",
    "\"apiKey\": \"hunter2 hunter2\"",
    "--db-secret hunter2hunter2",
    "-----BEGIN "
    "PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----",
    "https://user:hunter2hunter2@",
    "\"tokens\": [\"hunter2hunter2\"]",
    "\x1b[36mpassword\x1b[0m=\x1b[1mhunter2hunter2",
    "password%3Dhunter2hunter2",
    "<password>hunter2hunter2",
    "YXBpX2tleTogaHVudGVyMg==",
};
/* Where what must not be left begins in each. */
static const char *const kept[] = {"", "",      "",        "",        "",        "hunter2", "hunter2", "hunter2",
                                   "", "user:", "hunter2", "hunter2", "hunter2", "hunter2", ""};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const size_t which = data[0] % (sizeof secrets / sizeof *secrets);
    const slice around = slice_of(data + 2, size - 2);
    const size_t at = around.size ? data[1] % (around.size + 1) : 0, secret_size = strlen(secrets[which]);
    uint8_t *const text = malloc(around.size + secret_size);
    struct arena *const arena = arena_new(1 << 16, 64 << 20);
    struct mask *mask = NULL;
    if (!text || !arena || mask_new(NULL, 0, &mask, NULL)) abort();
    if (at) memcpy(text, around.data, at);
    memcpy(text + at, secrets[which], secret_size);
    if (around.size > at) memcpy(text + at + secret_size, around.data + at, around.size - at);

    struct text out = text_begin(arena);
    uint32_t count = 0;
    slice is;
    mask_add(mask, slice_of(text, around.size + secret_size), &out, &count);
    if (text_end(&out, "the text", &is, NULL)) abort();
    const char *const left = strstr(secrets[which], kept[which]);
    bool repeats = false;
    for (size_t i = 0; i + SHARED <= strlen(left) && around.size; i++)
        repeats |= memmem(around.data, around.size, left + i, SHARED) != NULL;
    for (size_t i = 0; !repeats && i + PIECE <= strlen(left); i++)
        if (is.size && memmem(is.data, is.size, left + i, PIECE)) abort();
    mask_free(mask);
    arena_free(arena);
    free(text);
    return 0;
}
