/* SPDX-License-Identifier: Apache-2.0
 * Runs the cases of scenario files with one failure in each run: scenario_nth [--sample N] [--seed S] [--kind K] FILE...
 *
 * A run is a process of its own, which ends at the first sentence that does not hold, as it is, with its journal open.
 * What it must have come to is looked at from outside: it passed as written, or what failed was said; it did not crash;
 * and what it left on the disk verifies and opens. Opening a case's first journal is not part of it: tests/simulation
 * lets that fail. The clock's own intents have nobody to tell, so behind a look at the clock silence is right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "aggregator/archive/verify.h"
#include "tests/scenario/step.h"
#include "tests/simulation/injection.h"

enum { LINES_MAX = 4096, LINE_BYTES = 512, OUTPUT_BYTES = 16384, PROCESSES = 2, CALLS_MAX = 1000 };

struct kind {
    const char *name;
    enum injection what;
};
static const struct kind kinds[] = {
    {"store-system", INJECT_STORE_SYSTEM}, {"store-full", INJECT_STORE_FULL}, {"no-memory", INJECT_NO_MEMORY}};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct scenario_case {
    const char *file;
    unsigned first, lines, number; /* of text; line number of its title */
    bool clock;                    /* some sentence lets the aggregator look at its clock */
};

struct cases {
    char (*text)[LINE_BYTES];
    unsigned text_count, text_room;
    struct scenario_case *items;
    unsigned count;
};

/* What a run tells the process that judges it. */
struct report {
    bool struck, passed;
    unsigned calls;
    char folder[64];
};

struct tally {
    unsigned runs, passed, said, wrong;
};

static void must(bool good, const char *what) {
    if (good) return;
    perror(what);
    exit(2);
}

/* ---- reading ---- */

static void line_add(struct cases *all, const char *line) {
    if (all->text_count == all->text_room) {
        all->text_room = all->text_room ? 2 * all->text_room : LINES_MAX;
        all->text = realloc(all->text, all->text_room * sizeof *all->text);
        must(all->text, "memory");
    }
    snprintf(all->text[all->text_count++], LINE_BYTES, "%s", line);
}

static void read_file(struct cases *all, const char *path) {
    FILE *file = fopen(path, "r");
    char line[LINE_BYTES];
    must(file, path);
    for (unsigned number = 1; fgets(line, sizeof line, file); number++) {
        char *begin = line + strspn(line, " \t");
        begin[strcspn(begin, "\n")] = '\0';
        if (begin[0] == '\0' || begin[0] == '#') continue;
        if (strncmp(begin, "Case: ", 6) == 0) {
            all->items = realloc(all->items, (all->count + 1) * sizeof *all->items);
            must(all->items, "memory");
            all->items[all->count++] = (struct scenario_case){.file = path, .first = all->text_count, .number = number};
        }
        struct scenario_case *last = &all->items[all->count - 1];
        last->lines++;
        last->clock |= strstr(begin, "looks at its clock") != NULL;
        line_add(all, begin);
    }
    fclose(file);
}

/* ---- one run, in its own process ---- */

static bool sentences_run(const struct cases *all, const struct scenario_case *one, struct scenario *s) {
    bool given = true;
    for (unsigned i = 1; i < one->lines; i++) {
        const char *line = all->text[one->first + i], *rest = strchr(line, ' ') + 1;
        char why[600] = "";
        if (strncmp(line, "And", 3) != 0) given = strncmp(line, "Given", 5) == 0;
        if (scenario_step(s, slice_from_text(rest), given, why, sizeof why) == STEP_DONE) continue;
        printf("%s:%u: %s\n    %s\n", one->file, one->number + i, line, why);
        return false;
    }
    return true;
}

static void run(const struct cases *all, const struct scenario_case *one, enum injection what, unsigned n,
                struct report *report, int output) {
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    injection_pause(true);
    struct scenario *s = scenario_new();
    snprintf(report->folder, sizeof report->folder, "%s", s->place->folder);
    injection_begin(what, n);
    injection_pause(false);
    report->passed = sentences_run(all, one, s);
    injection_pause(true);
    report->struck = injection_struck_ever();
    report->calls = injection_calls();
    fflush(stdout);
    _exit(0); /* as a kill: the journal is open */
}

/* ---- judging ---- */

static bool says_so(const char *output) {
    static const char *const words[] = {"injected", "memory", "arena"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(output, words[i])) return true;
    return false;
}

static int64_t standing_still(void *context) {
    return JOURNAL_NOW_MS;
}

/* What the run left on the disk. */
static bool left_whole(const char *folder, char *ret_why, size_t why_size) {
    struct fault fault;
    struct verify_progress progress = {0};
    struct verify_result result;
    struct journal *journal;
    const struct verify_settings settings = {.path = folder, .threads = 1, .messages = true, .quiet = true};
    if (verify_journal(&settings, &progress, &result, &fault)) {
        snprintf(ret_why, why_size, "%s", fault.text);
        return false;
    }
    if (result.finding.kind != FINDING_NONE) {
        finding_print(&result.finding, ret_why, why_size);
        return false;
    }
    const struct journal_settings again = {
        .path = folder, .map_bytes = 256 << 20, .sync = KV_SYNC_NONE, .now_ms = standing_still, .without_thread = true};
    if (journal_open(&again, &journal, &fault)) {
        snprintf(ret_why, why_size, "it does not open again: %s", fault.text);
        return false;
    }
    journal_close(journal);
    return true;
}

static void folder_remove(const char *folder) {
    char path[96];
    snprintf(path, sizeof path, "%s/data.mdb", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/lock.mdb", folder);
    unlink(path);
    rmdir(folder);
}

/* Whether the failure came to pass; ret_calls: how many there were that could have failed. */
static bool run_judge(const struct cases *all, const struct scenario_case *one, const struct kind *kind, unsigned n,
                      struct report *report, struct tally *tally, unsigned *ret_calls) {
    static char said[OUTPUT_BYTES];
    char why[1024] = "";
    int status;
    *report = (struct report){0};
    const int output = memfd_create("output", MFD_CLOEXEC);
    must(output >= 0, "memfd_create");
    const pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) run(all, one, kind->what, n, report, output);
    must(waitpid(child, &status, 0) == child, "waitpid");
    const ssize_t size = pread(output, said, sizeof said - 1, 0);
    said[size > 0 ? size : 0] = '\0';
    close(output);
    const bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "it ended by signal %d", WTERMSIG(status));
    else if (!(ended && report->passed) && !says_so(said) && !(report->struck && one->clock))
        snprintf(why, sizeof why, "it does not pass, and nothing says why");
    const bool wrong = why[0] || !left_whole(report->folder, why, sizeof why);
    folder_remove(report->folder);
    tally->runs++;
    tally->passed += !wrong && ended && report->passed;
    tally->said += !wrong && !(ended && report->passed);
    tally->wrong += wrong;
    if (wrong) {
        printf("WRONG: %s:%u: %s, %s, call %u: %s\n%s\n", one->file, one->number, all->text[one->first], kind->name, n,
               why, said);
        fflush(stdout); /* before the next fork */
    }
    *ret_calls = report->calls;
    return report->struck || !ended;
}

/* ---- which runs ---- */

struct plan {
    unsigned sample; /* 0: all */
    uint64_t seed;
    int kind; /* -1: all */
};

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* One of PROCESSES: its share of the cases, or of the sample. Of a case with thousands of calls not each is let fail. */
static void share_run(const struct cases *all, const struct plan *plan, unsigned share, struct report *report,
                      struct tally *tally) {
    unsigned calls;
    uint64_t random = plan->seed + share;
    if (plan->sample) {
        for (unsigned i = share; i < plan->sample; i += PROCESSES) {
            const struct scenario_case *one = &all->items[next_random(&random) % all->count];
            const struct kind *kind = &kinds[plan->kind < 0 ? next_random(&random) % KINDS : (unsigned)plan->kind];
            run_judge(all, one, kind, UINT32_MAX, report, tally, &calls);
            if (calls) run_judge(all, one, kind, 1 + (unsigned)(next_random(&random) % calls), report, tally, &calls);
        }
        return;
    }
    for (unsigned i = share; i < all->count; i += PROCESSES)
        for (int kind = 0; kind < KINDS; kind++) {
            if (plan->kind >= 0 && plan->kind != kind) continue;
            run_judge(all, &all->items[i], &kinds[kind], UINT32_MAX, report, tally, &calls);
            const unsigned stride = calls / CALLS_MAX + 1;
            for (unsigned n = 1; run_judge(all, &all->items[i], &kinds[kind], n, report, tally, &calls);) n += stride;
        }
}

static void *shared(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(memory != MAP_FAILED, "mmap");
    return memory;
}

static int usage(void) {
    fprintf(stderr, "usage: scenario_nth [--sample N] [--seed S] [--kind store-system|store-full|no-memory] FILE...\n");
    return 2;
}

int main(int argc, char **argv) {
    struct plan plan = {.seed = (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid(), .kind = -1};
    struct cases all = {0};
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--sample") == 0) plan.sample = (unsigned)strtoul(argv[at + 1], NULL, 10);
        if (strcmp(argv[at], "--seed") == 0) plan.seed = strtoull(argv[at + 1], NULL, 10);
        for (int kind = 0; kind < KINDS; kind++)
            if (strcmp(argv[at], "--kind") == 0 && strcmp(argv[at + 1], kinds[kind].name) == 0) plan.kind = kind;
    }
    injection_pause(true);
    for (; at < argc; at++) read_file(&all, argv[at]);
    if (!all.count) return usage();
    printf("seed %llu, %u cases\n", (unsigned long long)plan.seed, all.count);
    fflush(stdout);
    struct tally *tallies = shared(PROCESSES * sizeof *tallies), sum = {0};
    for (unsigned share = 0; share < PROCESSES; share++) {
        const pid_t worker = fork();
        must(worker >= 0, "fork");
        if (worker) continue;
        setvbuf(stdout, NULL, _IOFBF, 1 << 16);
        share_run(&all, &plan, share, shared(sizeof(struct report)), &tallies[share]);
        fflush(stdout);
        _exit(0);
    }
    bool good = true;
    for (unsigned share = 0, status; share < PROCESSES; share++) good &= wait((int *)&status) > 0 && status == 0;
    for (unsigned share = 0; share < PROCESSES; share++) {
        sum.runs += tallies[share].runs;
        sum.passed += tallies[share].passed;
        sum.said += tallies[share].said;
        sum.wrong += tallies[share].wrong;
    }
    printf("%u runs: %u passed as written, %u said what failed, %u wrong\n", sum.runs, sum.passed, sum.said, sum.wrong);
    free(all.text);
    free(all.items);
    return !good || sum.wrong || !sum.runs;
}
