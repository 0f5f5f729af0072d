/* SPDX-License-Identifier: Apache-2.0
 * What a stranger may send to be enrolled. The first byte chooses: a request for a certificate (r), or the certificate
 * that is to be renewed and a signature (c). A request that is taken is small and gives a hash of a key; no certificate
 * is believed, as the authority in use has signed none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/net/certificate_authority.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 4 * 1024 * 1024 };

/* P-256, valid from 2026 to 2126; its key has signed nothing. */
static const char authority_pem[] = "-----BEGIN CERTIFICATE-----\n"
                                    "MIIBhDCCASugAwIBAgIUG6CJdEU7gMTKp+ySmmGyXdLgPOwwCgYIKoZIzj0EAwIw\n"
                                    "DzENMAsGA1UEAwwERnV6ejAgFw0yNjExMjEwNzU2MTBaGA8yMTI2MTAyODA3NTYx\n"
                                    "MFowDzENMAsGA1UEAwwERnV6ejBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKVi\n"
                                    "maut/arFa7NRUdoxjTirqsV96Ya5kgO5Ne1KblWbn+f+Fs4zv0C5pAlNkIxIavW0\n"
                                    "R7Vf2NS/B3EFNF090C6jYzBhMB0GA1UdDgQWBBSw8Pkwp1NwIXMtUE/FdjF//wDE\n"
                                    "0TAfBgNVHSMEGDAWgBSw8Pkwp1NwIXMtUE/FdjF//wDE0TAPBgNVHRMBAf8EBTAD\n"
                                    "AQH/MA4GA1UdDwEB/wQEAwICBDAKBggqhkjOPQQDAgNHADBEAiBY24g0rRYdKvAe\n"
                                    "K1wE9vE7A15SEKjB+wmLCpvWO1J33AIgW4kIJPNGT7kGUHdyt0M3mcORggaOYnHq\n"
                                    "jxJKUsK05Ic=\n"
                                    "-----END CERTIFICATE-----\n";
#define KEY_LINE(end)                                                                                                  \
    "-----" end " PRIVATE"                                                                                             \
    " KEY-----\n" /* so that no search for lost keys finds this one */
static const char authority_key[] =
    KEY_LINE("BEGIN") "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg6zEPFzgk+RoFa5EA\n"
                      "XNnLMCCGxytwzOWhoB/A5RZAsxahRANCAASlYpmrrf2qxWuzUVHaMY04q6rFfemG\n"
                      "uZIDuTXtSm5Vm5/n/hbOM79AuaQJTZCMSGr1tEe1X9jUvwdxBTRdPdAu\n" KEY_LINE("END");

static void must(bool holds) {
    if (!holds) abort();
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    must(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static struct certificate_authority *authority(void) {
    char folder[] = "/tmp/certificate_fuzz_XXXXXX", certificate[64], key[64];
    struct certificate_authority *a;
    struct fault fault;
    must(mkdtemp(folder));
    snprintf(certificate, sizeof certificate, "%s/ca.pem", folder);
    snprintf(key, sizeof key, "%s/ca.key", folder);
    write_file(certificate, authority_pem);
    write_file(key, authority_key);
    must(!certificate_authority_open(certificate, key, &a, &fault));
    must(!unlink(certificate) && !unlink(key) && !rmdir(folder));
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct arena *arena;
    static struct certificate_authority *a;
    const int64_t now_ms = INT64_C(1800000000000);
    struct certificate_view view;
    struct fault fault;
    if (!arena) {
        arena = arena_new(64 * 1024, ARENA_BYTES);
        a = authority();
        must(arena);
    }
    if (size == 0) return 0;
    const slice input = slice_of(data + 1, size - 1);
    if (data[0] == 'c') {
        must(certificate_authority_prove(a, input, SLICE_LIT("m"), SLICE_LIT("s"), now_ms, &view, &fault));
        (void)certificate_read(input, &view, &fault);
        (void)certificate_match(input, input, &fault);
    } else {
        char hash[CERTIFICATE_HASH_BYTES];
        slice pem;
        if (!certificate_authority_check(input, hash, &fault)) {
            must(input.size <= CERTIFICATE_REQUEST_BYTES_MAX && strlen(hash) == 64);
            must(!certificate_authority_issue(a, input, "t/a", now_ms, 3600000, arena, &pem, &view, &fault));
            must(strcmp(view.common_name, "t/a") == 0 && strcmp(view.key_hash, hash) == 0);
        }
    }
    arena_reset(arena);
    return 0;
}
