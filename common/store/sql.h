/* SPDX-License-Identifier: Apache-2.0
 * The door to SQLite, for what can be rebuilt: read tables made from facts. One writer per file, any number of
 * readers; each connection belongs to one thread at a time. SQL stays in the subset that PostgreSQL takes too, with
 * parameters $1 to $16.
 *
 * WAL with synchronous=NORMAL: a power cut may lose the last transactions but never tears one. That is enough here,
 * because rows and the consumer's cursor are in the same transaction: what was lost is folded again. */
#ifndef PICKET_STORE_SQL_H
#define PICKET_STORE_SQL_H

#include "common/base/fault.h"

struct sql;           /* a connection */
struct sql_statement; /* belongs to its connection */

enum sql_mode { SQL_WRITER, SQL_READER };

/* The writer makes the file (0600); readers need it to exist. Waits up to 5 s for another connection's lock.
 * FAULT_CORRUPT when the file is not a database or damaged. */
fault_code sql_open(const char *path, enum sql_mode mode, struct sql **ret_sql, struct fault *reterr) MUST_CHECK;
struct sql *sql_close(struct sql *sql); /* NULL is fine; returns NULL; ends its statements */

/* Runs statements separated by ';' that take no parameters: the schema. `script` is NUL-terminated. */
fault_code sql_script(struct sql *sql, const char *script, struct fault *reterr) MUST_CHECK;
fault_code sql_begin(struct sql *sql, struct fault *reterr) MUST_CHECK; /* takes the write lock in a writer */
fault_code sql_commit(struct sql *sql, struct fault *reterr) MUST_CHECK;
void sql_rollback(struct sql *sql); /* without a transaction: nothing */

/* The statement of this text, reset and unbound; prepared once per connection and kept (at most 128 texts). `text` is
 * a literal: it must live as long as the connection. Valid until it is asked for again. */
fault_code sql_prepare(struct sql *sql, const char *text, struct sql_statement **ret_statement,
                       struct fault *reterr) MUST_CHECK;
/* $number; a number that the text does not use is ignored. Slices are lent until the statement is reset. */
void sql_bind_integer(struct sql_statement *statement, unsigned number, int64_t value);
void sql_bind_text(struct sql_statement *statement, unsigned number, slice value);
void sql_bind_bytes(struct sql_statement *statement, unsigned number, slice value);
/* The next row; FAULT_ABSENT, silently, after the last (the statement is then reset). */
fault_code sql_step(struct sql_statement *statement, struct fault *reterr) MUST_CHECK;
/* Runs to the end and resets; rows are passed over. */
fault_code sql_run(struct sql_statement *statement, struct fault *reterr) MUST_CHECK;
/* Ends a statement that was not stepped to its end: an open read holds back the checkpoint. */
void sql_reset(struct sql_statement *statement);
/* Of the current row, columns from 0; a NULL is 0 or empty. Slices are valid until the next step or reset. */
int64_t sql_integer(struct sql_statement *statement, int column);
slice sql_bytes(struct sql_statement *statement, int column);

/* A bounded set of readers of one file, for threads that come and go: take blocks while all are in use. */
struct sql_readers;
fault_code sql_readers_open(const char *path, unsigned count, struct sql_readers **ret_readers,
                            struct fault *reterr) MUST_CHECK;
struct sql_readers *sql_readers_close(struct sql_readers *readers); /* all given back; NULL is fine */
struct sql *sql_readers_take(struct sql_readers *readers);
void sql_readers_give(struct sql_readers *readers, struct sql *sql);

#endif
