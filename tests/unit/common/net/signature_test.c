/* SPDX-License-Identifier: Apache-2.0
 * Held against the examples of RFC 7515, appendix A.2 and A.3, so that more than our own signer is believed. */
#include "tests/support/check.h"

#include "common/net/signature.h"

#define CLAIMS "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RS256_MESSAGE "eyJhbGciOiJSUzI1NiJ9." CLAIMS
#define RS256_N                                                                                                        \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-"   \
    "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"                  \
    "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"                      \
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RS256_SIGNATURE                                                                                                \
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_"                                   \
    "lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"                                                 \
    "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"                                                               \
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"                                                                          \
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define ES256_MESSAGE "eyJhbGciOiJFUzI1NiJ9." CLAIMS
#define ES256_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define ES256_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define ES256_SIGNATURE "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

struct bytes {
    uint8_t data[600];
    size_t size;
};

static struct bytes decode(const char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct bytes bytes = {0};
    uint32_t bits = 0;
    for (size_t i = 0; text[i]; i++) {
        bits = bits << 6 | (uint32_t)(strchr(letters, text[i]) - letters);
        if (i % 4) bytes.data[bytes.size++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return bytes;
}

static slice slice_whole(const struct bytes *bytes) {
    return slice_of(bytes->data, bytes->size);
}

static struct signature_key rsa_key(void) {
    struct fault fault;
    struct signature_key key;
    const struct bytes n = decode(RS256_N), e = decode("AQAB");
    CHECK_OK(signature_key_rsa(slice_whole(&n), slice_whole(&e), &key, &fault));
    return key;
}

static struct signature_key p256_key(void) {
    struct fault fault;
    struct signature_key key;
    const struct bytes x = decode(ES256_X), y = decode(ES256_Y);
    CHECK_OK(signature_key_p256(slice_whole(&x), slice_whole(&y), &key, &fault));
    return key;
}

TEST(the_examples_of_the_rfc_are_accepted) {
    struct fault fault;
    const struct signature_key rsa = rsa_key(), p256 = p256_key();
    const struct bytes first = decode(RS256_SIGNATURE), second = decode(ES256_SIGNATURE);
    CHECK_OK(signature_verify(&rsa, SLICE_LIT(RS256_MESSAGE), slice_whole(&first), &fault));
    CHECK_OK(signature_verify(&p256, SLICE_LIT(ES256_MESSAGE), slice_whole(&second), &fault));
}

TEST(another_message_is_refused) {
    struct fault fault;
    const struct signature_key rsa = rsa_key(), p256 = p256_key();
    const struct bytes first = decode(RS256_SIGNATURE), second = decode(ES256_SIGNATURE);
    CHECK_FAULT(signature_verify(&rsa, SLICE_LIT(ES256_MESSAGE), slice_whole(&first), &fault), FAULT_DENIED);
    CHECK_FAULT(signature_verify(&p256, SLICE_LIT(RS256_MESSAGE), slice_whole(&second), &fault), FAULT_DENIED);
    CHECK_FAULT(signature_verify(&p256, (slice){0}, slice_whole(&second), &fault), FAULT_DENIED);
}

TEST(every_flipped_bit_of_a_signature_is_refused) {
    struct fault fault;
    const struct signature_key rsa = rsa_key(), p256 = p256_key();
    struct bytes first = decode(RS256_SIGNATURE), second = decode(ES256_SIGNATURE);
    for (size_t i = 0; i < first.size * 8; i += 7) {
        first.data[i / 8] ^= (uint8_t)(1 << i % 8);
        CHECK_FAULT(signature_verify(&rsa, SLICE_LIT(RS256_MESSAGE), slice_whole(&first), &fault), FAULT_DENIED);
        first.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t i = 0; i < second.size * 8; i += 13) {
        second.data[i / 8] ^= (uint8_t)(1 << i % 8);
        CHECK_FAULT(signature_verify(&p256, SLICE_LIT(ES256_MESSAGE), slice_whole(&second), &fault), FAULT_DENIED);
        second.data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

TEST(a_signature_of_another_size_or_of_zeros_is_refused) {
    struct fault fault;
    const struct signature_key keys[] = {rsa_key(), p256_key()};
    uint8_t zeros[600] = {0};
    for (size_t k = 0; k < 2; k++)
        for (size_t size = 0; size < sizeof zeros; size += size < 70 ? 1 : 31)
            CHECK_FAULT(signature_verify(&keys[k], SLICE_LIT("m"), slice_of(zeros, size), &fault), FAULT_DENIED);
    CHECK_FAULT(signature_verify(&keys[0], SLICE_LIT("m"), slice_of(zeros, 256), &fault), FAULT_DENIED);
}

TEST(weak_and_odd_keys_are_no_keys) {
    struct fault fault;
    struct signature_key key;
    struct bytes n = decode(RS256_N);
    const struct bytes x = decode(ES256_X), e = decode("AQAB");
    const uint8_t one[] = {1}, four[] = {4}, long_exponent[] = {1, 0, 0, 0, 0, 0, 0, 0, 1};
    CHECK_FAULT(signature_key_rsa(slice_from(slice_whole(&n), 1), slice_whole(&e), &key, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "an RSA key of 20")); /* 2040 bits, or fewer after zeros */
    CHECK_FAULT(signature_key_rsa(slice_whole(&n), slice_of(one, 1), &key, &fault), FAULT_INPUT);
    CHECK_FAULT(signature_key_rsa(slice_whole(&n), slice_of(four, 1), &key, &fault), FAULT_INPUT);
    CHECK_FAULT(signature_key_rsa(slice_whole(&n), slice_of(long_exponent, 9), &key, &fault), FAULT_INPUT);
    CHECK_FAULT(signature_key_rsa(slice_whole(&n), (slice){0}, &key, &fault), FAULT_INPUT);
    CHECK_FAULT(signature_key_rsa((slice){0}, slice_whole(&e), &key, &fault), FAULT_INPUT);
    n.data[n.size - 1] ^= 1;
    CHECK_FAULT(signature_key_rsa(slice_whole(&n), slice_whole(&e), &key, &fault), FAULT_INPUT);
    CHECK_FAULT(signature_key_p256(slice_whole(&x), slice_whole(&x), &key, &fault), FAULT_INPUT);
    assert_non_null(strstr(fault.text, "no point of the curve"));
    CHECK_FAULT(signature_key_p256(slice_from(slice_whole(&x), 1), slice_whole(&x), &key, &fault), FAULT_INPUT);
    static uint8_t large[SIGNATURE_RSA_BITS_MAX / 8 + 1];
    memset(large, 0xFF, sizeof large);
    CHECK_FAULT(signature_key_rsa(slice_of(large, sizeof large), slice_whole(&e), &key, &fault), FAULT_INPUT);
}

TEST(zeros_in_front_of_a_number_change_nothing) {
    struct fault fault;
    struct signature_key key;
    struct bytes padded = {.size = 1};
    const struct bytes n = decode(RS256_N), e = decode("AAAAAQAB"), signature = decode(RS256_SIGNATURE);
    memcpy(padded.data + 1, n.data, n.size);
    padded.size += n.size;
    CHECK_OK(signature_key_rsa(slice_whole(&padded), slice_whole(&e), &key, &fault));
    CHECK_OK(signature_verify(&key, SLICE_LIT(RS256_MESSAGE), slice_whole(&signature), &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_are_accepted),
        cmocka_unit_test(another_message_is_refused),
        cmocka_unit_test(every_flipped_bit_of_a_signature_is_refused),
        cmocka_unit_test(a_signature_of_another_size_or_of_zeros_is_refused),
        cmocka_unit_test(weak_and_odd_keys_are_no_keys),
        cmocka_unit_test(zeros_in_front_of_a_number_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
