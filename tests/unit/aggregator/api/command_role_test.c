/* SPDX-License-Identifier: Apache-2.0
 * Who may call a method that becomes an intent may also send that intent: what the API lets in, the domain takes. */
#include "aggregator/api/token_role.h"
#include "aggregator/domain/domain.h"
#include "tests/support/check.h"

static const struct {
    const char *path;
    unsigned intent;
} commands[] = {
#define COMMAND(service, method, request, field)                                                                       \
    {"/ameide_core_proto.sre.core.v1." #service "/" #method, SreDomainIntent_##field##_tag},
#include "aggregator/api/rpc_commands.def"
#undef COMMAND
};
static const struct {
    enum method_role role;
    unsigned sender;
} callers[] = {{ROLE_VIEWER, 0},     {ROLE_RESPONDER, RESPONDERS}, {ROLE_APPROVER, APPROVERS},
               {ROLE_ADMIN, ADMINS}, {ROLE_AGENT, AGENTS},         {ROLE_INTEGRATION, INTEGRATIONS}};

TEST(who_may_call_a_command_may_send_its_intent) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct method_desc *method = method_find(slice_from_text(commands[i].path));
        const struct intent_row *row = intent_row_find(commands[i].intent);
        if (!method || !row) fail_msg("%s: no such method or intent", commands[i].path);
        if (!row->decide) continue;
        for (size_t c = 0; c < sizeof callers / sizeof *callers; c++)
            if (token_role_allows(callers[c].role, method->role) && !(row->senders & callers[c].sender))
                fail_msg("%s may be called by a %s, who may not send %s", commands[i].path,
                         token_role_name(callers[c].role), row->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_call_a_command_may_send_its_intent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
