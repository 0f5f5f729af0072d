/* SPDX-License-Identifier: Apache-2.0
 * libcurl has a printf of its own, which hands each character by itself to a function that appends it to a buffer. The
 * request of a scrape is some hundred characters that are written so once or twice, which was a seventh of all
 * instructions of an agent that scrapes small targets. CMakeLists.txt has the linker send its two doors here (--wrap),
 * where the C library's printf writes whole runs: curl's formats are those of C.
 *
 * What is longer than the buffer here, or what printf refuses, goes to curl's own. Should curl be linked as a shared
 * library, or another release have no such names, all works as before, slower. */
#include "common/net/curl_lean.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* curl's names and numbers (its curlx/dynbuf.h and mprintf.h are not installed). */
struct dynbuf;
int curlx_dyn_addn(struct dynbuf *buffer, const void *bytes, size_t size);
char *curl_mvaprintf(const char *format, va_list values);
int __real_curlx_dyn_vprintf(struct dynbuf *buffer, const char *format, va_list values);
int __wrap_curlx_dyn_vprintf(struct dynbuf *buffer, const char *format, va_list values);
char *__wrap_curl_maprintf(const char *format, ...);
enum { LINE_BYTES = 1024, CURLE_TOO_LARGE = 100, MERR_MEM = 1, MERR_TOO_LARGE = 2 };

void curl_lean_use(void) {}

/* Whether it fits. The line has a NUL behind it. */
static bool print(char line[LINE_BYTES], const char *format, va_list values, size_t *ret_size) {
    va_list again;
    va_copy(again, values);
    const int size = vsnprintf(line, LINE_BYTES, format, again);
    va_end(again);
    *ret_size = (size_t)size;
    return size >= 0 && size < LINE_BYTES;
}

int __wrap_curlx_dyn_vprintf(struct dynbuf *buffer, const char *format, va_list values) {
    char line[LINE_BYTES];
    size_t size;
    if (!print(line, format, values, &size)) return __real_curlx_dyn_vprintf(buffer, format, values);
    const int code = curlx_dyn_addn(buffer, line, size); /* frees what is in the buffer when it fails, as theirs does */
    return !code ? 0 : code == CURLE_TOO_LARGE ? MERR_TOO_LARGE : MERR_MEM;
}

char *__wrap_curl_maprintf(const char *format, ...) {
    char line[LINE_BYTES];
    size_t size;
    va_list values;
    va_start(values, format);
    char *const text = print(line, format, values, &size) ? strdup(line) : curl_mvaprintf(format, values);
    va_end(values);
    return text; /* curl frees it by free: http_client gives it no functions for memory */
}
