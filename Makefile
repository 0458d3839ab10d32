# The two commands a newcomer needs: `make demo` shows it at work, `make test` proves it. Both install what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# A busy machine may stop a browser or a server for seconds: three tests of a run may fail once, and it says how.
AGAIN := --reruns 1 --max-suite-reruns 3 --rerun-show-tracebacks

# Compiled modules are kept, whatever the environment says: tests start over a thousand processes that import them.
export PYTHONDONTWRITEBYTECODE :=

# One more than two cores: one worker has the browser, and what the others start is waited for half of the time.
WORKERS ?= 3

.PHONY: api checks demo lab lab-build test quick coverage test-clients fuzz lint types docs pictures pythons bench bench-agents faults soak report-libraries clean

demo: $(VENV)/demo.installed      ## run binder/tour.ipynb in a kernel of a real Jupyter server, and print it
	$(BIN)/python binder/demo.py

lab: $(VENV)/demo.installed       ## open the tour in JupyterLab
	$(BIN)/jupyter lab --ServerApp.root_dir=binder binder/tour.ipynb

api: $(VENV)/test.installed       ## write openapi.yaml and the types of JupyterLab's client from the server's structs
	$(BIN)/python -m pctx_jupyter.server.specification

lab-build: api                    ## build the JupyterLab extension if its sources changed, and let .venv's JupyterLab use it from here
	$(BIN)/python hatch_build.py
	$(BIN)/jupyter-builder develop --overwrite .

test: $(VENV)/test.installed      ## everything that is tested
	$(BIN)/python hatch_build.py jlpm test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(AGAIN)

quick: $(VENV)/test.installed     ## what needs neither Deno nor a server: lint, types, the rooms of the core; under a minute
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/python -m pytest -q tests/rpc tests/tools tests/program tests/session tests/test_layers.py tests/test_docs.py tests/test_errors.py tests/test_words.py tests/test_names.py

coverage: $(VENV)/test.installed  ## print the branch coverage of the core by its own tests; there is no limit
	$(BIN)/python -m pytest -q --cov --cov-report=term tests/rpc tests/tools tests/program tests/session

test-clients: $(VENV)/test.installed  ## the Python clients against a real server, started and stopped here
	$(BIN)/python -m tests.client.run

fuzz: $(VENV)/test.installed      ## some minutes of random input, other than in the last run; prints what fails, and how to have it again
	$(BIN)/python -m pytest -m fuzz --hypothesis-profile=fuzz --hypothesis-show-statistics --timeout=1800 $(FUZZ)

checks: $(VENV)/test.installed $(VENV)/docs.installed  ## all that is quick and needs one core, two at a time
	$(MAKE) --jobs=2 --output-sync=target pythons coverage docs types lint

lint: $(VENV)/test.installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	cd pctx_jupyter/sandbox/runtime && $(CURDIR)/$(BIN)/deno fmt --check . && $(CURDIR)/$(BIN)/deno lint .
	$(BIN)/python hatch_build.py jlpm lint

types: $(VENV)/test.installed
	$(BIN)/mypy

docs: $(VENV)/docs.installed      ## the documentation as a site in build/site; a broken link or docstring fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pictures: $(VENV)/test.installed  ## take the pictures of the documentation again
	PCTX_PICTURES=docs/images $(BIN)/python -m pytest -q tests/browser/test_pictures.py

pythons: $(VENV)/test.installed   ## the tests of the core on every other supported Python of this machine
	$(BIN)/python -m tests.pythons

bench: $(VENV)/test.installed     ## measure, with the baselines in the same run; one table
	$(BIN)/python -m benchmarks

bench-agents: $(VENV)/test.installed  ## what an agent sends and reads for nine tasks: by plain MCP calls, and here; PCTX_BENCH_MODEL adds a model
	$(BIN)/python -m benchmarks.agents

faults: $(VENV)/test.installed    ## kill and stop every part while programs run, and cut connections; two tables, some minutes
	$(BIN)/python -m benchmarks.faults && $(BIN)/python -m benchmarks.cuts

soak: $(VENV)/test.installed      ## many executions, sessions and hostile clients: what is left, and what others notice; four tables
	$(BIN)/python -m benchmarks.soak

report-libraries: $(VENV)/libraries.installed  ## how many functions of everyday libraries can be offered, and how many of their parameters have types
	$(BIN)/python -m benchmarks.libraries

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv --upgrade-deps $(VENV)

$(VENV)/demo.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV), which takes some minutes the first time"
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/test.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV), which takes some minutes the first time"
	$(BIN)/python -m pip install --quiet --editable '.[demo,test]'
	touch $@

$(VENV)/libraries.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[libraries]'
	touch $@

$(VENV)/docs.installed: pyproject.toml | $(VENV)/test.installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis labextension/lib labextension/node_modules
