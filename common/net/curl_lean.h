/* SPDX-License-Identifier: Apache-2.0
 * What of libcurl is mended at link time: curl_lean.c. */
#ifndef PICKET_NET_CURL_LEAN_H
#define PICKET_NET_CURL_LEAN_H

/* Names the file, so that the linker takes it. Any thread; does nothing. */
void curl_lean_use(void);

#endif
