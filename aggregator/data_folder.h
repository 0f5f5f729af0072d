/* SPDX-License-Identifier: Apache-2.0
 * The folder that data.path names: what lies in it, and who may write to it. */
#ifndef PICKET_AGGREGATOR_DATA_FOLDER_H
#define PICKET_AGGREGATOR_DATA_FOLDER_H

#include "common/base/fault.h"

/* Names inside it. */
#define DATA_JOURNAL "journal"
#define DATA_PROJECTIONS "projections.sqlite"
#define DATA_TOKENS "tokens"
#define DATA_LOCK "lock"
#define DATA_UNFINISHED "journal.partial" /* of a restore that was not finished */

/* Makes the folder when it is not there and takes its lock, which whoever writes in it holds; it ends with the
 * descriptor (close-on-exec). FAULT_CONFLICT: another process has it. */
fault_code data_folder_lock(const char *path, int *ret_fd, struct fault *reterr) MUST_CHECK;

/* FAULT_CONFLICT: a restore was begun here and not finished; what is there is not what was backed up. */
fault_code data_folder_finished(const char *path, struct fault *reterr) MUST_CHECK;

#endif
