/* SPDX-License-Identifier: Apache-2.0
 * As text, so that no width of integers is a bound: without leading zeroes the longer one is the larger one, and of two
 * equally long ones the order of their digits is that of the numbers. */
#include "agent/collect/kubernetes/kube_version.h"

bool kube_version_is_number(slice version) {
    for (size_t i = 0; i < version.size; i++)
        if (version.data[i] < '0' || version.data[i] > '9') return false;
    return version.size > 0;
}

static slice significant(slice version) {
    while (version.size && version.data[0] == '0') version = slice_from(version, 1);
    return version;
}

bool kube_version_is_before(slice version, slice than) {
    if (!kube_version_is_number(version) || !kube_version_is_number(than)) return false;
    version = significant(version);
    than = significant(than);
    if (version.size != than.size) return version.size < than.size;
    return version.size && memcmp(version.data, than.data, version.size) < 0;
}
