# `make demo` and `make test` work on a fresh machine; both make their own virtual environment, and
# one for each version of Python: `make test PYTHON=python3.13` tests in `.venv-3.13`.
VERSION := $(if $(PYTHON),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
VENV ?= .venv$(VERSION)
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: install demo test check docs clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,build,onnx,tensorboard]'
	touch $@

demo: install
	$(BIN)/mfd demo --out demo

test: install
	$(BIN)/pytest -n auto --dist loadscope

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv* demo build site *.egg-info
