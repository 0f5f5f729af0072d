/* SPDX-License-Identifier: Apache-2.0
 * Any bytes of a broker, whole and byte by byte: both ways the verdict is the same. Then as what we send. */
#include "common/net/mqtt_guard.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { PUBLISH_BYTES_MAX = 1024 * 1024 };
    struct mqtt_guard whole, single;
    struct fault whole_fault = {0}, single_fault = {0};
    mqtt_guard_begin(&whole, PUBLISH_BYTES_MAX, 64);
    mqtt_guard_begin(&single, PUBLISH_BYTES_MAX, 64);
    for (uint8_t i = 1; i < 16; i++) {
        const uint8_t sent[] = {0x32, 6, 0, 1, 't', 0, i, 0, 0x82, 8, 0, i, 0, 0, 2, 't', '/', 1};
        mqtt_guard_sends(&whole, sent, sizeof sent);
        mqtt_guard_sends(&single, sent, sizeof sent);
    }
    const fault_code code = mqtt_guard_take(&whole, data, size, &whole_fault);
    fault_code same = FAULT_NONE;
    for (size_t i = 0; i < size && !same; i++) {
        same = mqtt_guard_take(&single, data + i, 1, &single_fault);
        if (!same && (single.left > PUBLISH_BYTES_MAX || single.properties_left > PUBLISH_BYTES_MAX)) abort();
    }
    if (code != same || strcmp(whole_fault.text, single_fault.text) != 0) abort();
    mqtt_guard_sends(&whole, data, size);
    return 0;
}
