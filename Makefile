# Every target makes the virtual environment on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NODE_MODULES := contracts/node_modules/.package-lock.json
ANALYSIS := .venv-analysis/.installed

# Processes that share the tests; two were seen to take 10 and 2 GiB.
WORKERS ?= 2

.PHONY: demo test test-fast test-chain lint format typecheck docs site wheel bench contracts node lock clean chaos crowd coverage mutants analyse fuzz

demo: $(INSTALLED)
	$(BIN)/modelseal demo

test: $(INSTALLED) node
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

test-fast: $(INSTALLED)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not slow and not anvil"

# The contracts' tests on a node: anvil, or CHAIN=http://… of any development node.
CHAIN ?= anvil
ONLY ?=
test-chain: $(INSTALLED) node
	$(BIN)/pytest -n 0 tests/contracts --chain $(CHAIN) -k "$(ONLY)"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(INSTALLED)
	$(BIN)/mypy

# A service and its buyers over a network that fails, killed at random; and many buyers at once (docs/recovery.md).
chaos: $(INSTALLED) node
	TRADES=$${TRADES:-100} KILLS=$${KILLS:-300} BUYERS=$${BUYERS:-4} \
	  $(BIN)/pytest -n 0 -s tests/integration/test_killed_processes.py

crowd: $(INSTALLED) node
	BUYERS=$${BUYERS:-20} $(BIN)/pytest -n 0 -s tests/integration/test_many_buyers.py

# Which branches of the contracts the tests take, and which small faults they notice (docs/reference/coverage.md,
# mutation.md). The first takes minutes; the second an hour, and after a change what the change asks for.
coverage: $(INSTALLED) $(NODE_MODULES)
	$(BIN)/python -m tests.contracts.quality.branches

mutants: $(INSTALLED) $(NODE_MODULES)
	$(BIN)/python -m tests.contracts.quality.mutation

# Slither on the sources, and halmos on the moves of a trade (docs/decisions/0071-others-tools.md).
analyse: $(INSTALLED) $(NODE_MODULES) $(ANALYSIS)
	$(BIN)/python -m tests.contracts.quality.analysis

# The invariants at length: 100,000 runs of each fuzz test, and 1,000 walks of 500 moves among trades and among bounties.
fuzz: $(INSTALLED) $(NODE_MODULES)
	cd contracts && FOUNDRY_PROFILE=long node_modules/.bin/forge test

docs: $(INSTALLED)
	$(BIN)/python scripts/generate_docs.py

# Writes the documentation's site to site/; a link that leads nowhere fails.
site: $(INSTALLED) docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Writes the wheel and the source distribution to dist/.
wheel: $(INSTALLED)
	$(BIN)/hatchling build

bench: $(INSTALLED)
	$(BIN)/modelseal bench

# Recompiles the contracts; a trade itself never needs a compiler.
contracts: $(INSTALLED) $(NODE_MODULES)
	$(BIN)/python -m contracts.compiler

# The npm packages (solc, OpenZeppelin, anvil, forge). Without npm the tests that need them are skipped, except in CI.
node:
	@if command -v npm >/dev/null 2>&1; then $(MAKE) --no-print-directory $(NODE_MODULES); \
	elif [ -n "$$CI" ]; then echo "npm is needed in CI" >&2; exit 1; \
	else echo "npm not found: tests that need anvil will be skipped"; fi

$(NODE_MODULES): contracts/package-lock.json
	cd contracts && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/modelseal compile
	@touch $@

$(ANALYSIS): contracts/analysis.lock
	$(PYTHON) -m venv .venv-analysis
	.venv-analysis/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

# Resolves pyproject.toml into requirements.lock for every supported Python, and what `make analyse` needs; needs uv.
lock:
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" pyproject.toml scripts/build-requirements.in --output-file requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --custom-compile-command "make lock" contracts/analysis.in --output-file contracts/analysis.lock

clean:
	rm -rf $(VENV) .venv-analysis contracts/node_modules contracts/cache contracts/out demo-output .mypy_cache .ruff_cache .pytest_cache
