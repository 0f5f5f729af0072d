# SPDX-License-Identifier: Apache-2.0
picket_fuzz(object_view_fuzz object_view_fuzz.c DEPS picket_object_view)
