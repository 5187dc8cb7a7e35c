"""Run the tests on every CPython of this machine, and on the oldest NumPy.

The interpreter that runs this script is taken as tested with the newest NumPy already.
All others of a supported version get the newest NumPy that has a wheel for them. What
is passed over is printed with its reason.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Prints the version, then what keeps this interpreter from building and running wspace.
PROBE = """
import importlib.util as util, os, sys, sysconfig
print(*sys.version_info[:2], sys.implementation.name)
header = os.path.join(sysconfig.get_path("include"), "Python.h")
if sys.version_info.releaselevel != "final":
    print("not a final release")
elif sysconfig.get_config_var("Py_GIL_DISABLED"):
    print("without the GIL")
elif not (util.find_spec("venv") and util.find_spec("ensurepip")):
    print("without venv")
elif not os.path.exists(header):
    print("without headers")
"""

VERSIONS = """
import numpy, platform
print("CPython", platform.python_version(), "NumPy", numpy.__version__)
"""


def floor(requirement: str) -> str:
    """Take the version out of a requirement such as ``numpy>=2.0``."""
    found = re.fullmatch(r"[\w-]*>=([\d.]+)", requirement)
    assert found, f"not of the form NAME>=VERSION: {requirement}"
    return found[1]


def output(*command: str | Path) -> str:
    """Run a command that must succeed, for what it prints."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def candidates() -> list[Path]:
    """List what may be interpreters: those of pyenv, then those on PATH."""
    found: list[Path] = []
    if pyenv := shutil.which("pyenv"):
        root = Path(output(pyenv, "root").strip())
        found += sorted(root.glob("versions/*/bin/python3"))
    for folder in os.environ["PATH"].split(os.pathsep):
        found += sorted(
            path
            for path in Path(folder).glob("python3.*")
            if re.fullmatch(r"python3\.\d+t?", path.name) and os.access(path, os.X_OK)
        )
    return found


def interpreters() -> dict[tuple[int, int], Path]:
    """Find one usable CPython for each supported version but our own."""
    oldest = tuple(map(int, floor(PROJECT["requires-python"]).split(".")))
    chosen: dict[tuple[int, int], Path] = {}
    for path in candidates():
        # A shim of pyenv may be there and not run.
        probe = subprocess.run(
            [path, "-c", PROBE], capture_output=True, text=True, check=False
        )
        if probe.returncode != 0:
            continue
        facts, *reasons = probe.stdout.splitlines()
        major, minor, name = facts.split()
        version = int(major), int(minor)
        if name != "cpython" or version < oldest or version == sys.version_info[:2]:
            continue
        if reasons:
            print(f"passed over: {path} ({reasons[0]})")
        else:
            chosen.setdefault(version, path)
    return chosen


def run_tests(python: Path, numpy: str) -> str:
    """Install wspace for `python` with the NumPy asked for, and run the tests."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = Path(folder, "bin", "python")
        pip = [inside, "-m", "pip", "install", "--quiet", "--upgrade"]
        subprocess.run([*pip, ".[test]", numpy], cwd=ROOT, check=True)
        what = output(inside, "-c", VERSIONS).strip()
        print(f"--- {what}", flush=True)
        pytest = [inside, "-m", "pytest", "-q", "-m", "not slow and not types"]
        subprocess.run(pytest, cwd=ROOT, check=True)
        return what


def main() -> None:
    """Run all of the matrix; the first failure ends it."""
    oldest_numpy = "numpy==" + floor(PROJECT["dependencies"][0]) + ".*"
    runs = [(Path(sys.executable), oldest_numpy)]
    runs += [(path, "numpy") for _, path in sorted(interpreters().items())]
    done = [run_tests(python, numpy) for python, numpy in runs]
    print("tested:", *done, sep="\n  ")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"test_matrix: {error}")
