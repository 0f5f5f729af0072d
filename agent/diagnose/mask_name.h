/* SPDX-License-Identifier: Apache-2.0
 * Which names stand beside secrets. A name's words are told apart by marks and by large letters ("DB_PASS", "dbPass"). Any
 * thread. */
#ifndef PICKET_DIAGNOSE_MASK_NAME_H
#define PICKET_DIAGNOSE_MASK_NAME_H

#include "common/base/slice.h"

enum { MASK_NAME_BYTES_MAX = 128 }; /* of a longer one its end counts */

enum mask_name {
    MASK_NAME_OTHER,
    MASK_NAME_SECRET,  /* "password" */
    MASK_NAME_SECRETS, /* "tokens": secrets, or how many there are */
    MASK_NAME_PHRASE,  /* "password" too, and said in sentences: a quoted text may follow without a mark between */
    MASK_NAME_LINE,    /* "Authorization": the value is all the rest of the line */
    MASK_NAME_OF_PAIR, /* "name", "key": the value is a name, and a "value" stands beside it */
    MASK_NAME_VALUE,   /* "value" */
};

enum mask_name mask_name_of(slice name);
/* Whether it is the name of a secret, of whichever of these kinds. */
bool mask_name_is_secret(slice name);

#endif
