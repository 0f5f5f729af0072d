/* SPDX-License-Identifier: Apache-2.0
 * MQTT 5 reason codes (OASIS MQTT 5.0 section 2.4) as sentences and fault codes. Any thread. */
#ifndef PICKET_NET_MQTT_REASON_H
#define PICKET_NET_MQTT_REASON_H

#include "common/base/fault.h"

enum { MQTT_REASON_REFUSED = 0x80 }; /* from here on a code says that something was refused */

/* What the code says, for the end of a sentence; never NULL. */
const char *mqtt_reason_text(int reason);
/* FAULT_AGAIN where the same may work later, FAULT_DENIED, FAULT_LIMIT, FAULT_INPUT, else FAULT_SYSTEM. */
fault_code mqtt_reason_fault(int reason);

#endif
