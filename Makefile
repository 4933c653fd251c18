# `make demo` and `make test` need nothing but Python 3.11 or later: each makes its own virtual environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS ?= test
export JAX_PLATFORMS ?= cpu

.PHONY: help demo test test-all parity forms zoo bench pages examples lint format docs clean dev

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) with the packages of constraints.txt (about two minutes, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: $(READY)  ## two torch models, their checkpoints, the same models in JAX, and the proof
	@$(BIN)/python -m examples.digits

test: $(READY)  ## the tests, then our own cases and a sample of each function in torch's database
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal
	$(BIN)/python -m parity --quick
	$(BIN)/python -m parity --only "op_db/*[0]" --dtype f32 --dtype bf16 --way jit

test-all: $(READY)  ## every random problem and every training program, too
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --exhaustive

parity: $(READY)  ## the whole parity suite, its results into docs/parity/
	$(BIN)/python -m parity --report docs/parity
	$(BIN)/python -m parity.coverage docs/parity/coverage.md
	$(BIN)/python -m parity.tensor_names docs/parity/operators.md

forms: $(READY)  ## the suite's convolutions once more in each of their forms
	$(BIN)/python -c "from jaxnets.lowering.conv_forms import NAMES; print(*NAMES, sep='\n')" | while read -r form; do \
	  $(BIN)/python -m parity --only "conv/*" --only "module_db/*Conv*" --dtype f64 --form "$$form" </dev/null || exit 1; done

zoo: $(READY)  ## every classification model of torchvision, converted and compared; results into docs/parity/
	$(BIN)/python -m benchmarks.zoo --report docs/parity/zoo.md

DEVICE ?= cpu
RESULTS := docs/benchmarks$(if $(filter gpu,$(DEVICE)),/gpu)

bench:  ## layers, models and files timed beside torch and other JAX libraries; results into docs/benchmarks/
	@$(MAKE) --no-print-directory EXTRAS=bench READY=$(VENV)/.ready-bench $(VENV)/.ready-bench
	$(BIN)/python -m benchmarks.layers --device $(DEVICE) --report $(RESULTS)/layers.jsonl
	$(BIN)/python -m benchmarks.layers --every --with jaxnets --device $(DEVICE) --report $(RESULTS)/every.jsonl
	$(BIN)/python -m benchmarks.layers --drawn --with jaxnets --seconds 0.2 --device $(DEVICE) --report $(RESULTS)/drawn.jsonl
	$(BIN)/python -m benchmarks.layers --scaling --with jaxnets --with lax --device $(DEVICE) \
	  --report $(RESULTS)/scaling.jsonl
	$(BIN)/python -m benchmarks.models --device $(DEVICE) --report $(RESULTS)/models.jsonl
	$(if $(filter gpu,$(DEVICE)),JAX_PLATFORMS=cuda) $(BIN)/python -m benchmarks.layout --report $(RESULTS)/layout.jsonl
	$(BIN)/python -m benchmarks.steps --device $(DEVICE) --report $(RESULTS)/steps.jsonl
	$(BIN)/python -m benchmarks.checkpoints --report $(RESULTS)/checkpoints.jsonl
	$(BIN)/python -m benchmarks.page --device $(DEVICE)

pages: $(READY)  ## the converted models that the documentation shows
	$(BIN)/python -m examples.port

examples: $(READY)  ## every training program at full length beside torch; results into docs/examples.md
	$(BIN)/python -m examples.page

dev:
	@$(MAKE) --no-print-directory EXTRAS=dev READY=$(VENV)/.ready-dev $(VENV)/.ready-dev

lint: dev  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: dev  ## let ruff write
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: dev  ## the documentation, into site/; a broken reference is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
