# SPDX-License-Identifier: BSD-3-Clause
"""Real programs on real data, a module each; none of them knows of wspace."""
