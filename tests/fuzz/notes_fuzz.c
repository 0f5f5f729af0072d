/* SPDX-License-Identifier: Apache-2.0
 * What the queue's folder keeps for the next life of the agent: the first byte chooses the note of Applications (a), of a
 * cluster (c), or a snapshot of the fold (f for the whole, t for a target), whose checksum is put right. Whatever is taken
 * of it goes on to live for a while. */
#include "agent/applications/applications.h"
#include "agent/health/cluster_state.h"
#include "agent/window/fold.h"
#include "agent/window/sli.h"
#include "common/base/checksum.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW_MS_SECONDS = 1700000000, ARENA_BYTES = 16 * 1024 * 1024 };
static const int64_t now_ms = NOW_MS_SECONDS * INT64_C(1000);

static void must(bool holds) {
    if (!holds) abort();
}

static void applications(slice note, struct arena *arena) {
    const struct applications_settings settings = {60000, 10000, 90000, 20, SLICE_LIT("default"), SLICE_LIT("c1")};
    const struct applications_time now = {now_ms, 5000};
    struct applications *made;
    struct fault fault;
    must(!applications_new(&settings, now, &made, &fault));
    (void)!applications_restore(made, note, now, &fault);
    applications_free(made);
}

static const struct zone *no_zone(void *context, slice name) {
    return NULL;
}

static void cluster(slice note, struct arena *arena) {
    const struct cluster_state_settings settings = {.cluster_id = SLICE_LIT("c1"),
                                                    .report = ~0u,
                                                    .objects_max = 20,
                                                    .recover_ms = 1000,
                                                    .flap_count = 3,
                                                    .flap_window_ms = 60000,
                                                    .heartbeat_ms = 60000,
                                                    .settle_ms = 1000,
                                                    .zone = no_zone};
    struct cluster_state *state;
    struct fault fault;
    must(!cluster_state_new(&settings, 7, now_ms, &state, &fault));
    must(!cluster_state_expect(state, KUBE_PODS, (slice){0}, &fault));
    must(!cluster_state_expect(state, KUBE_NODES, (slice){0}, &fault));
    slice notes[CLUSTER_NOTES] = {0};
    notes[note.size > 4 ? note.data[4] % CLUSTER_NOTES : 0] = note; /* where its sequence has it */
    (void)!cluster_state_load(state, notes, now_ms, &fault);
    for (int64_t i = 1; i < 100; i++) cluster_state_tick(state, now_ms + i * 1000);
    cluster_state_free(state);
}

static void fold(slice record, bool whole) {
    const struct fold_settings settings = {.series_max = 8, .series_forget_ms = 3600000, .gap_windows_max = 10};
    const struct fold_target target = {SLICE_LIT("t"), false, 15000, 0, 10000};
    const slice targets[] = {SLICE_LIT("t")};
    const struct sli_definition definition = {.slo_id = SLICE_LIT("s"),
                                              .kind = SLI_RATIO_GOOD,
                                              .good = SLICE_LIT("a_total{ok=\"1\"}"),
                                              .total = SLICE_LIT("a_total"),
                                              .window_seconds = 60,
                                              .targets = targets,
                                              .targets_count = 1};
    struct sli *sli;
    struct fold *made;
    struct fault fault;
    struct sli_window windows[16];
    size_t count;
    must(!sli_new(&definition, &sli, &fault));
    must(!fold_new(&settings, &target, 1, (const struct sli *const[]){sli}, 1, now_ms, &made, &fault));
    (void)!fold_restore(made, whole ? record : (slice){0}, &record, whole ? 0 : 1, now_ms, &fault);
    for (int64_t i = 1; i < 20; i++) {
        fold_seal_begin(made, now_ms + i * 60000, windows, 16, &count);
        if (count) fold_seal_commit(made);
    }
    must(fold_snapshot(made).size <= fold_snapshot_bytes_max(made));
    fold_free(made);
    sli_free(sli);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 9) return 0;
    struct arena *const arena = arena_new(64 * 1024, ARENA_BYTES);
    uint8_t *const copy = malloc(size - 1);
    must(arena && copy);
    memcpy(copy, data + 1, size - 1);
    const slice note = slice_of(copy, size - 1);
    const uint32_t check = checksum_crc32c(0, slice_first(note, note.size - 4));
    if (data[0] == 'f' || data[0] == 't')
        for (int i = 0; i < 4; i++) copy[note.size - 4 + (size_t)i] = (uint8_t)(check >> 8 * i);
    switch (data[0]) {
    case 'a': applications(note, arena); break;
    case 'c': cluster(note, arena); break;
    case 'f': fold(note, true); break;
    case 't': fold(note, false); break;
    default: break;
    }
    free(copy);
    arena_free(arena);
    return 0;
}
