/* SPDX-License-Identifier: Apache-2.0
 * The last words of a process that read a mapped file where the disk does not give it (SIGBUS): a disk that fails, a file
 * that was cut short under it. LMDB reads and writes through such a map, so nothing that it was doing can be undone or gone
 * on with: the process ends, as by kill -9, and the next one finds out at its start what can be read. */
#ifndef PICKET_LOGGING_MAP_FAULT_H
#define PICKET_LOGGING_MAP_FAULT_H

/* From now on SIGBUS writes one line to stderr, in the log's format, with the file, what is wrong with it and `instead`
 * (a literal, without quotes and backslashes), and then ends the process by that signal. Call once, at start. */
void map_fault_catch(const char *instead);

#endif
