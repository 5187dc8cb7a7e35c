# The checks of wspace.  They use the environment of $(PYTHON): wspace itself installed
# with its test extra, and the tools of dev/requirements.txt.  None of them passes by
# finding nothing to do.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python
export PYTHON
export PATH := $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("scripts"))'):$(PATH)
export MPLBACKEND := Agg

PY_DIRS := $(wildcard src tests bench dev docs examples) setup.py
PYX := $(wildcard src/wspace/*.pyx src/wspace/*.pxd)
STUBS := $(wildcard src/wspace/*.pyi)
# Less what `cython -a` leaves beside the .pyx.
C := $(filter-out $(PYX:.pyx=.c),$(wildcard csrc/*.[ch] src/wspace/*.[ch] tests/c/*.[ch] bench/*.c))
PROSE := $(wildcard *.md csrc docs src tests bench dev examples Makefile .ci/run)
DEMO_ARGS ?= --scale 1 --cycles 20

# $(call need,WORDS,WHAT): nothing to check is an error.
need = $(if $(strip $(1)),,$(error no $(2) to check))

.PHONY: all lint format test-c types test test-asan bench-quick demo dist test-matrix clean
all: lint test-c types test test-asan bench-quick demo dist test-matrix

lint:
	$(call need,$(wildcard src/wspace/*.py),Python files)
	$(call need,$(PYX),Cython files)
	$(call need,$(C),C files)
	ruff check $(PY_DIRS)
	ruff format --check $(PY_DIRS)
	cython-lint $(PYX)
	clang-format --dry-run -Werror $(C)
	codespell $(PROSE)

format:
	ruff check --fix $(PY_DIRS)
	ruff format $(PY_DIRS)
	clang-format -i $(C)

test-c:
	$(MAKE) -C tests/c

# stubtest imports the installed wspace: it compares the stubs with the binary.
types:
	$(call need,$(STUBS),stubs)
	$(call need,$(wildcard tests/typing/*.py),typing tests)
	mypy
	$(PYTHON) -m mypy.stubtest --mypy-config-file pyproject.toml wspace

test:
	$(PYTHON) -m pytest $(PYTEST_ARGS)

test-asan:
	dev/test-asan $(PYTEST_ARGS)

test-matrix:
	$(PYTHON) dev/test_matrix.py

# Every row, with few samples; what is skipped says so.
bench-quick:
	mkdir -p build
	$(PYTHON) -m bench --quick --json build/bench.json --markdown build/bench.md
	test -s build/bench.md

demo:
	mkdir -p build
	rm -f build/demo.png
	$(PYTHON) -m wspace demo $(DEMO_ARGS) --plot build/demo.png
	test -s build/demo.png

dist:
	dev/test-dist $(DEMO_ARGS)

clean:
	rm -rf build dist src/*.egg-info src/wspace/*.so src/wspace/*.html \
	  src/wspace/_arena.c src/wspace/_scope.c
