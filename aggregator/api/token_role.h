/* SPDX-License-Identifier: Apache-2.0
 * Who may call what: roles are a table and no ranks, and each method of the contract names the one that it asks for.
 * One function decides, for the server and for `picketctl roles`. Static tables; any thread. */
#ifndef PICKET_API_TOKEN_ROLE_H
#define PICKET_API_TOKEN_ROLE_H

#include "common/base/text.h"
#include "common/codec/services.h"

/* "viewer" and so on, without ROLE_NONE; NULL and ROLE_NONE when there is no such. */
const char *token_role_name(enum method_role role);
enum method_role token_role_find(slice name);
/* Whether a caller with this role may call a method that asks for that one. */
bool token_role_allows(enum method_role caller, enum method_role method);
/* A program and no person: agent and integration. */
bool token_role_is_machine(enum method_role role);

/* A line for each role with what it is for, then one for each method of the contract, in its order: the role that it asks
 * for, and the roles that may call it. Then what takes a token besides. */
void token_role_table_add(struct text *text);

#endif
