# SPDX-License-Identifier: BSD-3-Clause
"""The demonstration: one program, with and without a workspace, side by side.

`diffusion` is the program, ordinary NumPy that knows nothing of wspace; `terrain`
its data. `variants` are the ways to give it memory, each run by a `worker` process
of its own; `runner` takes them through their cycles in turn, `summary`, `report`
and `plot` say what came out, and `command` is ``python -m wspace demo``.
"""


class DemoError(Exception):
    """The demonstration cannot go on; the message says why and what to do."""
