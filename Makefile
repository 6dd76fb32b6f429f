# `make` alone lists the targets. Everything is installed into .venv from hash-pinned files; nothing else is touched.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
PEERS_READY := $(PEERS)/.ready

# Compiled modules are a good part of a fast start.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test system faults engine quick check bench bench-peers lock bundle-offline release docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## make the virtual environment, nothing else

$(READY): requirements/develop.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "make: Python 3.11 to 3.13 is needed; name one with make PYTHON=python3.11"; exit 1; }
	@# Debian splits venv off from Python: fetched where we may, else said what to install.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq -y python3-venv; } \
	  || { echo "make: Python's venv module is missing; on Debian: sudo apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/develop.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## the whole main job on pictures that it draws, in a folder of its own
	$(BIN)/oddlot demo

# Two at a time and no more: a test often starts workers of its own, each with a model in its memory.
test: $(READY) check system ## every test (those on real image sets need ODDLOT_DATA)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# What tests need besides Python: a browser for the pages, Compose for its file, bubblewrap for a clean machine in a
# namespace, RabbitMQ as another queue, iproute2 for hosts of their own, promtool for the alerts. Fetched where we may, else said what to install:
# Chromium must be there; without another, the tests that need it say so and are skipped.
PROGRAMS := chromium docker-compose bwrap ip promtool /usr/lib/rabbitmq/bin/rabbitmq-server
PACKAGES := chromium chromium-sandbox fonts-dejavu-core docker-compose bubblewrap iproute2 prometheus rabbitmq-server
system:
	@missing=; for one in $(PROGRAMS); do command -v $$one >/dev/null || missing="$$missing $$one"; done; \
	  [ -z "$$missing" ] \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq \
	       && RUNLEVEL=1 apt-get install -qq -y --no-install-recommends $(PACKAGES); } \
	  || { echo "make: tests need$$missing; on Debian: sudo apt-get install $(PACKAGES)"; command -v chromium >/dev/null; }

faults: $(READY) system ## kills, freezes, cuts and hostile input, many times over (docs/reliability.md); takes long
	$(BIN)/python -m pytest tests/faults -m "faults or not faults" -o faulthandler_timeout=3600
	ODDLOT_FUZZ=long $(BIN)/python -m pytest tests/hostile tests/worker --timeout 1800 -o faulthandler_timeout=2700

# Docker from Debian only where there is no other: its package would take the place of Docker's own. It was run with
# Compose 2, which Debian 12 has not; its Compose 1 reads the file, too (tests/deploy).
engine: $(READY) system ## docker-compose.yml under a real engine, the units under a real systemd (docs/compose.md); takes long
	@missing=; command -v debootstrap >/dev/null || missing=debootstrap; \
	  command -v dockerd >/dev/null || docker info >/dev/null 2>&1 || missing="$$missing docker.io iptables"; \
	  [ -z "$$missing" ] \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && RUNLEVEL=1 apt-get install -qq -y --no-install-recommends $$missing; } \
	  || { echo "make: this needs $$missing; on Debian: sudo apt-get install $$missing"; exit 1; }
	$(BIN)/python -m pytest tests/engine -m engine --timeout 1800 -o faulthandler_timeout=2700

quick: $(READY) ## the tests that take seconds
	$(BIN)/python -m pytest -m "not slow and not faults and not engine" --ignore tests/faults

check: $(READY) ## ruff, mypy, import contract; known holes in dependencies, where the list of them can be had
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/audit_dependencies.py

bench: $(READY) ## the benchmarks; image sets are taken from ODDLOT_DATA
	$(BIN)/python -m bench.startup
	$(BIN)/python -m bench.inspection
	$(BIN)/python -m bench.same_score
	$(BIN)/python -m bench.heat_maps
	$(BIN)/python -m bench.quality
	$(BIN)/python -m bench.tiles
	$(BIN)/python -m bench.few_pictures
	$(BIN)/python -m bench.ones_sevens
	$(BIN)/python -m bench.article
	$(BIN)/python -m bench.paper_mnist
	$(BIN)/python -m bench.million --pictures 50000
	$(BIN)/python -m bench.workers --batches 8 --rounds 1
	$(BIN)/python -m bench.hosts --batches 8
	$(BIN)/python -m bench.fairness --pictures 100000
	$(BIN)/python -m bench.training_limit
	$(BIN)/python -m bench.fit_scale
	$(BIN)/python -m bench.ten_million --rows 1000000 --prune 100000
	$(BIN)/python -m bench.index_cost
	$(BIN)/python -m bench.drift
	$(BIN)/python -m bench.object_store
	$(BIN)/python -m bench.bucket --keys 100000

bundle-offline: $(READY) ## dist/oddlot-VERSION-offline-...: wheels and an installer for a machine without a network; GPU=1 for graphics cards
	$(BIN)/python -m scripts.offline_bundle dist $(if $(GPU),--gpu)

release: $(READY) ## dist/: wheel and sdist
	$(BIN)/python -m scripts.release dist

# PyTorch comes with libraries for graphics cards that a CPU does not need: 5.5 GB on the disk.
$(PEERS_READY): requirements/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -r requirements/peers.txt
	@touch $(PEERS_READY)

bench-peers: $(READY) $(PEERS_READY) ## beside anomalib, PyTorch and a naive worker, in an environment of their own
	$(BIN)/python -m bench.training_limit
	$(BIN)/python -m bench.peers

docs: $(READY) ## docs/_build/html: this documentation as a site that needs no network
	$(BIN)/python -m sphinx -W --keep-going -q -d docs/_build/doctrees docs docs/_build/html

lock: $(READY) ## pin the dependencies anew, with hashes and without addresses (needs uv)
	set -e; pin() { uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet \
	    "$${@:2}" -o requirements/$$1.txt; }; \
	  pin run --extra openvino --extra s3 pyproject.toml; \
	  pin gpu --extra openvino --extra s3 --extra gpu pyproject.toml; \
	  pin develop --extra openvino --extra s3 --group test --group build --group docs pyproject.toml; \
	  pin build --group pyproject.toml:build

clean: ## remove the virtual environment and what the tools left
	rm -rf $(VENV) $(PEERS) build docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
