/* SPDX-License-Identifier: Apache-2.0
 * The name of an agent that is called as its node. A node's name may have 253 bytes (RFC 1123, a DNS subdomain), and tenant
 * and agent together have 64, as the certificate's common name (X.520). Any thread. */
#ifndef PICKET_AGENT_NODE_AGENT_NAME_H
#define PICKET_AGENT_NODE_AGENT_NAME_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/slice.h"

/* Sets *ret_name to the node's name where it fits beside the tenant, else to its beginning, a dash, and the first 12
 * hexadecimal digits of the whole name's SHA-256: the same at each start, and different for names that begin alike. In the
 * arena, NUL behind. False, and *ret_name as it was: the tenant leaves no room even for that, or out of memory. */
bool node_agent_name(slice tenant, slice node, struct arena *arena, slice *ret_name);

#endif
