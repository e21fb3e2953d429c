# Everything here makes what it needs first: .venv (and .venv-gen for the code generator) are
# built from the locks on first use and brought up to date when a lock changes.

# A stamp's name holds a checksum of what its environment was made from, and of where.
key = $(shell (pwd -P && cat $(1)) | cksum | tr ' ' -)
scripts := tools/bootstrap.sh tools/fetch_stripe_openapi.py
RUNTIME := .venv/.runtime-$(call key,pyproject.toml requirements.lock $(scripts))
DEV := .venv/.dev-$(call key,pyproject.toml requirements-dev.lock $(scripts))
GEN := .venv-gen/.gen-$(call key,requirements-gen.lock $(scripts))

.DEFAULT_GOAL := help
.PHONY: help serve test crash check bench gen format lock clean
# A service can't share its terminal, and pip can't share an environment.
.NOTPARALLEL:

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

# The recipe must end in exec: a shell in between would die of a signal and leave the service
# behind. The development environment contains the runtime one.
serve: $(if $(wildcard $(DEV)),,$(RUNTIME)) ## the service and the vendor sandbox, on SQLite
	@BOXOFFICE_GRPCURL="$$(cat .venv/.grpcurl)" && export BOXOFFICE_GRPCURL && \
	exec .venv/bin/python -m boxoffice_server serve --sandbox --migrate $(ARGS)

# The tests and benchmarks call make themselves, and that must not inherit what was asked of this.
alone := unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL ARGS PYTHON;

# Many tests wait more than they work, so all of them run in two processes, a file in one of them.
test: $(DEV) ## all tests, or those named by ARGS="tests/api -k refund"
	@$(alone) exec .venv/bin/python -m pytest $(or $(ARGS),--numprocesses=2 --dist=loadfile)

crash: $(DEV) ## every crash at every moment of every call that asks Stripe, in about an hour
	@$(alone) export BOXOFFICE_TESTS_WHOLE_CRASH_MATRIX=1; exec .venv/bin/python -m pytest \
	tests/crash/test_matrix.py tests/crash/test_books_machine.py $(ARGS)

check: $(DEV) $(GEN) ## format, lint, types, imports, protos, generated code, locks
	@.venv/bin/python -m tools.check

bench: $(DEV) ## the benchmarks, each against a baseline of the same run
	@$(alone) exec .venv/bin/python -m bench $(ARGS)

gen: $(GEN) ## generated/ from protos/
	@.venv-gen/bin/python tools/generate.py generated

format: $(DEV) ## rewrites Python and protos as `make check` wants them
	@.venv/bin/ruff check --quiet --fix . ; .venv/bin/ruff format --quiet . && \
	.venv/bin/buf format --write

lock: $(DEV) ## the locks, from pyproject.toml; UPGRADE=1 takes the newest releases
	@sh tools/lock.sh $(if $(UPGRADE),--upgrade)

clean: ## removes what make made, but no database
	@rm -rf .venv .venv-gen .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests bench tools generated -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME):
	@sh tools/bootstrap.sh runtime $@

$(DEV):
	@sh tools/bootstrap.sh dev $@

$(GEN):
	@sh tools/bootstrap.sh gen $@
