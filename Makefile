# `make enhance` and `make test` do all the set-up on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NPM := $(shell command -v npm)
PAGE := src/relume/page/vendor
PHOTO ?= docs/images/night.jpg
OUT ?= build/night.relume.jpg
QUICK := $(addprefix tests/,cli/test_enhance_one.py cli/test_enhance_many.py cli/test_enhance_in_place.py \
	photo/test_read.py photo/test_write.py look jobs models test_api.py test_docs.py test_threads.py)

.PHONY: enhance check test lint style types bench beside page clean

$(VENV)/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/dev: $(VENV)/base
	# What is never imported need not be compiled, which would take as long as the rest.
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[lab,heif,raw,jxl,video,tasks,serve,study,cloud,ray,dev]'
	# Its weights and, in a test, its code; torchvision, which it asks for, need not fit this PyTorch.
	$(BIN)/python -m pip install --quiet --no-deps lpips tqdm
	touch $@

enhance: $(VENV)/base ## enhance a real photo with the shipped weights
	mkdir -p $(dir $(OUT))
	$(BIN)/relume enhance $(PHOTO) -o $(OUT)
	@echo "before: $(PHOTO)  after: $(OUT)"

check: $(VENV)/dev lint ## run linters and the product's quick tests: under two minutes on two cores
	$(BIN)/python -m pytest -m 'not slow' $(QUICK)

$(PAGE): package.json package-lock.json src/relume/page/vendor.mjs
	npm ci
	npm run --silent vendor
	touch $@

page: $(PAGE) ## bring what the page computes with, from the npm registry; needs Node 20 or later

# Two run at a time, the longest first; what ends early makes room for the next.
APART := tests/lab tests/page tests/jobs
PARTS := test-lab test-rest test-page test-jobs types
# Beside other processes, a small network's second thread only takes time: threads wait for one another busily.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations=15

.PHONY: $(PARTS)

test: $(VENV)/dev style $(if $(NPM),$(PAGE)) ## run linters and every test, in two processes
	$(MAKE) --no-print-directory --keep-going --jobs=2 $(PARTS)

# Sizes of graphs are kept as formulas, of which SymPy forgets all but 1000.
test-lab: $(VENV)/dev
	SYMPY_CACHE_SIZE=100000 $(PYTEST) tests/lab

test-rest: $(VENV)/dev
	$(PYTEST) $(APART:%=--ignore=%)

test-page test-jobs: test-%: $(VENV)/dev
	$(PYTEST) tests/$*

lint: style types

style: $(VENV)/dev
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/lint-imports

types: $(VENV)/dev
	$(BIN)/pyright

LOWEST := build/lowest
lowest: ## try the lowest versions of dependencies that pyproject.toml allows
	$(PYTHON) -m venv $(LOWEST)
	$(PYTHON) -c 'import tomllib; table = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
		print(*(each.replace(">=", "==") for each in table["dependencies"]), sep="\n")' > $(LOWEST)/needed.txt
	$(LOWEST)/bin/python -m pip install --quiet --requirement $(LOWEST)/needed.txt pytest hypothesis
	PYTHONPATH=src $(LOWEST)/bin/python -m pytest -W ignore::DeprecationWarning tests/look/test_look.py tests/models/test_engine.py \
		tests/test_api.py tests/photo/test_write.py tests/cli/test_enhance_one.py

bench: $(VENV)/base ## measure time, memory and size of the shipped models, from file to file
	mkdir -p build
	$(BIN)/relume bench -o build/bench.csv

beside: $(VENV)/dev ## measure time and memory of BEFORE=REVISION and of AFTER=REVISION, or the working tree, in turn
	$(BIN)/python benchmarks/beside.py $(BEFORE) $(AFTER)

clean:
	rm -rf $(VENV) build node_modules $(PAGE)
