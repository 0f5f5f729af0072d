/* SPDX-License-Identifier: Apache-2.0
 * Checking and keeping the settings of an MQTT connection. Private to mqtt_client.c. */
#ifndef PICKET_NET_MQTT_SETTINGS_H
#define PICKET_NET_MQTT_SETTINGS_H

#include "common/net/mqtt_client.h"

enum { MQTT_SUBSCRIPTIONS_MAX = 32 };

/* FAULT_INPUT or FAULT_LIMIT: one value is missing or out of its bounds; says which and what is allowed. */
fault_code mqtt_settings_check(const struct mqtt_settings *settings, struct fault *reterr) MUST_CHECK;
/* All but the relay's settings and the subscriptions. false: no memory; what was copied is to be cleared all the same. */
bool mqtt_settings_copy(const struct mqtt_settings *settings, struct mqtt_settings *ret_copy) MUST_CHECK;
void mqtt_settings_clear(struct mqtt_settings *copy); /* frees what a copy holds; one of zeros is fine */

#endif
