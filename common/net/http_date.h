/* SPDX-License-Identifier: Apache-2.0
 * The date of an HTTP head. Any thread. */
#ifndef PICKET_NET_HTTP_DATE_H
#define PICKET_NET_HTTP_DATE_H

#include "common/base/slice.h"

/* Milliseconds since 1970 of the one form that senders may still use, RFC 9110 section 5.6.7: "Sun, 06 Nov 1994 08:49:37
 * GMT". The day's name is not checked against the date. 0: it is none. */
int64_t http_date_ms(slice text);

#endif
