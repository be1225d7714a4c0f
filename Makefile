# Development verbs. `make demo` and `make test` set up .venv by themselves.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-nodes test-containers lint bench docs install
install: $(STAMP)

# torch first and with its own dependencies: the platform decides which build. The rest of the lock
# is complete, so nothing else is resolved (crypten's stated dependencies cannot be installed).
$(STAMP): requirements.lock pyproject.toml
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Also in place of a half-made one.
.PHONY: venv
venv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	{ echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13: name one with make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

# Over nodes that are processes of their own, and are killed: some 15 minutes on 2 cores.
test-nodes: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m nodes

# docker-compose.yml and deploy/ in a real engine: some 20 minutes on 2 cores.
test-containers: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m engine

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

demo: install
	$(BIN)/syncytium demo

# DATA is a folder with the datasets that bench/README.md names.
bench: install
	@test -n "$(DATA)" || { echo "give the folder with the datasets: make bench DATA=DIR"; exit 2; }
	$(BIN)/python -m bench.throughput $(DATA)
	$(BIN)/python -m bench.overhead $(DATA)
	$(BIN)/python -m bench.masking $(DATA)
	$(BIN)/python -m bench.noise
	$(BIN)/python -m bench.synthesis $(DATA) --generators rule,star,copula,cvae
	$(BIN)/python -m bench.synthesis $(DATA) --public-ranking
	$(BIN)/python -m bench.epsilon_curves
	$(BIN)/python -m bench.synthesis_audit $(DATA)
	$(BIN)/python -m bench.synthesis_sites $(DATA)
	$(BIN)/python -m bench.rounds $(DATA)
	$(BIN)/python -m bench.many_nodes
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.nearest_labels $(DATA)
	$(BIN)/python -m bench.demo
	$(BIN)/python -m bench.correction $(DATA)
	$(BIN)/python -m bench.evaluation
	$(BIN)/python -m bench.own_signal $(DATA)
	$(BIN)/python -m bench.scenarios $(DATA)
	$(BIN)/python -m bench.joining $(DATA)
	$(BIN)/python -m bench.federated_evaluation $(DATA)
	$(BIN)/python -m bench.classification conf/classify-as-is.toml $(DATA)
	$(BIN)/python -m bench.classification conf/classify-intra.toml $(DATA)
	$(BIN)/python -m bench.classification conf/classify-inter.toml $(DATA) --seeds 1
	$(BIN)/python -m bench.classification conf/classify-strategies.toml $(DATA) --ways federated,pooled
	$(BIN)/python -m bench.classifier_speed $(DATA)
	$(BIN)/python -m bench.metering $(DATA)
	$(BIN)/python -m bench.energy_methods $(DATA)
	$(BIN)/python -m bench.fine_tuning $(DATA)

# Reference pages that are made from the code: docs/settings.md, docs/wire.md.
docs: install
	$(BIN)/python docs/generate.py
