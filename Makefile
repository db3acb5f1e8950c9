# make setup   a virtual environment in .venv with all that the CPU needs
# make demo    data, training, segmentation and scores in under four minutes
# make test    everything that must be green
# make release-check   build, install and try out a release, from outside the repository
# make docs    the documentation as a site, in build/site
# make bench   the timings that the documentation quotes
# make gpu-test   the tests that need a card, on cuda:0; fails, with the cause, without one
# make gpu-sanitize   the kernels' tests under compute-sanitizer, up to nine minutes for each of
#                 TOOLS (memcheck or racecheck)
# make gpu-bench  the card beside PyTorch, figures into benchmarks/results/
#                 (all three with GPU=gpu12 where the driver is older than CUDA 13, or with
#                 PYTHON_GPU=python3, a Python that has CuPy and pytest already)
# make fuzz    damaged and hostile files, FUZZ_SECONDS (60) for each reader
# make endurance   long runs: memory stays flat, no file stays open

PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test lint docs bench gpu-test gpu-sanitize gpu-bench gpu-link fuzz endurance clean descriptor release-check

setup: .venv/.setup

# Debian's python3 comes without ensurepip unless python3-venv is installed: then its pip fills the
# environment from outside
.venv/bin/python:
	@$(PYTHON) -m venv .venv 2>/dev/null || $(PYTHON) -m venv --without-pip .venv

PIP = $(shell $(BIN)/python -m pip --version >/dev/null 2>&1 && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python)

.venv/.setup: pyproject.toml | .venv/bin/python
	$(PIP) install --quiet --disable-pip-version-check -e '.[fast]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(PIP) install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/.setup

# CuPy as well; GPU: the extra of pyproject.toml that names the one for the driver's CUDA
GPU ?= gpu
.venv/.$(GPU): pyproject.toml | .venv/bin/python
	$(PIP) install --quiet --disable-pip-version-check -e '.[dev,$(GPU)]'
	@touch $@ .venv/.dev .venv/.setup

demo: .venv/.setup
	$(BIN)/python tools/demo.py

# mypy names a package after its folder, which a clone may call anything: the link gives it its name
lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p .venv/lint && ln -sfn "$(CURDIR)" .venv/lint/demitasse
	cd .venv/lint && "$(CURDIR)/$(BIN)/mypy" --config-file demitasse/pyproject.toml demitasse
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

docs: .venv/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "build/site/index.html; with the search: $(BIN)/python -m http.server -d build/site"

bench: .venv/.dev
	@for name in layers step deploy memory scaling; do \
	  $(BIN)/python benchmarks/$$name.py --short --peer torch,ncnn,onnxruntime,openvino || exit 1; done

# PYTHON_GPU: a Python that has CuPy and pytest, where it is not that of .venv; this folder may be
# called anything, so a link gives it the name under which that Python finds it, before whatever
# else is in PYTHONPATH
PYTHON_GPU ?= $(BIN)/python
GPU_READY = $(if $(filter $(BIN)/python,$(PYTHON_GPU)),.venv/.$(GPU),gpu-link)
RUN_GPU = $(if $(filter gpu-link,$(GPU_READY)),PYTHONPATH="$(CURDIR)/build/gpu$${PYTHONPATH:+:$$PYTHONPATH}" )$(PYTHON_GPU)
# each job takes about half a GiB of the card
GPU_JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 4); echo $$((n < 12 ? n : 12)))
GPU_TESTS = tests/kernels tests/layers tests/net tests/solvers tests/gpu
TOOLS ?= memcheck or racecheck

gpu-link:
	@mkdir -p build/gpu && ln -sfn "$(CURDIR)" build/gpu/demitasse

gpu-test: $(GPU_READY)
	$(RUN_GPU) -m pytest -m gpu -k "not sanitizer" --needs-card -W default -n $(GPU_JOBS) --dist worksteal -q $(GPU_TESTS)

gpu-sanitize: $(GPU_READY)
	$(RUN_GPU) -m pytest -m gpu -k "sanitizer and ($(TOOLS))" --needs-card -W default -q tests/gpu

# beside it, for the comparison, a PyTorch for the driver's CUDA, which is for the user to choose
gpu-bench: $(GPU_READY)
	$(RUN_GPU) benchmarks/gpu.py --json benchmarks/results/gpu-572-$$(date +%F).json

fuzz: .venv/.dev
	$(PIP) install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python fuzz/run.py

endurance: .venv/.dev
	$(BIN)/python benchmarks/endurance.py

release-check: .venv/.dev
	$(BIN)/python .ci/release_check.py

# netspec/caffe.binpb from netspec/caffe.proto
descriptor: .venv/.dev
	$(BIN)/python netspec/compile_proto.py

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
