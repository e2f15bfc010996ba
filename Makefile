# The template's own commands. The service that it generates has a Makefile of its own.
database ?= sqlite
port ?= 8000
only ?=
databases := sqlite postgresql postgresql-multi-tenant
# What is typed here is for this Makefile; the one of the service refuses what it does not know.
MAKEOVERRIDES :=

# uv from the PATH or, when there is none, from PyPI into .uv. Whatever make starts finds it, the
# generated service's make included.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
NEEDS := $(filter .uv/%,$(UV))
export PATH := $(CURDIR)/.uv/bin:$(PATH)

RUN := $(UV) run --quiet
CODE := hooks tests tools $(wildcard benchmarks)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List what you can type
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(NEEDS) ## Generate a service into build/ and serve it (database=postgresql port=8001)
	$(if $(filter $(database),$(databases)),,$(error database is one of: $(databases)))
	@rm -rf build/$(database)/my-service/src build/$(database)/my-service/tests
	@$(RUN) --only-group bake cookiecutter . --no-input --overwrite-if-exists \
	  --output-dir build/$(database) "database=$(database)" >/dev/null
	@echo "The service is in build/$(database)/my-service."
	@$(MAKE) --no-print-directory -C build/$(database)/my-service dev port=$(port)

.PHONY: test
test: $(NEEDS) ## Test the template, its SQLite service and each service's checks: two minutes
	@$(RUN) pytest -n 2 --dist worksteal -m "not thorough"

.PHONY: test-all
test-all: $(NEEDS) ## Test everything, as CI does: every service, real processes, browsers, load
	@$(RUN) pytest -n 2 --dist worksteal

.PHONY: test-failed
test-failed: $(NEEDS) ## Test once more what failed last time, one test after the other
	@$(RUN) pytest --last-failed --last-failed-no-failures none

# What you type reaches the tests as data: neither make nor the shell expands it.
$(foreach v,database only,$(eval override $v := $$(value $v))$(eval export $v))

.PHONY: test-service
test-service: $(NEEDS) ## Run a service's own tests (database=sqlite only=test_accounts)
	@$(RUN) python -m tools.inside $@ "$$database" "$$only"

.PHONY: test-engine
test-engine: $(NEEDS) ## Run its engine's or tenants' tests (database=postgresql only=batches)
	@$(RUN) python -m tools.inside $@ "$$database" "$$only"

.PHONY: newest-python
newest-python: $(NEEDS) ## Fetch the newest Python for the tests, where Debian has it
	@$(RUN) python -m tools.newest_python

.PHONY: update
update: $(NEEDS) ## Write all generated files anew
	@$(RUN) python -m tools.update

.PHONY: lint
lint: $(NEEDS) ## Check style, formatting and types of the template's own code
	@$(RUN) ruff check $(CODE)
	@$(RUN) ruff format --check $(CODE)
	@$(RUN) mypy $(CODE)

.PHONY: bench
bench: $(NEEDS) ## Compare the generated service with its peers
	@$(if $(wildcard benchmarks/*.py),$(RUN) python -m benchmarks,echo "There are no benchmarks yet.")

.uv/bin/uv:
	@echo "uv is not on the PATH: installing it into .uv" >&2
	@python3 -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv || { \
	  echo "Problem:  uv could not be installed into .uv." >&2; \
	  echo "Impact:   Without uv, make can neither install nor run anything." >&2; \
	  echo "Solution: install python3 with its venv module (Debian: apt install python3-venv), or uv itself." >&2; \
	  rm -rf .uv; exit 1; }
