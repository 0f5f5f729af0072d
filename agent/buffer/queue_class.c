/* SPDX-License-Identifier: Apache-2.0
 * Names as they stand in metrics, in the agent's status and in what an operator reads. */
#include "agent/buffer/queue_class.h"

const char *queue_class_name(enum queue_class class) {
    static const char *const names[QUEUE_CLASSES_MAX_] = {"health", "windows", "rest"};
    return (unsigned)class < QUEUE_CLASSES_MAX_ ? names[class] : "unknown";
}
