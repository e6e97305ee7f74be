# `make dashboard` and `make test` set up all they need (Python 3.11), then run.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV ?= .venv
BIN := $(VENV)/bin
# Where an index serves only the CUDA build: make … TORCH_PIP_ARGS="--index-url https://download.pytorch.org/whl/cpu"
TORCH_PIP_ARGS ?=
PORT ?= 8501
export HF_HUB_OFFLINE = 1
export OMP_WAIT_POLICY = PASSIVE

.PHONY: dashboard test lint bench browser clean
.DELETE_ON_ERROR:

dashboard: $(VENV)/run.stamp
	$(BIN)/python -m streamlit run dashboard/app.py --server.port $(PORT)

test: $(VENV)/dev.stamp browser
	$(BIN)/python -m pytest -m "not slow"

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/run.stamp
	$(BIN)/python -m benchmarks.samples
	$(BIN)/python -m benchmarks.quality
	$(BIN)/python -m benchmarks.contamination
	$(BIN)/python -m benchmarks.false_alarms
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.flows
	$(BIN)/python -m benchmarks.dashboard

browser: $(VENV)/dev.stamp
	$(BIN)/python tests/browser/install.py

$(VENV)/python.stamp:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not here; install Python 3.11, or name one: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "make: $(PYTHON) is not Python 3.11, the version this was tried with; name one: make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH_PIP_ARGS) torch==2.13.0
	touch $@

$(VENV)/run.stamp: requirements.txt $(VENV)/python.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV)
