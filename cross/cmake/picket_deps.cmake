# SPDX-License-Identifier: Apache-2.0
# Where outside libraries are found. One imported target per library, linked only by its door.
