# `make demo` and `make test` work on a fresh machine; both make their own virtual environment, and
# one for each version of Python and of what mfd depends on: `make test PYTHON=python3.13` tests in
# `.venv-3.13`, with `CONSTRAINTS=` the newest versions in `.venv-3.13-newest`, and with
# `CONSTRAINTS=build/lowest.txt` the lowest that pyproject.toml allows in `.venv-3.13-lowest`.
CONSTRAINTS ?= constraints.txt
VERSION := $(if $(PYTHON),-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
PINS := $(filter-out -constraints,-$(or $(basename $(notdir $(CONSTRAINTS))),newest))
VENV ?= .venv$(VERSION)$(PINS)
PYTHON ?= python3
BIN := $(VENV)/bin
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check $(CONSTRAINTS:%=-c %)

.PHONY: install demo test check docs clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[test,build,onnx,tensorboard]'
	touch $@

build/lowest.txt: pyproject.toml
	mkdir -p build
	uv pip compile --quiet --python $(PYTHON) --resolution lowest-direct \
	  --extra test --extra build --extra onnx --extra tensorboard --output-file $@ $<

demo: install
	$(BIN)/mfd demo --out demo

test: install
	$(BIN)/pytest -n auto --dist loadscope

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: install
	$(INSTALL) -e '.[docs]'
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv* demo build site *.egg-info
