/* SPDX-License-Identifier: Apache-2.0
 * Every maximum that has no setting of its own, in one place. A limit that is reached says so by FAULT_LIMIT and
 * its name. */
#ifndef PICKET_BASE_LIMITS_H
#define PICKET_BASE_LIMITS_H

enum {
    LIMIT_OUTSIDE_CALL_MS =
        5 * 60 * 1000, /* no deadline of an outside call is over five minutes (spec 526 section 2.6) */
    LIMIT_TENANT_AND_PRODUCER_BYTES = 64, /* together: a certificate's common name, X.520 ub-common-name */
    LIMIT_AGGREGATE_ID_BYTES = 128,
    LIMIT_MESSAGE_BYTES = 1024 * 1024, /* one MQTT payload or HTTP body */
    LIMIT_BATCH_INTENTS = 4096,        /* intents in one IntentBatch, commands in one commit */
    LIMIT_EXPOSITION_LINE_BYTES = 64 * 1024,
    LIMIT_LABELS_PER_SERIES = 64,
    LIMIT_PAGE_SIZE = 1000,
};

#endif
