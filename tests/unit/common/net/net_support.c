/* SPDX-License-Identifier: Apache-2.0
 * Children get PR_SET_PDEATHSIG, so that a broker never outlives a test that crashed. net_loop_until polls the flag
 * from a short timer: callbacks under test need not know the loop. */
#include "net_support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { PATIENCE = 12, PORT_FIRST = 22000, PORTS = 10000 };

static void must(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "test support: %s failed\n", what);
    abort();
}

static void shell(const char *format, const char *folder) {
    char command[4096];
    must((size_t)snprintf(command, sizeof command, "cd %s && exec >>log 2>&1 && set -e && %s", folder, format) <
             sizeof command,
         "long command");
    if (system(command) == 0) return;
    snprintf(command, sizeof command, "cat %s/log >&2", folder);
    (void)!system(command);
    must(false, format);
}

void net_folder_make(struct net_folder *ret_folder) {
    snprintf(ret_folder->path, sizeof ret_folder->path, "/tmp/picket-net-XXXXXX");
    must(mkdtemp(ret_folder->path) != NULL, "mkdtemp");
}

void net_folder_free(const struct net_folder *folder) {
    shell("rm -f ./*", folder->path);
    rmdir(folder->path);
}

const char *net_path(const struct net_folder *folder, const char *name) {
    static char paths[8][160];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder->path, name);
    return path;
}

void net_write(const struct net_folder *folder, const char *name, const char *text) {
    FILE *file = fopen(net_path(folder, name), "w");
    must(file && fputs(text, file) >= 0 && fclose(file) == 0, name);
}

void net_certificates_make(const struct net_folder *folder) {
    shell("key() { openssl ecparam -name prime256v1 -genkey -noout -out $1; };"
          "ca() { key $1.key; openssl req -x509 -new -key $1.key -out $1.pem -days 2 -subj /CN=$1"
          "  -addext keyUsage=critical,keyCertSign,cRLSign; };"
          "leaf() { key $1.key; openssl req -new -key $1.key -out $1.csr -subj /CN=$1; echo \"$4\" >$1.ext;"
          "  sign $1 $2 -days $3 || sign $1 $2 -not_before 20200101000000Z -not_after 20200102000000Z; };"
          /* OpenSSL 3.4 and later refuse negative days, and have options for the dates instead. */
          "sign() { name=$1; issuer=$2; shift 2; openssl x509 -req -in $name.csr -CA $issuer.pem -CAkey $issuer.key"
          "  -CAcreateserial -out $name.pem -extfile $name.ext \"$@\"; };"
          "ca ca; ca foreign-ca;"
          "leaf server ca 2 subjectAltName=DNS:localhost,IP:127.0.0.1;"
          "leaf expired ca -1 subjectAltName=DNS:localhost,IP:127.0.0.1;"
          "leaf other ca 2 subjectAltName=DNS:elsewhere.example;"
          "leaf client ca 2 extendedKeyUsage=clientAuth;"
          "leaf foreign foreign-ca 2 extendedKeyUsage=clientAuth;"
          "chmod 644 *.key",
          folder->path);
}

void net_child_start(struct net_child *ret_child, const char *const *arguments) {
    int in[2], out[2];
    must(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "pipe");
    const pid_t parent = getpid();
    const pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        dup2(in[0], 0);
        dup2(out[1], 1);
        execv(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    *ret_child = (struct net_child){.pid = pid, .in = in[1], .out = out[0]};
}

int net_child_number(struct net_child *child) {
    char text[32] = "";
    for (size_t i = 0; i + 1 < sizeof text && read(child->out, text + i, 1) == 1 && text[i] != '\n'; i++) {
    }
    must(atoi(text) > 0, "reading a child's number");
    return atoi(text);
}

void net_child_kill(struct net_child *child) {
    if (!child->pid) return;
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    close(child->in);
    close(child->out);
    *child = (struct net_child){0};
}

/* Below those that the kernel gives to outgoing connections, and held by a name that every other run of these tests looks
 * at (unix(7), abstract; the same as in tests/e2e/harness.py), so that it is free still when its owner listens on it, and
 * when it does so again. */
int net_free_port(void) {
    static unsigned turn;
    for (unsigned tries = 0; tries < PORTS; tries++) {
        const int port = PORT_FIRST + (int)(((unsigned)getpid() * 97U + turn++) % PORTS);
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        const int size = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "picket-tests-port-%d", port);
        const struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        const int held = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* until this process ends */
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(held >= 0 && fd >= 0, "finding a free port");
        const bool is_free = bind(held, (struct sockaddr *)&name,
                                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size)) == 0 &&
                             bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
        close(fd);
        if (is_free) return port;
        close(held);
    }
    must(false, "finding a free port");
    return 0;
}

bool net_program_exists(const char *path) {
    return access(path, X_OK) == 0;
}

struct wait {
    struct loop *loop;
    struct loop_timer *timer;
    const bool *flag;
    int64_t end_ms;
};

static void wait_tick(void *context) {
    struct wait *wait = context;
    if (*wait->flag || clock_monotonic_ms() >= wait->end_ms)
        loop_stop(wait->loop);
    else
        loop_timer_set(wait->timer, 2);
}

static bool loop_until(struct loop *loop, const bool *flag, int64_t deadline_ms) {
    struct wait wait = {.loop = loop, .flag = flag, .end_ms = clock_monotonic_ms() + deadline_ms};
    wait.timer = loop_timer_new(loop, wait_tick, &wait);
    must(wait.timer != NULL, "timer");
    loop_timer_set(wait.timer, 0);
    loop_run(loop);
    (void)loop_timer_free(wait.timer);
    return *flag;
}

bool net_loop_until(struct loop *loop, const bool *flag, int64_t deadline_ms) {
    return loop_until(loop, flag, PATIENCE * deadline_ms);
}

void net_loop_for(struct loop *loop, int64_t time_ms) {
    const bool never = false;
    (void)loop_until(loop, &never, time_ms);
}
