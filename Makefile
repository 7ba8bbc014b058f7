# Everything runs in .venv, which the first target that needs it makes. Nothing has to be activated
# or exported: `make demo` and `make test` work on a fresh clone.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
TAG ?=
# Where the engine comes from: source, release (the official binaries), or auto (release if there
# is one). Only a build from source has llama-simple, which the tests compare with.
ENGINE ?= source
# A GPU backend for the engine: cuda, hip, metal, sycl, vulkan
BACKEND ?=
LLAMA_CPP ?=
# The tree that regen and check read: a tag, a folder, or by default the pin.
TREE := $(if $(TAG),--tag $(TAG))$(if $(LLAMA_CPP),--llama-cpp $(LLAMA_CPP))

LIBLLAMA := $(if $(filter Darwin,$(shell uname -s)),libllama.dylib,libllama.so)

.DEFAULT_GOAL := help
.PHONY: help demo test quick newest lock regen check verify diff pin latest lag upstream tried propose engine model \
	check-tag packages wheel check-wheel old-cpus companion misuse checks gpu-check bench docs lint format clean

help: ## show the targets
	@echo "Targets (settings in capitals: TAG=b11549, LLAMA_CPP=folder, FROM=old, TO=new, PYTHON=python3.12):"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@awk -F : '/^[a-z-]+:.*#: / { found = found " " $$1 } END { print "For releases and workflows (see the Makefile):" found }' $(MAKEFILE_LIST)

# Every package is of the version and the hash in requirements/dev.txt, also in a year. LOCK= is the
# newest that pyproject.toml allows. Nothing but wheels, as a build would fetch what no hash is for.
LOCK ?= requirements/dev.txt
PIP := $(PY) -m pip install --disable-pip-version-check
LOCKED := --require-hashes --only-binary :all: --requirement

# The stamp is newer than these two exactly when the environment has what they ask for.
$(VENV)/.ready: pyproject.toml $(LOCK)
	@echo "== environment: $(VENV) with everything that the project needs"
	$(PYTHON) -m venv $(VENV)
ifdef LOCK
	$(PIP) $(LOCKED) $(LOCK)
	$(PIP) --no-deps --no-build-isolation --editable .
else
	$(PIP) 'pip>=25.1'
	$(PIP) --editable '.[all]' --group dev
endif
	@touch $@

$(VENV)/.release: $(VENV)/.ready requirements/release.txt
	$(PIP) --quiet $(LOCKED) requirements/release.txt
	@touch $@

demo: engine model ## set everything up and generate text with a real model
	@echo "== bindings: generated from the pinned llama.h"
	$(PY) -m codegen regen
	@echo "== text: SmolLM2 through the bindings"
	$(PY) examples/simple_generation.py -m "$$($(PY) examples/fetch_model.py)" -n 48 "The three most important things in life are"

# With --dist loadfile, a new process for one that has died leaves pytest waiting for ever.
ENDS := --max-worker-restart 0

test: engine model lint check ## set everything up and run every test, lint and the up-to-date check
	@echo "== tests"
	$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile $(ENDS) $(PYTEST_ARGS)

newest: ## every test with the newest packages that pyproject.toml allows
	rm -rf build/newest
	$(MAKE) test VENV=build/newest LOCK=

# For every Python and every system, and without the address of an index: that is the installer's.
COMPILE = $(PY) -m uv pip compile --quiet --upgrade --universal --python-version 3.10 \
	--generate-hashes --only-binary :all: --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock" --output-file
lock: $(VENV)/.ready ## raise the packages in requirements/ to the newest
	@echo "== the newest packages"
	$(COMPILE) requirements/dev.txt --extra all --group pyproject.toml:dev pyproject.toml
	$(COMPILE) requirements/release.txt --extra codegen --extra engine \
		--group pyproject.toml:release --constraint requirements/dev.txt pyproject.toml
	$(COMPILE) requirements/peer.txt --constraint requirements/dev.txt requirements/peer.in
	$(COMPILE) requirements/clients.txt requirements/clients.in

# No engine can be found there, so that a test which needs one fails and loses its mark.
quick: lint check ## all that needs no engine: lint, types, the up-to-date check, tests; 90 seconds
	@echo "== tests without an engine"
	LLAMA_CPP_LIB=$(CURDIR)/build/no-engine $(PY) -m pytest -q -n 2 $(ENDS) -m quick $(PYTEST_ARGS)

regen: $(VENV)/.ready ## regenerate the bindings (from the pin, TAG=bNNNN, latest, master or a commit, or LLAMA_CPP=folder)
	@echo "== regenerating the bindings"
	$(PY) -m codegen regen $(TREE)

check: $(VENV)/.ready ## exit 1 with a diff when a generated file is not what the pin gives
	@echo "== are the generated files up to date?"
	$(PY) -m codegen check $(TREE)

diff: $(VENV)/.ready ## what changed between two tags, trees or api.json files: FROM=… TO=…
	@test -n "$(FROM)" -a -n "$(TO)" || { echo "usage: make diff FROM=b11434 TO=b11549" >&2; exit 2; }
	$(PY) -m codegen diff $(FROM) $(TO)

verify: engine ## ask the C compiler, ctypes and the engine whether the bindings are right
	@echo "== witnesses"
	$(PY) -m codegen verify --lib "$$($(PY) -m llama_cpp.engine where)"/$(LIBLLAMA)

pin: #: print the tag that the bindings are for
	@awk -F '"' '/^tag = / { print $$2 }' codegen/upstream.toml

latest: $(VENV)/.ready #: print the newest tag of llama.cpp that can be had
	@$(PY) -m codegen latest

lag: $(VENV)/.ready ## how many tags and days the pin is behind; exit 1 over a limit (ARGS="--max-days 30")
	@$(PY) -m codegen lag $(ARGS)

# What the daily workflow does: `upstream`, `tried`, `propose`, in this order.
upstream: $(VENV)/.ready #: regenerate for TAG=… and write what changed, as Markdown, to REPORT=…
	@test -n "$(TAG)" -a -n "$(REPORT)" || { echo "usage: make upstream TAG=b11549 REPORT=report.md" >&2; exit 2; }
	mkdir -p "$(REPORT).old" && cp codegen/api.json codegen/server.json "$(REPORT).old"
	$(PY) -m codegen regen --tag $(TAG)
	$(PY) -m codegen diff "$(REPORT).old/api.json" codegen/api.json --format markdown > "$(REPORT)"
	@rm -r "$(REPORT).old"

# A step that fails is news as well: the others run, and the report says so.
STEPS ?= verify test "checks NAME=matrix"
tried: $(VENV)/.ready #: run STEPS=… and add to REPORT=… how each ended; exit 1 if one failed
	@test -n "$(REPORT)" || { echo "usage: make tried REPORT=report.md" >&2; exit 2; }
	@failed=0; for step in $(STEPS); do \
		echo "== make $$step"; \
		if $(MAKE) $$step > "$(REPORT).log" 2>&1; then result=passed; else result=FAILED; failed=1; fi; \
		cat "$(REPORT).log"; \
		printf '\n## make %s: %s\n\n```text\n%s\n```\n' "$$step" "$$result" \
			"$$(tail -n 15 "$(REPORT).log" | cut -c 1-300)" >> "$(REPORT)"; \
	done; rm -f "$(REPORT).log"; exit $$failed

propose: #: commit all on a branch for TAG=…, push it and open a pull request with REPORT=… (gh)
	@test -n "$(TAG)" -a -n "$(REPORT)" || { echo "usage: make propose TAG=b11549 REPORT=report.md" >&2; exit 2; }
	git switch --create "llama.cpp-$(TAG)"
	git add --all
	git commit --quiet --message "Follow llama.cpp to $(TAG)"
	git push origin "llama.cpp-$(TAG)"
	gh pr create --title "Follow llama.cpp to $(TAG)" --body-file "$(REPORT)"

engine: $(VENV)/.ready ## build libllama and llama-server of the bindings' llama.cpp into the cache (BACKEND=cuda, vulkan, ...)
	@echo "== engine: libllama and llama-server of the llama.cpp that the bindings are for"
	@$(PY) -m llama_cpp.engine where $(BACKEND:%=--backend %) 2>/dev/null || { \
		set -e; tree=$$($(PY) -m codegen fetch); \
		$(PY) -m llama_cpp.engine install --from $(ENGINE) --source "$$tree" $(BACKEND:%=--backend %); }

check-tag: $(VENV)/.ready #: whether GIT_TAG=v… is the tag of this version
	@test -n "$$GIT_TAG" || { echo "usage: make check-tag GIT_TAG=v0.1.11549" >&2; exit 2; }
	@$(PY) -m release.check_tag "$$GIT_TAG"

packages: $(VENV)/.release #: the wheel without an engine, for every platform, and the source, into dist/
	@echo "== packages"
	$(PY) -m release.wheel --pure

wheel: $(VENV)/.release #: a wheel with the engine inside into dist/ (builds for long; ZIG=1: for old systems)
	@echo "== wheel"
	$(PY) -m release.wheel $(if $(ZIG),--zig)

check-wheel: model #: install dist/'s wheel with each Python there is, without a compiler, and generate text (NAME=vulkan: with this companion; NO_DRIVER=1: and no driver for it)
	@echo "== the wheel in clean environments"
	$(PY) -m release.check_wheel $(NAME:%=--companion %) $(NO_DRIVER:%=--no-driver)

companion: $(VENV)/.release #: a GPU backend's own wheel, NAME=vulkan, cuda12, cuda13 or rocm, into dist/
	@echo "== companion"
	$(PY) -m release.companion $(NAME)

old-cpus: model #: the text of dist/'s wheel with the code for each kind of CPU, and on emulated ones
	@echo "== old CPUs"
	$(PY) -m release.old_cpus

model: $(VENV)/.ready #: put SmolLM2-135M-Instruct into the cache
	@echo "== model: SmolLM2-135M-Instruct"
	$(PY) examples/fetch_model.py

misuse: engine model ## the table of wrong uses: cases, passed, failed (PEER=1: llama-cpp-python's too)
	@echo "== wrong use"
	$(PY) -m tests.misuse $(if $(PEER),--peer)

checks: engine model ## run a long check, NAME=leaks; without NAME, list them (ARGS="-n 2000": its options)
	$(PY) -m checks $(NAME) $(ARGS)

# No prerequisites: there may be no network. Without .venv the system's Python does.
gpu-check: ## what a machine with a GPU can show, in eight minutes (ARGS="--engine FOLDER --model FILE")
	$(or $(wildcard $(PY)),$(PYTHON)) -m checks.gpu $(ARGS)

bench: engine model ## measure, side by side: all topics, or NAME="import memory" (ARGS="--rounds 9")
	@echo "== measuring"
	$(PY) -m bench $(NAME) $(ARGS)

# Not with --quiet: that drops the warnings before --strict can count them.
docs: $(VENV)/.ready ## build the documentation into build/site, and check every link in it
	@echo "== documentation"
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	$(PY) docs/_site/check.py build/site

lint: $(VENV)/.ready ## formatting, lint and types
	@echo "== format, lint, types"
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pyright --pythonpath $(PY)
	$(PY) -m codegen seals

format: $(VENV)/.ready ## format the hand-written code
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean: ## remove the environment and what tools left behind (the cache stays)
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
