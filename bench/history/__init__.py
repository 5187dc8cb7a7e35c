# SPDX-License-Identifier: BSD-3-Clause
"""What asv follows over the commits."""
