# SPDX-License-Identifier: BSD-3-Clause
"""``python -m bench``."""

import sys

from bench._command import main

if __name__ == "__main__":
    sys.exit(main())
