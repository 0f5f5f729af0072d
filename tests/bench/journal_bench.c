/* SPDX-License-Identifier: Apache-2.0
 * How many SLI-window intents a second the journal commits, with full sync, through the real way in: encoded batches
 * of as many as fit 1 MiB (4,096 at most) in several streams of one agent, 1,000 SLOs, decoded, validated, decided and
 * chained by the writer.
 *
 *   journal_bench [FOLDER] [BATCHES]     prints a line with "N intents/s"; without a folder (or "") it makes one and takes
 *                                        it away again, under TMPDIR
 *
 * JOURNAL_BENCH_SLOS: so many SLOs. JOURNAL_BENCH_HOURS: before the clock starts each SLO gets a window of each of so many
 * hours, as when an outage of so many is nearly drained; the measured windows follow on those.
 *
 * The batches are encoded before the clock starts; at most one a stream is on its way at a time. "a core" divides by
 * the process's CPU time (all threads), so that it says the same on a busy machine.
 *
 * Then all of it but the newest facts is old, and is compacted while nobody asks: facts a second of the writer's time, and
 * the longest pause that it made. */
#include "aggregator/domain/slo_state.h"
#include "aggregator/journal/journal.h"
#include "common/base/clock.h"
#include "common/codec/codec.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SLOS = 1000, HOUR_S = 3600, WINDOW_S = 60, BATCH = LIMIT_BATCH_INTENTS, STREAMS = 4, BATCHES = 100 };

struct bench {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned waiting, slos;
    uint64_t applied, refused, failed;
    char why[480];
};

static void die(const char *what, const struct fault *fault) {
    fprintf(stderr, "journal_bench: %s: %s\n", what, fault ? fault->text : "");
    exit(1);
}

static void answered(struct bench *bench) {
    pthread_mutex_lock(&bench->lock);
    bench->waiting--;
    pthread_cond_signal(&bench->changed);
    pthread_mutex_unlock(&bench->lock);
}

static void on_command(void *context, const struct journal_outcome *outcome) {
    struct bench *bench = context;
    if (outcome->result != JOURNAL_COMMITTED) {
        bench->failed++;
        snprintf(bench->why, sizeof bench->why, "%s", outcome->fault.text);
    }
    answered(bench);
}

static void on_batch(void *context, const struct journal_batch_outcome *outcome) {
    struct bench *bench = context;
    bench->applied += outcome->applied;
    bench->refused += outcome->refused;
    if (outcome->result != JOURNAL_COMMITTED) {
        bench->failed++;
        snprintf(bench->why, sizeof bench->why, "%s", outcome->fault.text);
    }
    answered(bench);
}

static void wait_below(struct bench *bench, unsigned limit) {
    pthread_mutex_lock(&bench->lock);
    while (bench->waiting >= limit) pthread_cond_wait(&bench->changed, &bench->lock);
    bench->waiting++;
    pthread_mutex_unlock(&bench->lock);
}

static slice slo_name(struct arena *arena, unsigned i) {
    return arena_format(arena, "checkout-availability-%04u", i);
}

static void slos_make(struct journal *journal, struct bench *bench, struct arena *arena) {
    for (unsigned i = 0; i < bench->slos; i++) {
        SreDomainIntent intent = {.which_intent = SreDomainIntent_create_slo_tag};
        CreateSLORequested *create = &intent.intent.create_slo;
        create->slo_id = slo_name(arena, i);
        create->name = SLICE_LIT("Checkout answers");
        create->target = 99.9;
        create->window = SLO_WINDOW_30D;
        create->has_sli_spec = true;
        create->sli_spec.which_kind = SLISpec_counter_ratio_tag;
        create->sli_spec.kind.counter_ratio.total_selector = SLICE_LIT("http_requests_total");
        create->sli_spec.kind.counter_ratio.bad_selector = SLICE_LIT("http_requests_total{code=~\"5..\"}");
        create->sli_spec.window_seconds = 60;
        slice bytes;
        struct fault fault = {0};
        if (codec_encode_protobuf(&SreDomainIntent_desc, &intent, arena, &bytes, &fault)) die("encode", &fault);
        const struct journal_command command = {
            .caller = {.tenant = SLICE_LIT("acme"), .actor = SLICE_LIT("bench"), .role = ROLE_ADMIN},
            .intent = bytes,
            .done = on_command,
            .context = bench,
        };
        wait_below(bench, 1000);
        if (journal_submit(journal, &command, &fault)) die("submit", &fault);
    }
    wait_below(bench, 1);
    answered(bench);
}

/* Where the windows of batch after batch lie: slos of them, then step_s on. */
struct course {
    unsigned slos, index_before; /* the batch before its first, in all */
    int64_t start_s, step_s;
};

/* The windows of a batch follow those of the batch before it, whatever its stream; `first` counts in the stream. */
static slice batch_make(struct arena *arena, unsigned index, const struct course *course) {
    const uint64_t first = 1 + (uint64_t)(index / STREAMS) * BATCH;
    IntentBatch batch = {.epoch = SLICE_LIT("0190a5c0-7e1f-7000-8000-000000000001"),
                         .stream = 1 + index % STREAMS,
                         .after_sequence = first - 1,
                         .first_sequence = first};
    batch.intents.items = arena_alloc_array(arena, BATCH, sizeof *batch.intents.items);
    if (!batch.intents.items) die("no memory", NULL);
    batch.intents.count = BATCH;
    for (unsigned i = 0; i < BATCH; i++) {
        const uint64_t number = (uint64_t)(index - course->index_before) * BATCH + i;
        SreDomainIntent *intent = &batch.intents.items[i];
        char id[UUID_TEXT_SIZE + 1];
        uuid_format(uuid_v7_new(), id);
        intent->has_meta = true;
        intent->meta.message_id = arena_copy(arena, slice_of(id, UUID_TEXT_SIZE));
        intent->meta.tenant_id = SLICE_LIT("acme");
        intent->meta.producer = SLICE_LIT("edge-0001");
        intent->meta.schema_version = 1;
        intent->meta.has_occurred_at = true;
        intent->meta.occurred_at.seconds = course->start_s;
        intent->meta.cluster_id = SLICE_LIT("cluster-north-1");
        intent->which_intent = SreDomainIntent_record_sli_window_tag;
        RecordSLIWindowRequested *window = &intent->intent.record_sli_window;
        window->slo_id = slo_name(arena, (unsigned)(number % course->slos));
        intent->has_subject = true;
        intent->subject.aggregate_type = SLICE_LIT("slo");
        intent->subject.aggregate_id = window->slo_id;
        window->cluster_id = SLICE_LIT("cluster-north-1");
        window->has_window_start = true;
        window->window_start.seconds = course->start_s + (int64_t)(number / course->slos) * course->step_s;
        window->window_seconds = WINDOW_S;
        window->total = 1000 + (int64_t)(number % 977);
        window->good = window->total - (number % 500 == 0);
        window->scrapes_expected = window->scrapes_seen = 4;
        window->revision = 1;
    }
    slice bytes;
    struct fault fault = {0};
    if (codec_encode_protobuf(&IntentBatch_desc, &batch, arena, &bytes, &fault)) die("encode a batch", &fault);
    if (bytes.size > LIMIT_MESSAGE_BYTES) die("a batch is over 1 MiB", NULL);
    return bytes;
}

static int64_t cpu_us(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

/* What the process had written to the disk until now; 0 where the kernel does not say. */
static double written_bytes(void) {
    char line[128];
    double bytes = 0;
    FILE *file = fopen("/proc/self/io", "re");
    while (file && fgets(line, sizeof line, file)) (void)sscanf(line, "write_bytes: %lf", &bytes);
    if (file) (void)fclose(file);
    return bytes;
}

static void print(const struct journal_stats *before, const struct journal_stats *after, uint64_t intents,
                  double seconds, int64_t cpu, double bytes, double written) {
    const double count = (double)intents;
    const double commits = (double)(after->commits - before->commits);
    const double commit_s = (double)(after->commit_ns - before->commit_ns) / 1e9;
    const double decide_s = (double)(after->decide_ns - before->decide_ns) / 1e9;
    printf("%.0f intents/s\n", count / seconds);
    printf("%.0f a core-second (%.2f us of CPU each), %.2f us to decide, %.0f a commit of %.1f ms, %.0f %% of the time "
           "in commits, %.0f bytes each, %.0f written for each\n",
           count * 1e6 / (double)cpu, (double)cpu / count, decide_s * 1e6 / count, count / commits,
           commit_s * 1e3 / commits, commit_s / seconds * 100, bytes / BATCH, written / count);
}

static void folder_make(char *path, size_t size) {
    const char *parent = getenv("TMPDIR");
    snprintf(path, size, "%s/journal-bench-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(path)) die("make a folder under TMPDIR", NULL);
}

static void folder_drop(const char *path) {
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char file[512];
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        (void)unlink(file);
    }
    (void)rmdir(path);
}

/* The writer alone, with nothing else to do. */
static void compact(const struct journal_settings *before) {
    struct journal_settings settings = *before;
    struct journal *journal;
    struct journal_stats stats = {0};
    struct fault fault = {0};
    settings.retention.sli_windows_ms = 1;
    if (journal_open(&settings, &journal, &fault)) die("open again", &fault);
    const uint64_t last = journal_last_sequence(journal);
    uint64_t seen = 0;
    for (int quiet = 0; quiet < 20; quiet = stats.compacted == seen ? quiet + 1 : 0) {
        seen = stats.compacted;
        usleep(100 * 1000);
        journal_stats(journal, &stats);
    }
    if (stats.compacted < last / 2) die("not everything was compacted", NULL);
    printf("%.0f facts compacted a second, in %llu slices, the longest %.1f ms\n",
           (double)stats.compacted * 1e9 / (double)stats.slice_ns, (unsigned long long)stats.slices,
           (double)stats.slice_ns_max / 1e6);
    journal_close(journal);
}

static unsigned number_of(const char *name, unsigned otherwise) {
    const char *text = getenv(name);
    return text && *text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void send(struct journal *journal, struct bench *bench, slice payload) {
    struct fault fault = {0};
    wait_below(bench, STREAMS);
    if (journal_submit_batch(journal, SLICE_LIT("acme"), SLICE_LIT("edge-0001"), payload, on_batch, bench, &fault))
        die("submit a batch", &fault);
}

static void check_applied(const struct bench *bench, uint64_t intents) {
    if (bench->failed || bench->refused || bench->applied != intents)
        die(bench->why[0] ? bench->why : "not every intent was applied", NULL);
}

/* A window of each hour for each SLO; how many batches that took. */
static unsigned hours_fill(struct journal *journal, struct bench *bench, const struct course *course, unsigned hours,
                           struct arena *scratch) {
    const unsigned batches = (hours * course->slos + BATCH - 1) / BATCH;
    for (unsigned i = 0; i < batches; i++) {
        send(journal, bench, batch_make(scratch, i, course));
        arena_reset(scratch); /* the journal has a copy */
    }
    wait_below(bench, 1);
    answered(bench);
    check_applied(bench, (uint64_t)batches * BATCH);
    return batches;
}

int main(int argc, char **argv) {
    char folder[256];
    const bool own_folder = argc < 2 || !*argv[1];
    if (own_folder) folder_make(folder, sizeof folder);
    const unsigned batches = argc > 2 ? (unsigned)atoi(argv[2]) : BATCHES;
    struct bench bench = {.lock = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER,
                          .slos = number_of("JOURNAL_BENCH_SLOS", SLOS)};
    const struct journal_settings settings = {
        .path = own_folder ? folder : argv[1], .map_bytes = UINT64_C(32) << 30, .sync = KV_SYNC_FULL};
    struct journal *journal;
    struct fault fault = {0};
    if (journal_open(&settings, &journal, &fault)) die("open", &fault);
    struct arena *arena = arena_new(1 << 20, SIZE_MAX / 2), *scratch = arena_new(1 << 24, SIZE_MAX / 2);
    slice *payloads = calloc(batches, sizeof *payloads);
    if (!arena || !scratch || !payloads) die("no memory", NULL);
    slos_make(journal, &bench, arena);
    if (bench.failed) die(bench.why, NULL);
    struct course course = {.slos = bench.slos,
                            .start_s = clock_wall_ms() / 1000 / HOUR_S * HOUR_S - INT64_C(29) * 24 * HOUR_S,
                            .step_s = HOUR_S};
    const unsigned hours = number_of("JOURNAL_BENCH_HOURS", 0);
    course.index_before = hours_fill(journal, &bench, &course, hours, scratch);
    course.start_s += (int64_t)(hours + 1) * HOUR_S; /* the fill's last batch may reach into the hour behind */
    course.step_s = WINDOW_S;
    const uint64_t filled = bench.applied;
    for (unsigned i = 0; i < batches; i++) {
        payloads[i] = arena_copy(arena, batch_make(scratch, course.index_before + i, &course));
        arena_reset(scratch);
    }
    struct journal_stats before, after;
    journal_stats(journal, &before);
    const double written_before = written_bytes();
    const int64_t cpu_before = cpu_us(), started_ns = clock_monotonic_ns();
    for (unsigned i = 0; i < batches; i++) send(journal, &bench, payloads[i]);
    wait_below(&bench, 1);
    const double seconds = (double)(clock_monotonic_ns() - started_ns) / 1e9;
    const int64_t cpu = cpu_us() - cpu_before;
    journal_stats(journal, &after);
    const uint64_t intents = (uint64_t)batches * BATCH;
    check_applied(&bench, filled + intents);
    print(&before, &after, intents, seconds, cpu, (double)payloads[0].size, written_bytes() - written_before);
    journal_close(journal);
    compact(&settings);
    if (own_folder) folder_drop(folder);
    arena_free(arena);
    arena_free(scratch);
    free(payloads);
    return 0;
}
