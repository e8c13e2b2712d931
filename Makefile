# make run    the embedded hub with simulators on 127.0.0.1:8000; needs Python 3.11 or newer and nothing else
# make demo   N orders through their whole life, without pages
# make test   everything: linters, types, layers, migrations, tests on PostgreSQL and once more on SQLite
# make lock   requirements*.txt anew from pyproject.toml (on Python 3.11)

SHELL := /bin/sh
VENV := .venv
PYTHON_OK := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	"$$name" -c '$(PYTHON_OK)' >/dev/null 2>&1 && echo "$$name" && break; done)
IN := $(VENV)/bin/python
PIP_INSTALL = $(IN) -m pip install --quiet --disable-pip-version-check --require-hashes
PIP_COMPILE = $(VENV)/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
# Servers named for the tests are none of the linters' business.
EMBEDDED = env -u DATABASE_URL -u REDIS_URL HUB_HOME=$(VENV)/home
N ?= 300

.DELETE_ON_ERROR:
.PHONY: run demo test test-real test-sqlite check lock clean

run: $(VENV)/.run
	@exec $(IN) manage.py run

demo: $(VENV)/.run
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
		env -u DATABASE_URL -u REDIS_URL HUB_HOME="$$home" $(IN) manage.py demo --orders $(N)

# The order matters: CI reads the closing line of the last pytest. Tests on real processes mostly wait for time to pass,
# so those on SQLite run beside them.
test: check
	$(IN) -m tests.support.install
	$(MAKE) --no-print-directory -j 2 --output-sync=target test-real test-sqlite
	$(IN) -m pytest -n 2 --ignore tests/real

test-real: $(VENV)/.test
	$(IN) -m pytest -q -n 2 --dist loadfile tests/real

test-sqlite: $(VENV)/.test
	TEST_DATABASE=sqlite $(IN) -m pytest -q -m "not real" --ignore tests/browser --ignore tests/connectors/channels \
		--ignore tests/connectors/erps

check: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(EMBEDDED) $(VENV)/bin/mypy .
	$(VENV)/bin/lint-imports
	$(EMBEDDED) $(IN) manage.py makemigrations --check --dry-run

# A stamp is newer than its lock file exactly when that lock file was installed to the end.
$(VENV)/.run: requirements.txt | $(IN)
	@echo "Installing what the hub needs (the first time only) …"
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.test: requirements-dev.txt $(VENV)/.run | $(IN)
	@echo "Installing what the tests need …"
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

# Cleared, because a folder without a working Python (the system's was upgraded) still holds its stamps.
$(IN):
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv was found." \
		"(Debian and Ubuntu: sudo apt-get install python3-venv; else: make PYTHON=/path/to/python3)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

lock: $(VENV)/.test
	$(IN) -m pip install --quiet pip-tools
	$(PIP_COMPILE) --output-file requirements.txt pyproject.toml
	$(PIP_COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
