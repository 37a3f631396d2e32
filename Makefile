# `make demo` and `make test` are all a newcomer needs: each installs what it needs into .venv by itself.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv/bin/python
.DEFAULT_GOAL := help
.PHONY: help install dev hardware demo test check interop bench bench-lifecycle mutants soak generate requirements clean

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

install: ## Lockgate and its shipped guests, in .venv
	@$(PYTHON) tools/bootstrap.py install
	@$(VENV) -m lockgate.runtime.wasm.build

dev: install
	@$(PYTHON) tools/bootstrap.py dev

hardware: install ## what keys in PKCS#11 tokens and TPMs need, into .venv
	@$(VENV) tools/hardware.py

demo: install ## option quotes across two ledgers: sealed, proven, answered, acknowledged
	@.venv/bin/lockgate demo

test: dev ## the tests: no root, Go, Node or Java needed
	@$(VENV) -m pytest -n $(WORKERS) --dist worksteal -m "not interop and not soak" tests

check: dev ## lint, types, import contracts, generated files, documentation examples
	@$(VENV) tools/check.py

interop: dev hardware ## the tests against real outside components; what is absent is skipped with the reason
	@$(VENV) tools/outside.py
	@$(VENV) -m pytest -m interop tests/interop tests/ports tests/e2e

bench: dev ## every measurement beside its reference, into bench/results
	@$(VENV) -m bench all

bench-lifecycle: dev ## the packet life cycle beside ibc-go's, in one run
	@$(VENV) -m bench lifecycle

mutants: dev ## the contracts, spoilt one line at a time: which test notices? (20 minutes)
	@$(VENV) tools/outside.py
	@$(VENV) tools/mutate_contracts.py

soak: dev ## long runs: seeds by the thousand, two hundred kills
	@$(VENV) -m pytest -m soak --timeout 0 tests

generate: dev ## write every generated file anew
	@$(VENV) tools/check.py --write

requirements: dev ## pin requirements/*.in anew, with hashes
	@$(VENV) tools/pin_requirements.py

clean: ## remove .venv and everything that was built
	rm -rf .venv .venv-tools guests/build bundles build src/lockgate.egg-info
