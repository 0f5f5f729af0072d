/* SPDX-License-Identifier: Apache-2.0
 * Fills a journal as producers would, through the domain: so many firing alerts and open incidents of the tenant "demo".
 *
 *   populate JOURNAL_FOLDER ALERTS INCIDENTS */
#include "aggregator/journal/journal.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"
#include "sre.pb.h"

#include <stdio.h>
#include <stdlib.h>

enum { GROUP = 1000, INTENT_BYTES_MAX = 2048 };

struct populate {
    struct journal *journal;
    uint64_t committed;
};

static void die(const char *text) {
    fprintf(stderr, "populate: %s\n", text);
    exit(1);
}

static void on_outcome(void *context, const struct journal_outcome *outcome) {
    if (outcome->result != JOURNAL_COMMITTED) die(outcome->fault.text);
    ((struct populate *)context)->committed++;
}

static void submit(struct populate *p, const SreDomainIntent *intent) {
    uint8_t bytes[INTENT_BYTES_MAX];
    size_t size;
    struct fault fault;
    if (codec_encode_protobuf_into(&SreDomainIntent_desc, intent, bytes, sizeof bytes, &size, &fault)) die(fault.text);
    const struct journal_command command = {
        .caller = {.tenant = SLICE_LIT("demo"), .actor = SLICE_LIT("alertmanager"), .role = ROLE_INTEGRATION},
        .intent = slice_of(bytes, size),
        .done = on_outcome,
        .context = p};
    if (journal_submit(p->journal, &command, &fault)) die(fault.text);
}

static void submit_alert(struct populate *p, uint64_t n, int64_t now_s) {
    char fingerprint[32], pod[32];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)n);
    snprintf(pod, sizeof pod, "checkout-%llu", (unsigned long long)n);
    IngestAlertRequested_LabelsEntry labels[] = {{.key = SLICE_LIT("alertname"), .value = SLICE_LIT("HighLatency")},
                                                 {.key = SLICE_LIT("namespace"), .value = SLICE_LIT("shop")},
                                                 {.key = SLICE_LIT("pod"), .value = slice_from_text(pod)}};
    SreDomainIntent intent = {.which_intent = SreDomainIntent_ingest_alert_tag};
    intent.intent.ingest_alert = (IngestAlertRequested){
        .fingerprint = slice_from_text(fingerprint),
        .name = SLICE_LIT("HighLatency"),
        .severity = SEVERITY_HIGH,
        .status = ALERT_STATUS_FIRING,
        .source = ALERT_SOURCE_PROMETHEUS,
        .has_starts_at = true,
        .starts_at = {.seconds = now_s - (int64_t)(n % 3600)},
        .has_expires_at = true,
        .expires_at = {.seconds = now_s + 24 * 3600}, /* none expires while it is measured */
        .labels = {.items = labels, .count = 3},
    };
    submit(p, &intent);
}

static void submit_incident(struct populate *p, uint64_t n) {
    char id[32];
    snprintf(id, sizeof id, "inc-%llu", (unsigned long long)n);
    SreDomainIntent intent = {.which_intent = SreDomainIntent_create_incident_tag};
    intent.intent.create_incident = (CreateIncidentRequested){.incident_id = slice_from_text(id),
                                                              .title = SLICE_LIT("Checkout answers slowly"),
                                                              .description = SLICE_LIT("p99 over a second for minutes"),
                                                              .severity = SEVERITY_HIGH,
                                                              .service_id = SLICE_LIT("checkout")};
    submit(p, &intent);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: populate JOURNAL_FOLDER ALERTS INCIDENTS\n");
        return 2;
    }
    const uint64_t alerts = strtoull(argv[2], NULL, 10), incidents = strtoull(argv[3], NULL, 10);
    struct populate p = {0};
    struct fault fault;
    const struct journal_settings settings = {
        .path = argv[1], .map_bytes = UINT64_C(16) << 30, .sync = KV_SYNC_NONE, .without_thread = true};
    if (journal_open(&settings, &p.journal, &fault)) die(fault.text);
    const int64_t now_s = clock_wall_ms() / 1000;
    for (uint64_t n = 0; n < alerts + incidents; n++) {
        if (n < alerts)
            submit_alert(&p, n, now_s);
        else
            submit_incident(&p, n - alerts);
        if (n % GROUP == 0) journal_turn(p.journal);
    }
    journal_close(p.journal);
    if (p.committed != alerts + incidents) die("not all of it was committed");
    return 0;
}
