# Tillside. Python 3.11 or newer and make are needed; everything else is brought along.
#   make run [PORT=8000] [SANDBOX_PORT=8100] [VAR=var]   everything on this machine, with demo data
#   make test                                            every check; what failed is said again at the end
#   make lint                                            the quick ones among them
#   make proof                                           the long fault runs and stories, about an hour
#   make bench                                           what it costs beside the least that would do, as ratios

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
PY = .venv/bin/python

define CHECK
import sys
v = ".".join(map(str, sys.version_info[:3]))
if sys.version_info < (3, 11):
    sys.exit("Tillside needs Python 3.11 or newer; $(PYTHON) here is %s. Set PYTHON=/path/to/a/newer/python3." % v)
try:
    import ensurepip, venv
except ImportError:
    sys.exit("$(PYTHON) cannot make environments: install its venv module (Debian, Ubuntu: apt-get install python3-venv).")
endef
export CHECK

# What the settings must have to be read at all, for tools that only look at the code.
LOOKING = DATABASE_URL=postgresql:///none CELERY_BROKER_URL=filesystem:///none SECRET_KEY=none \
	PUBLIC_URL=http://localhost SEALING_KEYS=none

say = printf '\n== %s ==\n' "$(1)"
# A folder of tests: that it is empty is said, and is no failure.
pytest = if [ -d $(1) ]; then $(PY) -m pytest $(1) $(2) || { [ $$? -eq 5 ] && echo "There are no tests in $(1) yet."; }; \
	else echo "There is no $(1) yet."; fi

# Side by side, each with a database, workers and a browser of its own; a file's tests stay together.
# The longest files come first (tests/conftest.py), so that no lane begins one when the other is done.
LANES = --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: run test lint units running journeys faults proof bench servers messages
.SILENT:
.NOTPARALLEL:

run: .venv/ready
	exec $(PY) -m portal.run

# All of it even where some fails: one run tells everything that is wrong.
test: .venv/ready-to-test servers
	failed=; \
	for phase in lint units running journeys faults; do $(MAKE) --no-print-directory $$phase || failed="$$failed $$phase"; done; \
	[ -z "$$failed" ] || { printf '\nNot well:%s.\n' "$$failed"; exit 1; }
	printf '\nAll is well.\n'

units: .venv/ready-to-test
	$(call say,Unit tests)
	$(call pytest,tests,$(LANES) --ignore=tests/running --ignore=tests/journeys --ignore=tests/faults)

running: .venv/ready-to-test
	$(call say,Starting and stopping)
	$(call pytest,tests/running)

journeys: .venv/ready-to-test
	$(call say,Journeys)
	$(call pytest,tests/journeys,$(LANES))

faults: .venv/ready-to-test
	$(call say,Faults)
	$(call pytest,tests/faults)

lint: .venv/ready-to-test
	$(call say,Format)
	$(PY) -m ruff format --check .
	find portal templates -name '*.html' -exec .venv/bin/djade --check {} +
	$(call say,Lint)
	$(PY) -m ruff check .
	$(call say,Types)
	$(LOOKING) $(PY) -m mypy .
	$(call say,Contracts)
	if grep -q '^\[tool.importlinter' pyproject.toml; then .venv/bin/lint-imports; else echo "There are none yet."; fi

bench: .venv/ready-to-test servers
	$(call say,The ledger beside a bare task)
	$(PY) -m tests.bench.pipeline
	$(call say,Lists at a million operations)
	$(PY) -m tests.bench.size
	$(call say,The public balance page)
	$(PY) -m tests.bench.shopper

proof: .venv/ready-to-test servers
	$(call say,Faults at length)
	PROOF=1 $(PY) -m pytest tests/faults tests/ledger/test_state_machine.py

# After a text was added or changed: writes it into the catalogs, where it waits for its translation.
messages: .venv/ready
	$(LOOKING) VAR=$$(mktemp -d) $(PY) manage.py messages

servers:
	$(call say,Servers and browser)
	.ci/servers

# .venv/half-made holds the number of the shell that installs. Left behind by one that ended, it means: begin anew.
define INSTALL
set -e
half=.venv/half-made
if [ -e $$half ] && kill -0 "$$(cat $$half)" 2>/dev/null; then
    echo "Another make is installing into .venv at this moment: try again when it is done." >&2; exit 1
fi
if [ -e $$half ] || ! $(PY) -m pip --version >/dev/null 2>&1; then
    rm -rf .venv
    "$$1" -m venv .venv
fi
echo $$$$ >$$half
shift
$(PY) -m pip install --quiet --disable-pip-version-check "$$@"
rm $$half
endef
export INSTALL

.venv/ready: requirements.txt
	command -v $(PYTHON) >/dev/null || { echo "Tillside needs Python 3.11 or newer, and there is no $(PYTHON) here." \
		"Set PYTHON=/path/to/python3." >&2; exit 1; }
	$(PYTHON) -c "$$CHECK"
	echo "Installing what Tillside needs into .venv; once, about a minute."
	sh -c "$$INSTALL" install $(PYTHON) -r requirements.txt
	touch $@

.venv/ready-to-test: .venv/ready tests/requirements.txt
	echo "Installing what the tests need."
	sh -c "$$INSTALL" install $(PYTHON) -r requirements.txt -r tests/requirements.txt
	touch $@
