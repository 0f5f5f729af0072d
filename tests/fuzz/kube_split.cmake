# SPDX-License-Identifier: Apache-2.0
picket_fuzz(kube_split_fuzz kube_split_fuzz.c DEPS picket_kubernetes)
