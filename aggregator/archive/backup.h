/* SPDX-License-Identifier: Apache-2.0
 * Backups: a folder with `journal/data.mdb` (without free pages), `tokens` and `manifest.json`, which says what is in it
 * and how to know it again. Made beside a running aggregator; given back into an empty data folder. Projections are not
 * in it: they are built again. Nor is the configuration. One thread, and no other in the process. */
#ifndef PICKET_ARCHIVE_BACKUP_H
#define PICKET_ARCHIVE_BACKUP_H

#include "common/base/arena.h"
#include "common/base/fault.h"
#include "sre.pb.h"

/* ret_manifest: in the arena. FAULT_CONFLICT: the target is not empty, or another backup is at it. FAULT_CORRUPT: what was
 * copied is not whole; nothing is kept. The target is there as a whole, on the disk, or not at all. */
fault_code backup_make(const char *data_path, const char *target, struct arena *arena, BackupManifest *ret_manifest,
                       struct fault *reterr) MUST_CHECK;

/* Digests and the journal are checked before the journal is put in its place. FAULT_CONFLICT: the data folder is in use
 * or not empty. FAULT_CORRUPT: the backup is not what its manifest says. FAULT_INPUT: it is none. stands_by: the aggregator
 * that starts on it stays off the broker (data_folder_stands_by). */
fault_code backup_restore(const char *data_path, const char *from, bool stands_by, struct arena *arena,
                          BackupManifest *ret_manifest, struct fault *reterr) MUST_CHECK;

#endif
