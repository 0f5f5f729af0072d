/* SPDX-License-Identifier: Apache-2.0
 * Runs the cases of one file: scenario_run FILE. Each case begins with a line "Case: ..." and has lines that begin with
 * Given, When, Then, And. A case that fails is told with its line, and the next one runs. */
#include "tests/scenario/scenario_steps.h"

#include <stdio.h>
#include <stdlib.h>

struct run {
    const char *path;
    struct scenario *scenario;
    char title[200];
    unsigned line, cases, failed;
    bool given, broken;
};

static void case_end(struct run *run) {
    if (!run->scenario) return;
    run->cases++;
    run->failed += run->broken;
    printf("%s: %s\n", run->broken ? "FAILED" : "ok", run->title);
    run->scenario = scenario_free(run->scenario);
}

static void complain(struct run *run, slice line, const char *why) {
    printf("%s:%u: %.*s\n    %s\n", run->path, run->line, SLICE_ARG(line), why);
    run->broken = true;
}

static bool starts(slice line, slice word, slice *ret_rest) {
    if (!slice_starts_with(line, word)) return false;
    *ret_rest = slice_from(line, word.size);
    return true;
}

static void sentence(struct run *run, slice line) {
    char why[600] = "";
    slice rest;
    if (run->broken) return; /* what follows a failure says nothing */
    if (!run->scenario) {
        complain(run, line, "there is no 'Case:' before it");
        return;
    }
    if (starts(line, SLICE_LIT("Given "), &rest))
        run->given = true;
    else if (starts(line, SLICE_LIT("When "), &rest) || starts(line, SLICE_LIT("Then "), &rest))
        run->given = false;
    else if (!starts(line, SLICE_LIT("And "), &rest)) {
        complain(run, line, "a line begins with Case:, Given, When, Then, And or #");
        return;
    }
    switch (scenario_step(run->scenario, rest, run->given, why, sizeof why)) {
    case STEP_DONE: break;
    case STEP_FAILED: complain(run, line, why); break;
    case STEP_UNKNOWN:
        complain(run, line, "there is no such sentence; there are:");
        scenario_sentences_print();
        break;
    }
}

static slice trimmed(const char *text) {
    slice line = slice_from_text(text);
    while (line.size && (line.data[0] == ' ' || line.data[0] == '\t')) line = slice_from(line, 1);
    while (line.size && (line.data[line.size - 1] == '\n' || line.data[line.size - 1] == ' ')) line.size--;
    return line;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: scenario_run FILE\n");
        return 2;
    }
    struct run run = {.path = argv[1]};
    FILE *file = fopen(argv[1], "r");
    if (!file) {
        perror(argv[1]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    char text[1000];
    while (fgets(text, sizeof text, file)) {
        slice title;
        const slice line = trimmed(text);
        run.line++;
        if (line.size == 0 || line.data[0] == '#') continue;
        if (starts(line, SLICE_LIT("Case: "), &title)) {
            case_end(&run);
            run.scenario = scenario_new();
            run.broken = false;
            run.given = true;
            snprintf(run.title, sizeof run.title, "%.*s", SLICE_ARG(title));
        } else {
            sentence(&run, line);
        }
    }
    fclose(file);
    case_end(&run);
    printf("%u cases, %u failed\n", run.cases, run.failed);
    return run.failed || run.cases == 0 || run.broken;
}
