# make demo    set up, then the main job on real speech: `voiceid demo`
# make test    set up, then everything that CI checks
# make wheel   build the wheel, and run the demo with it away from here
# make bench   speed against peers, as ratios (on ../shared/corpora, else on the AMI cuts)
# make torture kill -9 while galleries change, sixteen processes at once, hostile files: 20 minutes
# make mutate  a list of mistakes, made one by one: how many of them the tests notice; half an hour
# make bench-server    the service beside the library, and many callers at once; 10 minutes
# make bench-gallery   galleries of millions: time, memory, and who is lost; 40 minutes
# make docs    docs/reference.md, and the reference of the library in build/docs/index.html
# make accuracy, make calibrate: error rates and operating points; need ../shared/corpora

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo wheel test pytest lint style types docs bench bench-server bench-gallery torture mutate accuracy calibrate models clean

demo: .venv/.installed data/ami/.complete
	@$(BIN)/voiceid demo

wheel: .venv/.installed data/ami/.complete
	@.ci/wheel

# One thread for BLAS: others spin while they wait, 57 s of CPU for a test of 6 s on a busy machine.
# With bytecode, also where the environment says without: each of the processes that tests start
# would compile the package again.  Worksteal gives each worker folders of its own to begin with:
# what the tests of a file share is made by one worker, not by both.  The types are checked beside
# them: mypy takes a minute of one core, and the other would wait.
test: style data/ami/.complete models
	@command -v chromium >/dev/null || echo "no chromium: the console is not tested in a browser" >&2
	@$(MAKE) --no-print-directory --jobs 2 types pytest

pytest:
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n 2 --dist worksteal

lint: style types

style: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/alembic check

docs: .venv/.installed
	@$(BIN)/python -m docs.command_reference
	@$(BIN)/python -m docs.reference build/docs

bench: .venv/.installed data/ami/.complete models
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.bulk
	$(BIN)/python -m benchmarks.metrics

torture: .venv/.installed models
	@PYTHONPATH=.:tests:tests/cli:tests/unit/audio:tests/unit/models $(BIN)/python -m torture $(TORTURE)

mutate: data/ami/.complete models
	@PYTHONPATH=.:tests $(BIN)/python -m mutation $(MUTATE)

bench-server: .venv/.installed data/ami/.complete models
	$(BIN)/python -m benchmarks.server

bench-gallery: .venv/.installed data/ami/.complete models
	$(BIN)/python -m benchmarks.gallery --hnsw --ten-million

accuracy: .venv/.installed data/ami/.complete models
	$(BIN)/python -m benchmarks.goldens
	$(BIN)/python -m benchmarks.accuracy

calibrate: .venv/.installed data/ami/.complete models
	$(BIN)/python -m benchmarks.calibrate

.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "voiceid needs Python 3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

data/ami/.complete: | .venv/.installed
	@$(BIN)/python -m examples.ami

models: .venv/.installed
	@$(BIN)/voiceid models pull campplus campplus-int8 ge2e ge2e-800ms segmentation silero-vad

clean:
	rm -rf .venv data/ami data/demo models/*.onnx models/*.json
