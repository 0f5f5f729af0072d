/* SPDX-License-Identifier: Apache-2.0
 * Makes a journal of many facts in a hurry, to measure what reads one: SLI windows of 1,000 SLOs as the writer would
 * have kept them, facts and aggregates, in large transactions without a sync.
 *
 *   fact_journal FOLDER FACTS     FOLDER becomes the environment (an aggregator's data.path/journal) */
#include "aggregator/domain/slo_state.h"
#include "aggregator/journal/aggregate_table.h"
#include "aggregator/journal/fact_log.h"
#include "aggregator/journal/journal_tables.h"
#include "aggregator/journal/names.h"
#include "common/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLOS = 1000, FACTS_IN_COMMIT = 100000, NAME_BYTES = 32 };

struct maker {
    struct kv *kv;
    struct kv_txn *txn;
    struct journal_tables tables;
    struct fact_log log;
    struct names *names;
    struct domain_ids ids;
    uint64_t versions[SLOS];
    char slo_ids[SLOS][NAME_BYTES];
    uint8_t *buffer;
};

static void check(fault_code code, const struct fault *fault) {
    if (!code) return;
    fprintf(stderr, "fact_journal: %s\n", fault->text);
    exit(1);
}

/* The first fact of an SLO makes it, the others are its windows. */
static void fact_add(struct maker *m, uint64_t number, int64_t now_ms) {
    struct fault fault = {0};
    const size_t slo = number % SLOS;
    const slice id = slice_from_text(m->slo_ids[slo]);
    char message_id[UUID_TEXT_SIZE + 1], cause[UUID_TEXT_SIZE + 1];
    uuid_format(domain_ids_next(&m->ids, now_ms), message_id);
    uuid_format(domain_ids_next(&m->ids, now_ms), cause);
    SreDomainFact fact = {
        .has_meta = true,
        .meta = {.message_id = slice_of(message_id, UUID_TEXT_SIZE),
                 .tenant_id = SLICE_LIT("demo"),
                 .has_occurred_at = true,
                 .occurred_at = domain_time(now_ms),
                 .producer = SLICE_LIT("edge-1"),
                 .correlation_id = slice_of(cause, UUID_TEXT_SIZE),
                 .causation_id = slice_of(cause, UUID_TEXT_SIZE),
                 .schema_version = 1,
                 .cluster_id = SLICE_LIT("c1")},
        .has_subject = true,
        .subject = {.aggregate_type = SLICE_LIT("slo"),
                    .aggregate_id = id,
                    .aggregate_version = (int64_t)++m->versions[slo]},
        .sequence = number + 1,
    };
    if (m->versions[slo] == 1) {
        fact.which_fact = SreDomainFact_slo_created_tag;
        SLO *made = &fact.fact.slo_created.slo;
        fact.fact.slo_created.has_slo = true;
        made->slo_id = made->name = id;
        made->target = 99;
        made->window = SLO_WINDOW_7D;
    } else {
        fact.which_fact = SreDomainFact_sli_window_recorded_tag;
        SLIWindow *window = &fact.fact.sli_window_recorded.window;
        fact.fact.sli_window_recorded.has_window = true;
        window->slo_id = id;
        window->cluster_id = SLICE_LIT("c1");
        window->has_window_start = true;
        window->window_start = domain_time(now_ms / 60000 * 60000);
        window->window_seconds = 60;
        window->good = 990;
        window->total = 1000;
        window->scrapes_expected = window->scrapes_seen = 4;
        window->revision = 1;
    }
    check(fact_log_append(&m->log, m->txn, now_ms, &fact, &fault), &fault);
}

static void slos_store(struct maker *m) {
    struct fault fault = {0};
    uint32_t tenant, slo_number;
    check(names_number(m->names, m->txn, NAMES_TENANT, 0, SLICE_LIT("demo"), &tenant, &fault), &fault);
    for (size_t i = 0; i < SLOS; i++) {
        const slice id = slice_from_text(m->slo_ids[i]);
        SLO slo = {.slo_id = id, .name = id, .target = 99, .window = SLO_WINDOW_7D, .version = (int64_t)m->versions[i]};
        if (!m->versions[i]) continue;
        check(names_number(m->names, m->txn, NAMES_SLO, tenant, id, &slo_number, &fault), &fault);
        check(aggregate_put(m->tables.aggregates, m->txn, tenant, AGGREGATE_SLO, id, m->versions[i], &slo, m->buffer,
                            NULL, &fault),
              &fault);
    }
}

int main(int argc, char **argv) {
    struct maker *m = calloc(1, sizeof *m);
    struct fault fault = {0};
    const uint64_t facts = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    if (!m || !facts) {
        fputs("Usage: fact_journal FOLDER FACTS\n", stderr);
        return 2;
    }
    const struct kv_settings settings = {.path = argv[1],
                                         .map_bytes = UINT64_C(64) << 30,
                                         .tables_max = JOURNAL_TABLES_COUNT,
                                         .readers_max = 16,
                                         .sync = KV_SYNC_NONE};
    check(kv_open(&settings, &m->kv, &fault), &fault);
    check(journal_tables_open(m->kv, &m->tables, &fault), &fault);
    check(kv_begin_write(m->kv, &m->txn, &fault), &fault);
    check(fact_log_init(&m->log, m->tables.facts, m->txn, &fault), &fault);
    m->names = names_new(m->tables.names);
    m->buffer = malloc(AGGREGATE_BYTES_MAX);
    if (!m->names || !m->buffer) return 1;
    domain_ids_seed(&m->ids, 1);
    for (size_t i = 0; i < SLOS; i++) snprintf(m->slo_ids[i], NAME_BYTES, "checkout-%04zu", i);
    const int64_t start_ms = clock_wall_ms() - (int64_t)(facts / SLOS) * 60000 / 2;
    for (uint64_t i = 0; i < facts; i++) {
        fact_add(m, i, start_ms + (int64_t)(i / SLOS) * 30000);
        if ((i + 1) % FACTS_IN_COMMIT && i + 1 < facts) continue;
        slos_store(m);
        check(kv_commit(m->txn, &fault), &fault);
        check(kv_begin_write(m->kv, &m->txn, &fault), &fault);
    }
    kv_abort(m->txn);
    fact_log_done(&m->log);
    names_free(m->names);
    kv_close(m->kv);
    free(m->buffer);
    free(m);
    return 0;
}
