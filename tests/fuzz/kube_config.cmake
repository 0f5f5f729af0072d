# SPDX-License-Identifier: Apache-2.0
picket_fuzz(kube_config_fuzz kube_config_fuzz.c DEPS picket_kubernetes)
