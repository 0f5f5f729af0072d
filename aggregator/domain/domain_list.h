/* SPDX-License-Identifier: Apache-2.0
 * Lists of the contract's messages inside the domain. The generated list types differ by message although they look
 * alike, hence macros. */
#ifndef PICKET_DOMAIN_DOMAIN_LIST_H
#define PICKET_DOMAIN_DOMAIN_LIST_H

#include "common/base/arena.h"

/* Both lists then point to the same items. */
#define LIST_SHARE(to, from) ((to).items = (from).items, (to).count = (from).count)

/* A map of another message: the texts are shared, the entries are new. Empty when memory is out: the arena of a
 * decision is far larger than the largest message. */
#define MAP_COPY(to, from, arena)                                                                                      \
    do {                                                                                                               \
        (to).items = (from).count ? arena_alloc_array((arena), (from).count, sizeof *(to).items) : NULL;               \
        (to).count = (to).items ? (from).count : 0;                                                                    \
        for (size_t entry_ = 0; entry_ < (to).count; entry_++) {                                                       \
            (to).items[entry_].key = (from).items[entry_].key;                                                         \
            (to).items[entry_].value = (from).items[entry_].value;                                                     \
        }                                                                                                              \
    } while (0)

#endif
