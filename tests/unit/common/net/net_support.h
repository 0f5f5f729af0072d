/* SPDX-License-Identifier: Apache-2.0
 * What the network tests need around them: a temporary folder, certificates made by the openssl program, child
 * processes that end with the test, and waiting on a loop with a deadline. */
#ifndef PICKET_TESTS_NET_SUPPORT_H
#define PICKET_TESTS_NET_SUPPORT_H

#include <sys/types.h>

#include "common/loop/loop.h"

struct net_folder {
    char path[64];
};

/* Makes a folder under /tmp; its files are removed by net_folder_free. */
void net_folder_make(struct net_folder *ret_folder);
void net_folder_free(const struct net_folder *folder);
/* "<folder>/<name>", in one of eight buffers used in turn. */
const char *net_path(const struct net_folder *folder, const char *name);
void net_write(const struct net_folder *folder, const char *name, const char *text);
/* Makes ca.pem, foreign-ca.pem, and pairs X.pem/X.key: server (localhost, 127.0.0.1), expired (the same names, over since
 * yesterday), other (another name), client, foreign (a client by the foreign authority). */
void net_certificates_make(const struct net_folder *folder);

/* A child that dies with us; its stdin and stdout are pipes. pid 0: none. */
struct net_child {
    pid_t pid;
    int in, out;
};
void net_child_start(struct net_child *ret_child, const char *const *arguments);
int net_child_number(struct net_child *child); /* reads one line of its output as a number */
void net_child_kill(struct net_child *child);  /* SIGKILL and wait */

int net_free_port(void);
bool net_program_exists(const char *path);
/* Runs the loop until *flag is true, or for a dozen times deadline_ms, which is what a quiet machine needs at most; gives back *flag. */
bool net_loop_until(struct loop *loop, const bool *flag, int64_t deadline_ms);
void net_loop_for(struct loop *loop, int64_t time_ms);

#endif
