/* SPDX-License-Identifier: Apache-2.0
 * Statements are found by their text in a small open table, so that callers write the SQL where they use it and pay
 * for its preparation once. In SQLite "$2" is a name and its index depends on where it stands first, so each
 * statement keeps the indexes of $1 to $16. Connections are opened without SQLite's own mutexes: the header gives
 * each to one thread at a time. */
#include "common/store/sql.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* 32 MiB. A large transaction changes more pages than SQLite's own 1000, and the next one mostly the same: a checkpoint
 * behind each would write every page twice. */
#define WAL_PAGES "8192"
enum { STATEMENTS_MAX = 128, PARAMETERS_MAX = 16, BUSY_MS = 5000, CACHE_KIB = 8 * 1024 };

struct sql_statement {
    const char *text;
    struct sql *sql;
    sqlite3_stmt *prepared;
    int index[PARAMETERS_MAX + 1]; /* of $number; 0: not in the text */
};

struct sql {
    sqlite3 *connection;
    char *path;
    enum sql_mode mode;
    struct sql_statement statements[STATEMENTS_MAX];
    size_t statements_count;
};

struct sql_readers {
    pthread_mutex_t lock;
    pthread_cond_t given;
    struct sql **idle;
    unsigned idle_count, count;
};

static fault_code sql_fault(const struct sql *sql, int code, const char *doing, struct fault *reterr) {
    fault_code ours = FAULT_SYSTEM;
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: ours = FAULT_AGAIN; break;
    case SQLITE_FULL: ours = FAULT_LIMIT; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: ours = FAULT_CORRUPT; break;
    case SQLITE_CONSTRAINT: ours = FAULT_CONFLICT; break;
    case SQLITE_READONLY:
    case SQLITE_PERM: ours = FAULT_DENIED; break;
    default: break;
    }
    return fault_set(reterr, ours, "%s in '%s': %s", doing, sql->path,
                     sql->connection ? sqlite3_errmsg(sql->connection) : sqlite3_errstr(code));
}

fault_code sql_open(const char *path, enum sql_mode mode, struct sql **ret_sql, struct fault *reterr) {
    struct sql *sql = calloc(1, sizeof *sql);
    if (!sql || !(sql->path = strdup(path))) {
        free(sql);
        return fault_set(reterr, FAULT_SYSTEM, "open '%s': no memory", path);
    }
    sql->mode = mode;
    const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                      (mode == SQL_WRITER ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    const mode_t mask = mode == SQL_WRITER ? umask(077) : 0;
    const int code = sqlite3_open_v2(path, &sql->connection, flags, NULL);
    if (mode == SQL_WRITER) (void)umask(mask);
    if (code != SQLITE_OK) {
        (void)sql_fault(sql, code, "open the database", reterr);
        goto failed;
    }
    (void)sqlite3_busy_timeout(sql->connection, BUSY_MS);
    char setup[320];
    snprintf(setup, sizeof setup, "PRAGMA mmap_size=0; PRAGMA cache_size=-%d; PRAGMA temp_store=MEMORY; %s", CACHE_KIB,
             mode == SQL_WRITER ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;"
                                  " PRAGMA wal_autocheckpoint=" WAL_PAGES ";"
                                : "PRAGMA query_only=ON; SELECT count(*) FROM sqlite_schema;");
    if (sql_script(sql, setup, reterr)) goto failed;
    *ret_sql = sql;
    return FAULT_NONE;
failed:
    sql_close(sql);
    return reterr ? reterr->code : FAULT_SYSTEM;
}

struct sql *sql_close(struct sql *sql) {
    if (!sql) return NULL;
    for (size_t i = 0; i < sql->statements_count; i++) sqlite3_finalize(sql->statements[i].prepared);
    sqlite3_close(sql->connection);
    free(sql->path);
    free(sql);
    return NULL;
}

fault_code sql_script(struct sql *sql, const char *script, struct fault *reterr) {
    const int code = sqlite3_exec(sql->connection, script, NULL, NULL, NULL);
    return code == SQLITE_OK ? FAULT_NONE : sql_fault(sql, code, "run a script", reterr);
}

fault_code sql_begin(struct sql *sql, struct fault *reterr) {
    struct sql_statement *statement;
    if (sql_prepare(sql, sql->mode == SQL_WRITER ? "BEGIN IMMEDIATE" : "BEGIN", &statement, reterr))
        return FAULT_SYSTEM;
    return sql_run(statement, reterr);
}

fault_code sql_commit(struct sql *sql, struct fault *reterr) {
    struct sql_statement *statement;
    if (sql_prepare(sql, "COMMIT", &statement, reterr)) return FAULT_SYSTEM;
    return sql_run(statement, reterr);
}

void sql_rollback(struct sql *sql) {
    if (sqlite3_get_autocommit(sql->connection)) return;
    for (size_t i = 0; i < sql->statements_count; i++) (void)sqlite3_reset(sql->statements[i].prepared);
    (void)sqlite3_exec(sql->connection, "ROLLBACK", NULL, NULL, NULL);
}

fault_code sql_prepare(struct sql *sql, const char *text, struct sql_statement **ret_statement, struct fault *reterr) {
    for (size_t i = 0; i < sql->statements_count; i++) {
        struct sql_statement *const known = &sql->statements[i];
        if (known->text != text && strcmp(known->text, text) != 0) continue;
        (void)sqlite3_reset(known->prepared);
        (void)sqlite3_clear_bindings(known->prepared);
        *ret_statement = known;
        return FAULT_NONE;
    }
    if (sql->statements_count == STATEMENTS_MAX)
        return fault_set(reterr, FAULT_LIMIT, "prepare a statement on '%s': %d are kept already", sql->path,
                         STATEMENTS_MAX);
    struct sql_statement *const statement = &sql->statements[sql->statements_count];
    *statement = (struct sql_statement){.text = text, .sql = sql};
    const int code =
        sqlite3_prepare_v3(sql->connection, text, -1, SQLITE_PREPARE_PERSISTENT, &statement->prepared, NULL);
    if (code != SQLITE_OK) return sql_fault(sql, code, "prepare a statement", reterr);
    for (int number = 1; number <= PARAMETERS_MAX; number++) {
        char name[8];
        snprintf(name, sizeof name, "$%d", number);
        statement->index[number] = sqlite3_bind_parameter_index(statement->prepared, name);
    }
    sql->statements_count++;
    *ret_statement = statement;
    return FAULT_NONE;
}

static int parameter(const struct sql_statement *statement, unsigned number) {
    return number >= 1 && number <= PARAMETERS_MAX ? statement->index[number] : 0;
}

/* A failed bind (no memory, text over SQLite's limit) would leave a NULL: the schema's NOT NULL then refuses the row. */
void sql_bind_integer(struct sql_statement *statement, unsigned number, int64_t value) {
    if (parameter(statement, number))
        (void)sqlite3_bind_int64(statement->prepared, parameter(statement, number), value);
}

void sql_bind_text(struct sql_statement *statement, unsigned number, slice value) {
    if (parameter(statement, number))
        (void)sqlite3_bind_text64(statement->prepared, parameter(statement, number),
                                  value.data ? (const char *)value.data : "", value.size, SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bind_bytes(struct sql_statement *statement, unsigned number, slice value) {
    if (parameter(statement, number))
        (void)sqlite3_bind_blob64(statement->prepared, parameter(statement, number),
                                  value.data ? (const void *)value.data : "", value.size, SQLITE_STATIC);
}

fault_code sql_step(struct sql_statement *statement, struct fault *reterr) {
    const int code = sqlite3_step(statement->prepared);
    if (code == SQLITE_ROW) return FAULT_NONE;
    if (code == SQLITE_DONE) {
        (void)sqlite3_reset(statement->prepared);
        return FAULT_ABSENT;
    }
    const fault_code ours = sql_fault(statement->sql, code, "run a statement", reterr);
    (void)sqlite3_reset(statement->prepared);
    return ours;
}

fault_code sql_run(struct sql_statement *statement, struct fault *reterr) {
    fault_code code;
    while ((code = sql_step(statement, reterr)) == FAULT_NONE) {
    }
    return code == FAULT_ABSENT ? FAULT_NONE : code;
}

void sql_reset(struct sql_statement *statement) {
    (void)sqlite3_reset(statement->prepared);
}

int64_t sql_integer(struct sql_statement *statement, int column) {
    return sqlite3_column_int64(statement->prepared, column);
}

slice sql_bytes(struct sql_statement *statement, int column) {
    const void *data = sqlite3_column_blob(statement->prepared, column); /* text is UTF-8 already: no conversion */
    return slice_of(data, (size_t)sqlite3_column_bytes(statement->prepared, column));
}

fault_code sql_readers_open(const char *path, unsigned count, struct sql_readers **ret_readers, struct fault *reterr) {
    struct sql_readers *readers = calloc(1, sizeof *readers);
    if (readers) readers->idle = calloc(count, sizeof *readers->idle);
    if (!readers || !readers->idle) {
        free(readers);
        return fault_set(reterr, FAULT_SYSTEM, "open readers of '%s': no memory", path);
    }
    pthread_mutex_init(&readers->lock, NULL);
    pthread_cond_init(&readers->given, NULL);
    for (; readers->count < count; readers->count++, readers->idle_count++) {
        const fault_code code = sql_open(path, SQL_READER, &readers->idle[readers->count], reterr);
        if (code) {
            sql_readers_close(readers);
            return code;
        }
    }
    *ret_readers = readers;
    return FAULT_NONE;
}

struct sql_readers *sql_readers_close(struct sql_readers *readers) {
    if (!readers) return NULL;
    for (unsigned i = 0; i < readers->idle_count; i++) sql_close(readers->idle[i]);
    pthread_cond_destroy(&readers->given);
    pthread_mutex_destroy(&readers->lock);
    free(readers->idle);
    free(readers);
    return NULL;
}

struct sql *sql_readers_take(struct sql_readers *readers) {
    pthread_mutex_lock(&readers->lock);
    while (!readers->idle_count) pthread_cond_wait(&readers->given, &readers->lock);
    struct sql *sql = readers->idle[--readers->idle_count];
    pthread_mutex_unlock(&readers->lock);
    return sql;
}

void sql_readers_give(struct sql_readers *readers, struct sql *sql) {
    pthread_mutex_lock(&readers->lock);
    readers->idle[readers->idle_count++] = sql;
    pthread_cond_signal(&readers->given);
    pthread_mutex_unlock(&readers->lock);
}
