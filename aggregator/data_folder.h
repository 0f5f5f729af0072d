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
#define DATA_UNFINISHED "journal.partial"  /* of a restore that was not finished */
#define DATA_STANDBY "standby"             /* a copy, which is not the centre before somebody says so */
#define DATA_QUEUE_CHANGES "queue_changes" /* for people: intake/queue_changes.h */
#define DATA_BORN "born"                   /* says when it was made itself: in a copy that is not true */

/* Makes the folder when it is not there and takes its lock, which whoever writes in it holds; it ends with the
 * descriptor (close-on-exec). FAULT_CONFLICT: another process has it. */
fault_code data_folder_lock(const char *path, int *ret_fd, struct fault *reterr) MUST_CHECK;

/* FAULT_CONFLICT: a restore was begun here and not finished; what is there is not what was backed up. */
fault_code data_folder_finished(const char *path, struct fault *reterr) MUST_CHECK;

/* A journal that was restored, or a folder that was copied, stands by: agents delete what is acknowledged, so what a
 * second aggregator acknowledges is lost to the first. set is idempotent, on the disk when it returns. Any thread. */
fault_code data_folder_standby_set(const char *path, struct fault *reterr) MUST_CHECK;
bool data_folder_stands_by(const char *path);
/* Whether the folder is a copy (cp, rsync, tar; not a snapshot of the disk, which is as old as what it is of): it stands by
 * from then on. With its lock held. ret_copied: it was found now. Where the file system does not say when a file was made
 * nothing is found. */
fault_code data_folder_look_for_copy(const char *path, bool *ret_copied, struct fault *reterr) MUST_CHECK;
/* FAULT_ABSENT: it does not stand by. */
fault_code data_folder_take_over(const char *path, struct fault *reterr) MUST_CHECK;

#endif
