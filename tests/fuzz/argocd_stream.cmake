# SPDX-License-Identifier: Apache-2.0
picket_fuzz(argocd_stream_fuzz argocd_stream_fuzz.c DEPS picket_argocd)
