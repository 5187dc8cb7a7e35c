# SPDX-License-Identifier: BSD-3-Clause
"""What the operating system knows of this process: page faults, resident memory."""

from __future__ import annotations

import resource
import sys

_RESET_PEAK = "5"  # see proc(5), /proc/pid/clear_refs


def page_faults() -> int:
    """Count the page faults of this process that needed no disk, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def reset_peak() -> None:
    """Let `peak_resident` start again from now, where the system can (Linux)."""
    try:
        with open("/proc/self/clear_refs", "w") as control:
            control.write(_RESET_PEAK)
    except OSError:
        pass  # then the peak is that since the process began: no less true


def peak_resident() -> int:
    """Read the most memory resident at once since `reset_peak`, in bytes."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
