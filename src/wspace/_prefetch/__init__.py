# SPDX-License-Identifier: BSD-3-Clause
"""Iterators that prepare batches in a thread and never hand out memory twice.

A producer thread fills slots, each of which is a workspace; a consumer iterates. A slot
is used again when nothing refers to its batch any more.
"""
