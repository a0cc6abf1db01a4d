# make demo    the whole workflow on simulated input, from nothing
# make new DIR=../my_beads    a folder for an analysis of your own, to be filled in
# make test    the tests
# make test-slurm, make test-conda    the workflow on a SLURM cluster of this machine, and in conda environments
# make test-browser    the demo's report, or another in DEFOCUS3D_REPORT, in Chromium
# make test-programs    the exports in Picasso and napari, which get an environment of their own
# make bench-large, make bench-short, make bench-tracks    a long movie and many short ones (with the demo's networks), and a million localizations: time, and of the long ones memory
# make bench-brownian    D of a simulated movie ten times as long as the demo's, with the demo's networks, over the truth
# make lint    the checks of Snakemake and snakefmt
# make docs    write docs/configuration.md anew, after a change of a schema
# make overview    draw the README's picture anew, from the demo's results
# make clean   remove what the demo made; `make distclean` the environment too
# make lock    resolve requirements.in again

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := demo
.DELETE_ON_ERROR:

CORES ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$python; break; }; done)
BIN := .venv/bin
READY := .venv/complete
PROGRAMS := .venv-programs
# by PEP 517, since older pips install what has no wheel in another layout
INSTALL := -m pip install --disable-pip-version-check --no-input --progress-bar off --use-pep517 --require-hashes -r
RESOLVED := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

.PHONY: demo new test test-slurm test-conda test-browser test-programs bench-large bench-short bench-tracks bench-brownian lint docs overview clean distclean lock

demo: $(READY)
	$(BIN)/python -m snakemake --cores $(CORES)
	@echo "The report: $(CURDIR)/results/report.html"

new: $(READY)
	@test -n "$(DIR)" || { echo "Name a folder for your analysis: make new DIR=../my_beads" >&2; exit 1; }
	@PYTHONPATH=workflow $(BIN)/python -m defocus3d.new_project "$(DIR)"

test: $(READY)
	$(BIN)/python -m pytest tests --ignore tests/acceptance --ignore tests/slurm --ignore tests/conda --ignore tests/browser --ignore tests/programs

test-slurm: $(READY)
	$(BIN)/python -m pytest tests/slurm -q

test-conda: $(READY)
	$(BIN)/python -m pytest tests/conda -q

test-browser: $(READY)
	$(BIN)/python -m pytest tests/browser -q -rs

test-programs: $(PROGRAMS)/complete
	$(PROGRAMS)/bin/python -m pytest tests/programs -q -p no:warnings

bench-large: $(READY)
	$(BIN)/python tests/benchmarks/large_movie.py

bench-short: $(READY)
	$(BIN)/python tests/benchmarks/short_movies.py

bench-tracks: $(READY)
	$(BIN)/python tests/benchmarks/many_tracks.py

bench-brownian: $(READY)
	$(BIN)/python tests/benchmarks/long_brownian.py

lint: $(READY)
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/python -m snakemake --lint

docs: $(READY)
	PYTHONPATH=workflow $(BIN)/python -m defocus3d.reference

overview: $(READY)
	PYTHONPATH=workflow $(BIN)/python -m defocus3d.figures.overview resources/demo/dense.tif results/acquisitions/dense docs/overview.png

# from scratch whenever the lock changes, so that it holds what the lock says and nothing else
$(READY): requirements.lock
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found. Install one, or name it: make demo PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up .venv: downloads about 600 MB, takes a few minutes, happens once."
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) requirements.lock
	touch $@

$(PROGRAMS)/complete: tests/programs/requirements.lock
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 found. Install one, or name it: make test-programs PYTHON=/path/to/python3.12" >&2; exit 1; }
	rm -rf $(PROGRAMS)
	$(PYTHON) -m venv $(PROGRAMS)
	$(PROGRAMS)/bin/python $(INSTALL) $< --quiet
	touch $@

clean:
	rm -rf results resources/demo .snakemake

distclean: clean
	rm -rf .venv $(PROGRAMS)

lock:
	uv pip compile requirements.in $(RESOLVED) --output-file requirements.lock
	uv pip compile tests/programs/requirements.in $(RESOLVED) --output-file tests/programs/requirements.lock
