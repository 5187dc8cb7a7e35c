# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks: ``python -m bench --help``, and README.md beside this file."""
