# `make demo` and `make test` do all the set-up: environment, packages, run. A second call starts at once.
#   PYTHON=python3.12       another interpreter (3.10 or newer)
#   VENV=path               another place for the environment
#   TORCH_INDEX=URL         where torch comes from; default: PyTorch's CPU builds. Empty: your pip's own index (gigabytes of CUDA)
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
INPUTS = pyproject.toml constraints.txt

.PHONY: demo test lint coverage mutation wheel clean
demo: $(VENV)/.stamp-demo
	$(VENV)/bin/armside demo

test: $(VENV)/.stamp-test
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.stamp-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# The safety core must be covered whole, every line and every branch, by its own tests.
coverage: $(VENV)/.stamp-test
	$(VENV)/bin/python -m coverage run -m pytest -q tests/firmware_bridge/safety
	$(VENV)/bin/python -m coverage report

# Minutes: thousands of mutants of the safety core, each against its tests. Survivors are explained in docs/mutation.md.
mutation: $(VENV)/.stamp-test
	$(PIP) install -q -c constraints.txt -e '.[mutation]'
	$(VENV)/bin/mutmut run >mutmut.log || true
	$(VENV)/bin/mutmut results

wheel: $(VENV)/.stamp-test
	$(VENV)/bin/python -m build --wheel --outdir dist .

clean:
	rm -rf $(VENV) build dist

# Debian and Ubuntu ship Python without ensurepip: say what to type instead of failing half-way.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "armside needs Python 3.10 or newer as $(PYTHON); what to do: sudo apt-get install python3 python3-venv," \
	       "or say which one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments; what to do: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch first and by itself, so that the extra index serves nothing else. An index that cannot be reached is only a warning.
$(VENV)/.stamp-torch: $(VENV)/bin/python $(INPUTS)
	$(PIP) install -q -c constraints.txt $(if $(TORCH_INDEX),--retries 1 --timeout 30 --extra-index-url $(TORCH_INDEX)) torch
	@touch $@

$(VENV)/.stamp-demo: $(VENV)/.stamp-torch $(INPUTS)
	$(PIP) install -q -c constraints.txt -e '.[edge,export,train,sim]'
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-demo $(INPUTS)
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@
