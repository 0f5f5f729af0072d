# SPDX-License-Identifier: Apache-2.0
picket_fuzz(pod_targets_fuzz pod_targets_fuzz.c DEPS picket_discovery)
