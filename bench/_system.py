# SPDX-License-Identifier: BSD-3-Clause
"""What a process and its machine can say of themselves."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

_PROC = Path("/proc/self")

# CPU time of the thread: the turns of other processes are not in it.
clock = time.thread_time_ns


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def system_ns() -> int:
    """CPU time that the kernel has spent for this process."""
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_stime * 1e9)


def _status(field: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in (_PROC / "status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return None


def reset_peak() -> None:
    """Forget the peak of resident memory, where the system lets us."""
    with contextlib.suppress(OSError):
        (_PROC / "clear_refs").write_text("5")


def peak_resident() -> int:
    """Return the most that was resident since `reset_peak`, in bytes."""
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident() -> int:
    """Return what is resident now, in bytes; the peak where that is not known."""
    now = _status("VmRSS")
    return peak_resident() if now is None else now


@functools.cache
def fixed_layout() -> list[str]:
    """Return the prefix of a command that gives each run the same addresses."""
    if shutil.which("setarch") is None:
        return []
    prefix = ["setarch", platform.machine(), "-R"]
    trial = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if trial.returncode == 0 else []


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _huge_pages() -> str:
    with contextlib.suppress(OSError):
        text = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
        return text.partition("[")[2].partition("]")[0]
    return "unknown"


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


LIBRARIES = (
    "numpy",
    "wspace",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "pandas",
    "arch",
    "autograd",
    "torch",
    "distributed",
)


def machine() -> dict[str, str]:
    """Describe machine and versions, as far as they bear on the figures."""
    libc = " ".join(part for part in platform.libc_ver() if part) or "unknown"
    facts = {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()) + " UTC",
        "CPU": f"{_cpu()}, {os.cpu_count()} CPUs",
        "load": f"{os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}",
        "C library": libc,
        "huge pages": _huge_pages(),
        "addresses": "fixed" if fixed_layout() else "random",
        "Python": platform.python_version(),
    }
    found = {name: _version(name) for name in LIBRARIES}
    return facts | {name: version for name, version in found.items() if version}
