/* SPDX-License-Identifier: Apache-2.0
 * Both sides, with the openssl program as a third opinion: it makes authorities and requests of other makers, and reads
 * what we have made. */
#include "tests/support/check.h"

#include "common/base/clock.h"
#include "common/net/certificate_authority.h"
#include "net_support.h"

#define HOUR_MS (INT64_C(3600) * 1000)

static struct net_folder folder;
static struct arena *arena;

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...) {
    char command[2048], line[2560];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    snprintf(line, sizeof line, "cd %s && { %s ; } >out 2>&1", folder.path, command);
    return system(line); /* NOLINT: a test's own words */
}

static slice file(const char *name) {
    char *text = arena_alloc(arena, 65536);
    FILE *from = fopen(net_path(&folder, name), "rb");
    assert_non_null(from);
    const size_t size = fread(text, 1, 65535, from);
    fclose(from);
    text[size] = '\0';
    return slice_of(text, size);
}

static void write_file(const char *name, slice bytes) {
    FILE *to = fopen(net_path(&folder, name), "wb");
    assert_non_null(to);
    assert_int_equal(fwrite(bytes.data, 1, bytes.size, to), bytes.size);
    fclose(to);
}

static struct certificate_authority *authority(const char *name) {
    struct certificate_authority *a = NULL;
    struct fault fault;
    char certificate[32], key[32];
    snprintf(certificate, sizeof certificate, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    CHECK_OK(certificate_authority_open(net_path(&folder, certificate), net_path(&folder, key), &a, &fault));
    return a;
}

struct pair {
    char key[CERTIFICATE_KEY_PEM_BYTES];
    slice request, pem;
    struct certificate_view view;
};

static void enrol(struct certificate_authority *a, const char *name, struct pair *p) {
    struct fault fault;
    CHECK_OK(certificate_key_new(p->key, &fault));
    CHECK_OK(certificate_request(slice_from_text(p->key), "whatever", arena, &p->request, &fault));
    CHECK_OK(
        certificate_authority_issue(a, p->request, name, clock_wall_ms(), HOUR_MS, arena, &p->pem, &p->view, &fault));
}

TEST(a_certificate_says_what_the_authority_decides_and_nothing_of_the_request) {
    struct certificate_authority *a = authority("ca");
    struct fault fault;
    struct pair p;
    char hash[CERTIFICATE_HASH_BYTES];
    enrol(a, "demo/edge-2", &p);
    assert_string_equal(p.view.common_name, "demo/edge-2");
    CHECK_OK(certificate_authority_check(p.request, hash, &fault));
    assert_string_equal(p.view.key_hash, hash);
    assert_int_equal(strlen(p.view.serial), 32);
    assert_true(llabs(p.view.not_after_ms - (clock_wall_ms() + HOUR_MS)) < 60000);
    assert_true(llabs(p.view.not_before_ms - (clock_wall_ms() - CERTIFICATE_BACKDATE_MS)) < 60000);
    CHECK_OK(certificate_match(p.pem, slice_from_text(p.key), &fault));
    write_file("leaf.pem", p.pem);
    assert_int_equal(shell("openssl verify -x509_strict -purpose sslclient -CAfile ca.pem leaf.pem"), 0);
    assert_int_not_equal(shell("openssl verify -purpose sslserver -CAfile ca.pem leaf.pem"), 0);
    assert_int_equal(shell("openssl x509 -in leaf.pem -noout -subject -ext "
                           "keyUsage,extendedKeyUsage,basicConstraints,authorityKeyIdentifier"),
                     0);
    const char *text = (const char *)file("out").data;
    assert_non_null(strstr(text, "CN = demo/edge-2"));
    assert_null(strstr(text, "whatever"));
    assert_non_null(strstr(text, "Digital Signature"));
    assert_non_null(strstr(text, "TLS Web Client Authentication"));
    assert_non_null(strstr(text, "CA:FALSE"));
    certificate_authority_close(a);
}

TEST(a_key_gives_the_same_request_again_and_two_certificates_differ_in_their_serial) {
    struct certificate_authority *a = authority("ca");
    struct fault fault;
    struct pair p;
    slice again, pem;
    struct certificate_view view;
    enrol(a, "demo/edge-2", &p);
    CHECK_OK(certificate_request(slice_from_text(p.key), "whatever", arena, &again, &fault));
    assert_true(slice_equal(again, p.request));
    CHECK_OK(
        certificate_authority_issue(a, p.request, "demo/edge-2", clock_wall_ms(), HOUR_MS, arena, &pem, &view, &fault));
    assert_string_not_equal(view.serial, p.view.serial);
    assert_string_equal(view.key_hash, p.view.key_hash);
    certificate_authority_close(a);
}

TEST(authorities_of_other_makers_sign_what_openssl_verifies) {
    static const char *const makers[] = {
        "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -keyout m.key -out m.pem -subj '/C=DE/O=Shop, "
        "Inc/OU=\xc3\xa4/CN=Shop CA' -addext keyUsage=critical,keyCertSign",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 30 -keyout m.key -out m.pem -subj "
        "'/DC=example/DC=shop/CN=a, b=c' -addext keyUsage=critical,keyCertSign -addext "
        "subjectKeyIdentifier=0102030405060708",
    };
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        struct pair p;
        if (shell("%s", makers[i])) fail_msg("%s", (const char *)file("out").data);
        struct certificate_authority *a = authority("m");
        enrol(a, "demo/edge-2", &p);
        write_file("leaf.pem", p.pem);
        if (shell("openssl verify -partial_chain -purpose sslclient -CAfile m.pem leaf.pem"))
            fail_msg("%zu: %s", i, (const char *)file("out").data);
        certificate_authority_close(a);
    }
}

TEST(requests_are_taken_of_other_makers_and_refused_with_weak_or_strange_keys) {
    static const struct {
        const char *make, *why; /* why NULL: it is taken */
    } cases[] = {
        {"openssl req -new -newkey rsa:2048 -nodes -keyout k -subj /CN=x", NULL},
        {"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /CN=root -addext "
         "basicConstraints=CA:true",
         NULL},
        {"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384 -nodes -keyout k -subj /CN=x", NULL},
        {"openssl req -new -newkey rsa:1024 -nodes -keyout k -subj /CN=x", "RSA key of 1024 bits"},
        {"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -keyout k -subj /CN=x", "not taken"},
        {"openssl req -new -newkey ed25519 -nodes -keyout k -subj /CN=x", "cannot be read"},
        {"openssl req -new -newkey rsa:2048 -sha1 -nodes -keyout k -subj /CN=x", "a hash that is not taken"},
    };
    char hash[CERTIFICATE_HASH_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault = {0};
        assert_int_equal(shell("%s -out r.pem && openssl req -in r.pem -outform DER -out r.der", cases[i].make), 0);
        const fault_code pem = certificate_authority_check(file("r.pem"), hash, &fault);
        const fault_code der = certificate_authority_check(file("r.der"), hash, &fault);
        assert_int_equal(pem, der);
        if (!cases[i].why != !der || (der && !strstr(fault.text, cases[i].why)))
            fail_msg("%s: %s", cases[i].make, fault.text);
        if (cases[i].why) continue;
        struct certificate_authority *a = authority("ca");
        struct certificate_view view;
        slice leaf;
        CHECK_OK(certificate_authority_issue(a, file("r.der"), "demo/edge-2", clock_wall_ms(), HOUR_MS, arena, &leaf,
                                             &view, &fault));
        assert_string_equal(view.common_name, "demo/edge-2");
        write_file("leaf.pem", leaf);
        assert_int_equal(shell("openssl x509 -in leaf.pem -noout -text | grep -q CA:FALSE"), 0);
        certificate_authority_close(a);
    }
}

TEST(a_request_with_any_bit_changed_is_refused) {
    struct certificate_authority *a = authority("ca");
    struct fault fault;
    struct pair p;
    char hash[CERTIFICATE_HASH_BYTES];
    enrol(a, "demo/edge-2", &p);
    uint8_t bytes[CERTIFICATE_REQUEST_BYTES_MAX];
    for (size_t i = 0; i < p.request.size; i++) {
        memcpy(bytes, p.request.data, p.request.size);
        bytes[i] ^= (uint8_t)(1u << i % 8);
        if (!certificate_authority_check(slice_of(bytes, p.request.size), hash, &fault))
            fail_msg("byte %zu may be changed", i);
    }
    for (size_t size = 0; size < p.request.size; size++)
        assert_int_not_equal(certificate_authority_check(slice_first(p.request, size), hash, &fault), FAULT_NONE);
    memset(bytes, 0x30, sizeof bytes);
    CHECK_FAULT(certificate_authority_check(slice_of(bytes, sizeof bytes), hash, &fault), FAULT_INPUT);
    static const uint8_t large[CERTIFICATE_REQUEST_BYTES_MAX + 1];
    CHECK_FAULT(certificate_authority_check(slice_of(large, sizeof large), hash, &fault), FAULT_INPUT);
    certificate_authority_close(a);
}

TEST(an_authority_signs_while_it_is_valid_and_never_beyond_its_end) {
    struct certificate_authority *a = authority("ca");
    struct fault fault;
    struct pair p;
    const int64_t end_ms = certificate_authority_not_after_ms(a);
    slice pem;
    enrol(a, "demo/edge-2", &p);
    CHECK_OK(certificate_authority_issue(a, p.request, "demo/edge-2", clock_wall_ms(), INT64_C(9000000) * HOUR_MS,
                                         arena, &pem, &p.view, &fault));
    assert_int_equal(p.view.not_after_ms, end_ms);
    CHECK_FAULT(certificate_authority_issue(a, p.request, "demo/edge-2", end_ms, HOUR_MS, arena, &pem, &p.view, &fault),
                FAULT_CONFLICT);
    assert_non_null(strstr(fault.text, "has expired on"));
    CHECK_FAULT(certificate_authority_issue(a, p.request, "demo/edge-2", 0, HOUR_MS, arena, &pem, &p.view, &fault),
                FAULT_CONFLICT);
    certificate_authority_close(a);
}

TEST(who_has_the_key_of_a_certificate_proves_it_and_nobody_else) {
    struct certificate_authority *a = authority("ca"), *other = authority("foreign-ca");
    struct fault fault;
    struct pair p, stranger;
    struct certificate_view view;
    const slice message = SLICE_LIT("renew, please");
    slice signature, forged;
    const int64_t now_ms = clock_wall_ms();
    enrol(a, "demo/edge-2", &p);
    enrol(other, "demo/edge-2", &stranger);
    CHECK_OK(certificate_sign(slice_from_text(p.key), message, arena, &signature, &fault));
    CHECK_OK(certificate_sign(slice_from_text(stranger.key), message, arena, &forged, &fault));
    CHECK_OK(certificate_authority_prove(a, p.pem, message, signature, now_ms, &view, &fault));
    assert_string_equal(view.common_name, "demo/edge-2");
    assert_string_equal(view.serial, p.view.serial);
    CHECK_FAULT(certificate_authority_prove(a, p.pem, message, forged, now_ms, &view, &fault), FAULT_DENIED);
    CHECK_FAULT(certificate_authority_prove(a, p.pem, SLICE_LIT("renew"), signature, now_ms, &view, &fault),
                FAULT_DENIED);
    CHECK_FAULT(certificate_authority_prove(a, p.pem, message, (slice){0}, now_ms, &view, &fault), FAULT_DENIED);
    CHECK_FAULT(certificate_authority_prove(a, stranger.pem, message, forged, now_ms, &view, &fault), FAULT_DENIED);
    CHECK_FAULT(certificate_authority_prove(a, p.pem, message, signature, p.view.not_after_ms, &view, &fault),
                FAULT_DENIED);
    assert_non_null(strstr(fault.text, "expired 0 s ago"));
    CHECK_FAULT(certificate_authority_prove(a, certificate_authority_pem(a), message, signature, now_ms, &view, &fault),
                FAULT_DENIED);
    CHECK_FAULT(certificate_authority_prove(a, file("server.pem"), message, signature, now_ms, &view, &fault),
                FAULT_DENIED);
    CHECK_FAULT(certificate_authority_prove(a, SLICE_LIT("-----BEGIN"), message, signature, now_ms, &view, &fault),
                FAULT_INPUT);
    certificate_authority_close(other);
    certificate_authority_close(a);
}

TEST(what_is_no_authority_is_refused_with_the_reason) {
    static const struct {
        const char *certificate, *key, *why;
    } cases[] = {{"server.pem", "server.key", "no certificate authority's"},
                 {"ca.pem", "server.key", "not that of the certificate"},
                 {"absent.pem", "ca.key", "No such file"},
                 {"ca.key", "ca.key", "read a certificate"},
                 {"ca.pem", "ca.pem", "read a key"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct certificate_authority *a;
        struct fault fault;
        CHECK_FAULT(certificate_authority_open(net_path(&folder, cases[i].certificate), net_path(&folder, cases[i].key),
                                               &a, &fault),
                    FAULT_INPUT);
        if (!strstr(fault.text, cases[i].why)) fail_msg("case %zu: %s", i, fault.text);
    }
}

TEST(a_key_is_matched_with_its_certificate_alone) {
    struct certificate_authority *a = authority("ca");
    struct fault fault;
    struct pair p, q;
    enrol(a, "demo/a", &p);
    enrol(a, "demo/b", &q);
    CHECK_FAULT(certificate_match(p.pem, slice_from_text(q.key), &fault), FAULT_INPUT);
    CHECK_FAULT(certificate_match(SLICE_LIT(""), slice_from_text(q.key), &fault), FAULT_INPUT);
    const slice both = arena_format(arena, "%s%.*s", p.key, SLICE_ARG(p.pem)); /* one file for the two */
    CHECK_OK(certificate_match(both, both, &fault));
    certificate_authority_close(a);
}

static int setup(void **state) {
    if (!net_program_exists("/usr/bin/openssl")) {
        puts("skipped: openssl is not installed");
        exit(77);
    }
    net_folder_make(&folder);
    net_certificates_make(&folder);
    arena = arena_new(1024 * 1024, 64 * 1024 * 1024);
    return arena ? 0 : -1;
}

static int teardown(void **state) {
    arena_free(arena);
    net_folder_free(&folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_says_what_the_authority_decides_and_nothing_of_the_request),
        cmocka_unit_test(a_key_gives_the_same_request_again_and_two_certificates_differ_in_their_serial),
        cmocka_unit_test(authorities_of_other_makers_sign_what_openssl_verifies),
        cmocka_unit_test(requests_are_taken_of_other_makers_and_refused_with_weak_or_strange_keys),
        cmocka_unit_test(a_request_with_any_bit_changed_is_refused),
        cmocka_unit_test(an_authority_signs_while_it_is_valid_and_never_beyond_its_end),
        cmocka_unit_test(who_has_the_key_of_a_certificate_proves_it_and_nobody_else),
        cmocka_unit_test(what_is_no_authority_is_refused_with_the_reason),
        cmocka_unit_test(a_key_is_matched_with_its_certificate_alone),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
