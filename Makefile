# Everything works in a fresh clone with `python3` (3.11 or newer) and `make`, and nothing else:
# each target sets up `.venv` by itself. Another interpreter: `make test PYTHON=python3.13`.

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip -qq --disable-pip-version-check install -c constraints.txt
READY := .venv/.ready

# Neither a caller's paths nor its compiler switches may decide what is run or tested; and Python may
# keep what it has read of our modules, of which the tests start some hundred processes.
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET NUMBA_DISABLE_JIT NUMBA_BOUNDSCHECK
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test compiled kernels-bounded kernels-plain bench readers lint docs clean
.DELETE_ON_ERROR:

run: $(READY)
	.venv/bin/cytosepsis run sample_fcs --out results
	@# what the statistics say: of a simulated cohort of tables, written anew each time
	@rm -rf results_cohort
	.venv/bin/cytosepsis simulate results_cohort/study --cohort 150
	.venv/bin/cytosepsis run results_cohort/study --out results_cohort/tables
	.venv/bin/cytosepsis biomarkers results_cohort/tables
	.venv/bin/cytosepsis candidates results_cohort/tables
	.venv/bin/cytosepsis exvivo results_cohort/tables

# The kernels are tested three times: compiled (with everything else), compiled with bounds checks,
# and as plain Python, where their lines can be counted. The latter two run side by side, and beside
# them what everything else needs is compiled, once. Then each core has a process that takes whole
# files of tests: four at most, of up to 1 GB each.
test: $(READY)
	@$(MAKE) --no-print-directory -j3 $(TOGETHER) compiled kernels-bounded kernels-plain
	$(PY) -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What one of them says stays together, where this make can do so.
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync)

compiled: $(READY)
	$(PY) -c 'from cytosepsis.compiling import compile_kernels; compile_kernels()'

kernels-bounded: $(READY)
	NUMBA_BOUNDSCHECK=1 $(PY) -m pytest -q tests/kernels

kernels-plain: $(READY)
	NUMBA_DISABLE_JIT=1 $(PY) -m coverage run --source=src/cytosepsis/kernels -m pytest -q tests/kernels
	$(PY) -m coverage report

bench: $(READY)
	$(PY) -m pytest benchmarks
	$(PY) benchmarks/report.py

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

# Readers of FCS beside which `make bench` also measures reading; they want an older numpy.
readers:
	'$(PYTHON)' -m venv .venv-readers
	.venv-readers/bin/python -m pip -qq --disable-pip-version-check install fcsparser==0.2.8 FlowCal==1.3.1

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

clean:
	rm -rf .venv .venv-readers results results_cohort site dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .coverage
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# What builds packages comes first, from the same pins (FlowIO comes as source, for setuptools): so
# nothing unpinned takes part, and the wheel's test needs no download.
$(READY): pyproject.toml constraints.txt
	@command -v '$(PYTHON)' >/dev/null || { echo "make: no $(PYTHON) found. cytosepsis needs Python 3.11 or newer: install it, or name one with PYTHON=..."; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.version_info >= (3, 11) or sys.exit("make: cytosepsis needs Python 3.11 or newer, $(PYTHON) is %d.%d. Name a newer one with PYTHON=..." % sys.version_info[:2])'
	@echo "Setting up .venv (once; about a minute) ..."
	@'$(PYTHON)' -m venv .venv
	@$(PIP) hatchling editables setuptools
	@$(PIP) --no-build-isolation -e '.[test,lint,report,excel,stats,cluster,docs]'
	@touch $(READY)
