# SPDX-License-Identifier: Apache-2.0
picket_fuzz(protobuf_fuzz protobuf_fuzz.c DEPS picket_codec)
