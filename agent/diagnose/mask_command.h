/* SPDX-License-Identifier: Apache-2.0
 * Commands whose options are passwords without saying so: "curl -u user:password", "mysql -ppassword". Any thread. */
#ifndef PICKET_DIAGNOSE_MASK_COMMAND_H
#define PICKET_DIAGNOSE_MASK_COMMAND_H

#include "common/base/slice.h"

/* A command that is given word by word, as Kubernetes has it. */
struct mask_command {
    uint32_t rows; /* the commands that were named so far, a bit each */
    enum { MASK_COMMAND_SHOWN, MASK_COMMAND_MAYBE, MASK_COMMAND_USER, MASK_COMMAND_SECRET } next;
};

/* The commands that a text names, as mask_command.rows. */
uint32_t mask_command_find(slice text);
/* Where in the next word begins what is to be masked; the word's size: nowhere. Besides what the commands say it is what
 * follows "--password" and, as nobody knows what it may be, "-p", but for small numbers and paths, also glued to it; and behind
 * "-u" and "--user" what has a colon. */
size_t mask_command_word(struct mask_command *command, slice word);

#endif
