/* SPDX-License-Identifier: Apache-2.0
 * The sentences that a scenario may use, and what each does to a journal. */
#ifndef PICKET_TESTS_SCENARIO_STEPS_H
#define PICKET_TESTS_SCENARIO_STEPS_H

#include "common/base/slice.h"

enum { STEP_WORDS_MAX = 12 };

struct scenario; /* one case: a journal of its own, and what it answered last */

struct scenario *scenario_new(void);
struct scenario *scenario_free(struct scenario *scenario);

enum step_result { STEP_DONE, STEP_FAILED, STEP_UNKNOWN };
/* One sentence without its first word. given: what it does must be accepted. ret_why: filled when it fails. */
enum step_result scenario_step(struct scenario *scenario, slice sentence, bool given, char *ret_why, size_t why_size);
/* Prints the sentences that there are. */
void scenario_sentences_print(void);

#endif
