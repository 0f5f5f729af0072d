# SPDX-License-Identifier: Apache-2.0
picket_bench(intent_load DEPS picket_net picket_codec)
