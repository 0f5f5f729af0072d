/* SPDX-License-Identifier: Apache-2.0
 * Paho without what it does to debug itself. */
#ifndef PICKET_NET_PAHO_LEAN_H
#define PICKET_NET_PAHO_LEAN_H

/* After each MQTTAsync_create: Paho then traces errors only. Calling it from the program is also what links our
 * stand-ins (paho_lean.c) before Paho's own. Thread: the one that creates. */
void paho_lean_use(void);

#endif
