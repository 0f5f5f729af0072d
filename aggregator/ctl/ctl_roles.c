/* SPDX-License-Identifier: Apache-2.0
 * roles: who may call what, from the table that the aggregator of the same version decides by. Asks nobody. */
#include "aggregator/api/token_role.h"
#include "aggregator/ctl/ctl.h"

#include <stdio.h>

enum ctl_exit ctl_roles(struct ctl *ctl) {
    struct text text = text_begin(ctl->arena);
    struct fault fault;
    slice page;
    token_role_table_add(&text);
    if (text_end(&text, "the table of roles", &page, &fault)) return ctl_fail(CTL_EXIT_USAGE, "%s", fault.text);
    fwrite(page.data, 1, page.size, stdout);
    return CTL_EXIT_OK;
}
