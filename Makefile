# The two commands a newcomer needs: `make demo` shows it at work, `make test` proves it. Both install what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo lab lab-build test test-clients lint types bench clean

demo: $(VENV)/demo.installed      ## run binder/tour.ipynb in a kernel of a real Jupyter server, and print it
	$(BIN)/python binder/demo.py

lab: $(VENV)/demo.installed       ## open the tour in JupyterLab
	$(BIN)/jupyter lab --ServerApp.root_dir=binder binder/tour.ipynb

lab-build: $(VENV)/test.installed ## build the JupyterLab extension if its sources changed, and let .venv's JupyterLab use it from here
	$(BIN)/python hatch_build.py
	$(BIN)/jupyter-builder develop --overwrite .

test: $(VENV)/test.installed      ## everything that is tested
	$(BIN)/python hatch_build.py jlpm test
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-clients: $(VENV)/test.installed  ## the Python clients against a real server, started and stopped here
	$(BIN)/python -m tests.client.run

lint: $(VENV)/test.installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	cd pctx_jupyter/sandbox/runtime && $(CURDIR)/$(BIN)/deno fmt --check . && $(CURDIR)/$(BIN)/deno lint .
	$(BIN)/python hatch_build.py jlpm lint

types: $(VENV)/test.installed
	$(BIN)/mypy

bench: $(VENV)/test.installed     ## measure, with the baselines in the same run; one table
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/test.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[demo,test]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis labextension/lib labextension/node_modules
