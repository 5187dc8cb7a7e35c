"""The two extension modules; all other facts are in pyproject.toml.

Three environment variables choose another build than the release:

WSPACE_SANITIZE
    Sanitizers to compile and link with, for example ``address,undefined``.
WSPACE_DEBUG_BUILD
    ``1``: assertions on, dead memory filled.  A sanitized build is a debug build.
WSPACE_VALGRIND
    ``1``: tell Valgrind, whose headers are needed, what memory is dead.
"""

import os
from glob import glob

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("WSPACE_SANITIZE", "")
DEBUG = os.environ.get("WSPACE_DEBUG_BUILD") == "1"

VALGRIND = os.environ.get("WSPACE_VALGRIND") == "1"

compile_args = ["-std=c11", "-fvisibility=hidden", "-pthread"]
link_args = ["-pthread"]
if SANITIZE or DEBUG:
    # Python's own flags, which come first, say -DNDEBUG and -O3.
    compile_args += ["-O1", "-g", "-UNDEBUG", "-fno-omit-frame-pointer"]
else:
    compile_args += ["-O3", "-g0"]
if SANITIZE:
    compile_args += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
    link_args += [f"-fsanitize={SANITIZE}"]
if VALGRIND:
    compile_args.append("-DWSP_VALGRIND")

# setuptools does not notice changed flags, so each build has its own objects.
flavor = SANITIZE.replace(",", "-") or ("debug" if DEBUG else "release")
flavor += "-valgrind" if VALGRIND else ""


def extension(name: str, sources: list[str]) -> Extension:
    """Describe one extension module of wspace."""
    return Extension(
        f"wspace.{name}",
        [f"src/wspace/{name}.pyx", *sources],
        include_dirs=["csrc", "src/wspace", numpy.get_include()],
        depends=sorted(
            glob("csrc/*.h")
            + glob("src/wspace/*.h")
            + glob("src/wspace/include/wspace/*.h")
        ),
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
        ],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )


core = sorted(glob("csrc/*.c"))
# `cython -a` leaves its C beside the .pyx: not ours.
generated = {pyx.removesuffix("pyx") + "c" for pyx in glob("src/wspace/*.pyx")}
bridge = sorted(set(glob("src/wspace/*.c")) - generated)

setup(
    ext_modules=cythonize(
        [extension("_arena", bridge + core), extension("_scope", [])],
        build_dir="build/cython",
        compiler_directives={"language_level": 3},
    ),
    options={"build": {"build_base": f"build/{flavor}"}},
)
