# SPDX-License-Identifier: Apache-2.0
picket_fuzz(certificate_fuzz certificate_fuzz.c DEPS picket_net)
