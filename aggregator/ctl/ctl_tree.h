/* SPDX-License-Identifier: Apache-2.0
 * Answers and files as trees of values whatever their message: JSON comes out of the codec checked and
 * canonical, is read as YAML (of which it is a part), looked into by path, and written as YAML; files go the
 * other way. One arena each. */
#ifndef PICKET_CTL_CTL_TREE_H
#define PICKET_CTL_CTL_TREE_H

#include "common/base/text.h"
#include "common/settings/yaml_reader.h"

/* file_name stands in the messages. JSON may be of any size that the arena takes; depth is bounded by 32. */
fault_code ctl_tree_read(slice yaml, const char *file_name, struct arena *arena, struct yaml_node **ret_first,
                         struct fault *reterr) MUST_CHECK;
/* The value at "budget.currentBudgetRemaining"; NULL when there is none. */
const struct yaml_node *ctl_tree_at(const struct yaml_node *node, const char *path);
/* Its text; empty when there is none or it is not a scalar. */
slice ctl_tree_text(const struct yaml_node *node, const char *path);
/* Plain numbers, true, false and null as themselves, all else as strings. Entries called `without` at the top
 * are left out (NULL: none). indent -1: on one line; else pretty, the value itself being indented so far. */
void ctl_tree_add_json(struct text *text, const struct yaml_node *node, const char *without, int indent);
/* Block style, `indent` spaces before each line. */
void ctl_tree_add_yaml(struct text *text, const struct yaml_node *node, int indent);

#endif
