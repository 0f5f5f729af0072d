/* SPDX-License-Identifier: Apache-2.0
 * What Paho's library needs to be linked with musl. Debian ships it compiled for glibc, and its source is not on every
 * mirror. The two C libraries agree on the layout of what Paho hands over: numbers, strings, FILE *, sockets, threads
 * (glibc's mutexes and conditions are as large or larger), and on 32-bit ARM time in 64 bits, since Debian 13. What
 * is left are names: glibc's headers give checked variants, and variants with 64-bit time, names of their own.
 *
 * The files' functions answer ENOSYS: Paho would use them to keep messages in files or to write a trace, and we have it
 * do neither. cross/deps takes Paho from Debian 13; a release that wants one more name fails to link: add it here.
 * Only the programs for cross targets compile this file. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

int __printf_chk(int flag, const char *format, ...);
int __fprintf_chk(FILE *file, int flag, const char *format, ...);
int __snprintf_chk(char *text, size_t size, int flag, size_t room, const char *format, ...);
int __vsnprintf_chk(char *text, size_t size, int flag, size_t room, const char *format, va_list arguments);
char *__strcpy_chk(char *to, const char *from, size_t room);
long __isoc23_strtol(const char *text, char **ret_end, int base);

int __printf_chk(int flag, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = vprintf(format, arguments);
    va_end(arguments);
    return size;
}

int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int size = vfprintf(file, format, arguments);
    va_end(arguments);
    return size;
}

int __vsnprintf_chk(char *text, size_t size, int flag, size_t room, const char *format, va_list arguments) {
    if (room < size) abort();
    return vsnprintf(text, size, format, arguments);
}

int __snprintf_chk(char *text, size_t size, int flag, size_t room, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int written = __vsnprintf_chk(text, size, flag, room, format, arguments);
    va_end(arguments);
    return written;
}

char *__strcpy_chk(char *to, const char *from, size_t room) {
    const size_t size = strlen(from) + 1;
    if (room < size) abort();
    return memcpy(to, from, size);
}

long __isoc23_strtol(const char *text, char **ret_end, int base) {
    return strtol(text, ret_end, base);
}

#if __SIZEOF_LONG__ == 4
int __gettimeofday64(struct timeval *ret_time, void *zone);
int __getsockopt64(int fd, int level, int name, void *ret_value, socklen_t *size);
int __fcntl_time64(int fd, int command, long argument);
int __pthread_cond_timedwait64(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until);
int __stat64_time64(const char *path, void *ret_status);
int __lstat64_time64(const char *path, void *ret_status);
FILE *fopen64(const char *path, const char *mode);
void *readdir64(void *folder);

int __gettimeofday64(struct timeval *ret_time, void *zone) {
    return gettimeofday(ret_time, NULL);
}

int __getsockopt64(int fd, int level, int name, void *ret_value, socklen_t *size) {
    return getsockopt(fd, level, name, ret_value, size);
}

int __fcntl_time64(int fd, int command, long argument) {
    return fcntl(fd, command, argument);
}

int __pthread_cond_timedwait64(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until) {
    return pthread_cond_timedwait(condition, lock, until);
}

int __stat64_time64(const char *path, void *ret_status) {
    errno = ENOSYS;
    return -1;
}

int __lstat64_time64(const char *path, void *ret_status) {
    errno = ENOSYS;
    return -1;
}

FILE *fopen64(const char *path, const char *mode) {
    errno = ENOSYS;
    return NULL;
}

void *readdir64(void *folder) {
    errno = ENOSYS;
    return NULL;
}
#endif
