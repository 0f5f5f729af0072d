/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void expect_hex(const uint8_t hash[DIGEST_BYTES], const char *expected) {
    char text[2 * DIGEST_BYTES + 1];
    for (int i = 0; i < DIGEST_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", hash[i]);
    assert_string_equal(text, expected);
}

/* FIPS 180-4 examples, csrc.nist.gov "Secure Hashing" example values. */
static void digest_gives_the_values_of_nist(void **state) {
    static const struct {
        const char *text, *hash;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    uint8_t hash[DIGEST_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        digest_of(slice_from_text(cases[i].text), hash);
        expect_hex(hash, cases[i].hash);
        digest_of_portable(slice_from_text(cases[i].text), hash);
        expect_hex(hash, cases[i].hash);
    }
}

static void digest_of_a_million_a(void **state) {
    uint8_t *text = malloc(1000000), hash[DIGEST_BYTES];
    assert_non_null(text);
    memset(text, 'a', 1000000);
    digest_of(slice_of(text, 1000000), hash);
    expect_hex(hash, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(text);
}

static void digest_is_the_same_in_pieces_and_without_the_processors_help(void **state) {
    uint8_t bytes[517], whole[DIGEST_BYTES], other[DIGEST_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 131 + 7);
    for (size_t size = 0; size < sizeof bytes; size++) {
        digest_of(slice_of(bytes, size), whole);
        digest_of_portable(slice_of(bytes, size), other);
        assert_memory_equal(whole, other, DIGEST_BYTES);
        struct digest digest;
        digest_init(&digest);
        for (size_t at = 0, step = 1; at < size; at += step, step = step * 2 % 97 + 1)
            digest_feed(&digest, slice_first(slice_of(bytes + at, size - at), step));
        digest_done(&digest, other);
        assert_memory_equal(whole, other, DIGEST_BYTES);
    }
}

static void two_digests_at_once_are_those_of_each(void **state) {
    uint8_t bytes[400], one[DIGEST_BYTES], two[2][DIGEST_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 89 + 3);
    for (size_t a = 0; a < 200; a++)
        for (size_t b = 0; b < 200; b += 1 + a % 7) {
            const slice pair[2] = {slice_of(bytes, a), slice_of(bytes + a, b)};
            digest_of_two(pair, two);
            for (int i = 0; i < 2; i++) {
                digest_of_portable(pair[i], one);
                assert_memory_equal(one, two[i], DIGEST_BYTES);
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest_gives_the_values_of_nist),
        cmocka_unit_test(digest_of_a_million_a),
        cmocka_unit_test(two_digests_at_once_are_those_of_each),
        cmocka_unit_test(digest_is_the_same_in_pieces_and_without_the_processors_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
