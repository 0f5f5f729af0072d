/* SPDX-License-Identifier: Apache-2.0
 * The two clocks. Wall time labels what people read and what windows align to; monotonic time measures how long
 * something took and when a timer fires. Pure code (domain, window folding) takes time as an argument and never
 * calls these. Any thread. */
#ifndef PICKET_BASE_CLOCK_H
#define PICKET_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);      /* milliseconds since 1970-01-01 UTC */
int64_t clock_monotonic_ms(void); /* milliseconds since some fixed moment; never goes back */
int64_t clock_monotonic_ns(void);
int64_t clock_boot_ms(void); /* as clock_monotonic_ms, and goes on while the machine is suspended */

#endif
