# SPDX-License-Identifier: BSD-3-Clause
"""Build the three compiled examples: ``python setup.py build_ext --inplace``."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import wspace

include = [wspace.get_include()]
c_flags = ["-std=c11", "-O2", "-fcx-limited-range", "-Wall", "-Wextra"]
openmp = ["-fopenmp"]

setup(
    name="wspace-examples",
    py_modules=[],
    ext_modules=[
        Extension(
            "spectra",
            ["c_extension/spectra.c"],
            include_dirs=include,
            extra_compile_args=c_flags,
        ),
        Extension(
            "matches",
            ["cpp_extension/matches.cpp"],
            include_dirs=include,
            extra_compile_args=["-std=c++17", "-O2", "-Wall", "-Wextra"],
        ),
        *cythonize(
            [
                Extension(
                    "medians",
                    ["cython_extension/medians.pyx"],
                    include_dirs=include,
                    extra_compile_args=["-O2", *openmp],
                    extra_link_args=openmp,
                )
            ],
            language_level=3,
        ),
    ],
)
