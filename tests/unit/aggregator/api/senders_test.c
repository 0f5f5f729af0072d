/* SPDX-License-Identifier: Apache-2.0
 * There are two doors to a command: its method, which asks for a role, and the bus, where the intent's row says who may
 * send it. A person who may not do a thing by the one may not do it by the other. Machines speak on the bus: what a method
 * lets them do the row lets them do too, and a row may let them do more. */
#include "aggregator/api/token_role.h"
#include "aggregator/domain/domain.h"
#include "tests/support/check.h"

static const struct {
    const char *path;
    unsigned intent;
} commands[] = {
#define COMMAND(service, method, request_type, field)                                                                  \
    {"/ameide_core_proto.sre.core.v1." #service "/" #method, SreDomainIntent_##field##_tag},
#include "aggregator/api/rpc_commands.def"
#undef COMMAND
};

static const struct {
    enum method_role role;
    unsigned sender;
    bool person;
} callers[] = {
    {ROLE_VIEWER, 0, true},     {ROLE_RESPONDER, RESPONDERS, true}, {ROLE_APPROVER, APPROVERS, true},
    {ROLE_ADMIN, ADMINS, true}, {ROLE_AGENT, AGENTS, false},        {ROLE_INTEGRATION, INTEGRATIONS, false},
};

TEST(a_person_may_send_the_intent_when_and_only_when_they_may_call_its_method) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct method_desc *method = method_find(slice_from_text(commands[i].path));
        const struct intent_row *row = intent_row_find(commands[i].intent);
        assert_non_null(method);
        assert_non_null(row);
        for (size_t k = 0; k < sizeof callers / sizeof *callers; k++) {
            const bool calls = token_role_allows(callers[k].role, method->role);
            const bool sends = (row->senders & callers[k].sender) != 0;
            if (callers[k].person ? calls == sends : !calls || sends) continue;
            fail_msg("%s: %s %s call %s and %s send it", row->name, token_role_name(callers[k].role),
                     calls ? "may" : "may not", method->name, sends ? "may" : "may not");
        }
    }
}

TEST(the_aggregator_itself_may_send_what_can_be_commanded) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct intent_row *row = intent_row_find(commands[i].intent);
        assert_non_null(row);
        assert_true(row->senders & SELF);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_person_may_send_the_intent_when_and_only_when_they_may_call_its_method),
        cmocka_unit_test(the_aggregator_itself_may_send_what_can_be_commanded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
