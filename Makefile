# The two commands of the README are `make demo` and `make test`; each installs what it needs.
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help install dev demo test check interop bench bench-lifecycle soak requirements clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install: ## .venv with Lockgate and its shipped guests
	@python3 tools/bootstrap.py install
	@$(PYTHON) tools/build_guests.py

dev: install
	@python3 tools/bootstrap.py dev

demo: install ## recorded or computed option quotes across two ledgers, sealed, proven, answered
	@.venv/bin/lockgate demo

test: dev ## the tests
	@$(PYTHON) -m pytest -n 2 --dist worksteal -q tests

check: dev ## lint, types, import contracts, generated files
	@$(PYTHON) tools/check.py

interop: dev ## against the real components
	@$(PYTHON) -m pytest -q -m interop tests/interop

bench: dev ## every measurement, with its reference, into bench/results
	@$(PYTHON) -m bench all

bench-lifecycle: dev ## the packet life cycle against ibc-go, side by side
	@$(PYTHON) -m bench lifecycle

soak: dev ## long runs: seeds by the thousand, two hundred kills
	@$(PYTHON) -m pytest -q -m soak tests

requirements: dev ## recompile the pins from the .in files
	@for set in runtime install dev; do \
	  $(PYTHON) -m piptools compile --quiet --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links \
	    --no-emit-trusted-host --strip-extras --no-header --output-file requirements/$$set.txt requirements/$$set.in || exit 1; \
	done

clean: ## remove .venv and everything built
	rm -rf .venv guests/build build src/lockgate.egg-info
