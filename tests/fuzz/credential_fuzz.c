/* SPDX-License-Identifier: Apache-2.0
 * What a credential plugin prints, as JSON; and any bytes as the certificate that came with it. */
#include "common/codec/codec.h"
#include "common/net/certificate.h"
#include "kube_objects.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *const arena = arena_new(16 * 1024, 16 * 1024 * 1024);
    KubeExecCredential printed;
    struct certificate_view view;
    struct fault fault;
    const slice bytes = slice_of(data, size);
    if (!codec_decode_json_foreign(&KubeExecCredential_desc, bytes, arena, &printed, &fault)) {
        (void)!certificate_read(printed.status.client_certificate_data, &view, &fault);
        (void)!certificate_match(printed.status.client_certificate_data, printed.status.client_key_data, &fault);
    }
    (void)!certificate_read(bytes, &view, &fault);
    arena_free(arena);
    return 0;
}
