# Each target sets up what it needs from nothing and may be repeated.
PYTHON ?= python3
BIN     = .venv/bin
PIP     = $(BIN)/pip install --quiet --disable-pip-version-check -c requirements/constraints.txt

.PHONY: demo test test-browser app test-cluster test-hostile test-nightly test-attack test-mutants test-matrix long-run bench gpu lint notebooks export readme lab versions hooks clean

demo: .venv/library  ## train on a bundled photograph (minutes on two CPU cores) and leave pictures
	@echo "== training a SinGAN on the bundled photograph 'dunes'"
	$(BIN)/singan train dunes --out demo/dunes --preset class --resume
	@echo "== drawing samples"
	$(BIN)/singan sample demo/dunes -n 11 --seed 1 --grid --out demo/dunes/samples
	$(BIN)/singan sample demo/dunes -n 2 --seed 1 --height 157 --width 600 --out demo/dunes/panoramas
	@echo "== done: open demo/dunes/samples/grid.png"

test: lint notebooks  ## everything: style, notebooks, tests
	@echo "== tests"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal tests

lint: .venv/develop  ## style, and types
	@echo "== style"
	$(BIN)/ruff check --quiet singan_nb tests scripts setup.py nbs
	@echo "== types (the first time takes a minute)"
	$(BIN)/mypy

notebooks: .venv/develop  ## run every notebook top to bottom, with few iterations
	@echo "== notebooks (each with few iterations)"
	LESSON_ITERS=20 OMP_NUM_THREADS=1 $(BIN)/nbdev_test --n_workers 2 --timing --skip_file_re '^(index|[_.].*)'

test-browser: .venv/browser chromium  ## drive the explorers in headless Chromium, in JupyterLab and in Voilà (4 minutes); SCREENSHOTS=folder keeps pictures
	@echo "== explorers in JupyterLab and Voilà"
	$(BIN)/python -m pytest -q tests/browser

app: .venv/browser  ## the explorers as a page without code, for a class: http://127.0.0.1:8866; VOILA="..." adds options of scripts/serve_app.py
	$(BIN)/python scripts/make_app.py app/explore.ipynb
	$(BIN)/python scripts/serve_app.py app/explore.ipynb --port=8866 --Voila.ip=127.0.0.1 --VoilaExecutor.timeout=600 $(VOILA)

test-cluster: .venv/develop  ## many pictures on a Dask cluster and on Ray, started here; workers are killed (minutes)
	@echo "== installing Dask and Ray"
	$(PIP) -e '.[dask,ray]'
	SINGAN_CLUSTER=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/test_many.py -k "cluster or address"

test-hostile: .venv/develop  ## some hundred hostile images and model files, and every format under another one's name (a minute)
	$(BIN)/python -m pytest -q -p no:warnings tests/test_hostile.py

test-nightly: .venv/develop  ## ten thousand hostile images, and as many model files; figures in results/hostile.json
	SINGAN_HOSTILE=10000 SINGAN_HOSTILE_RECORD=results/hostile.json $(BIN)/python -m pytest -q -p no:warnings tests/test_hostile.py

test-attack: .venv/develop  ## kills, flipped bits, bombs, hostile folders, locks, explorers (an hour); figures in results/attack.json
	OMP_NUM_THREADS=1 $(BIN)/python tests/attack.py --out results/attack.json

test-mutants: .venv/mutants  ## some changed lines of each module: does a test notice? (hours; goes on where it was stopped); MUTANTS="--again" adds options; results/mutants.json
	$(BIN)/python scripts/mutants.py $(MUTANTS)

test-matrix: .venv/develop  ## Python 3.10 to 3.13, oldest and newest dependencies, each in a fresh environment (GB, an hour)
	$(BIN)/python scripts/matrix.py

long-run: .venv/library  ## an hour of training, sampling and editing in one process: does anything grow?
	OMP_NUM_THREADS=1 $(BIN)/python scripts/long_run.py --minutes 60

bench: .venv/library  ## time, memory and quality on this machine, with a GPU if there is one
	$(BIN)/singan bench --out results/bench_$$($(BIN)/python -c "from singan_nb.training import pick_device; print(pick_device().type)").json

gpu:  ## all that a GPU should tell, unattended, in at most nine minutes: models, times, tests; nothing is installed
	$(or $(wildcard $(BIN)/python),$(PYTHON)) scripts/gpu.py --minutes 9 --out runs/gpu

export: .venv/develop  ## after editing notebooks: library and README from them, notebooks cleaned
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/python scripts/make_readme.py

lab: .venv/develop  ## open the course
	$(BIN)/jupyter lab nbs/index.ipynb

versions: .venv/develop  ## the lessons for predicting in class, and for the teacher, into build/lessons
	$(BIN)/python scripts/make_versions.py --out build/lessons

hooks: .venv/develop  ## git hooks that keep notebooks clean and mergeable
	$(BIN)/nbdev_install_hooks

clean:  ## remove what these targets made
	rm -rf .venv demo app build *.egg-info

.venv/bin/pip:
	@echo "== making .venv"
	$(PYTHON) -m venv .venv

.venv/library: .venv/bin/pip settings.ini setup.py requirements/constraints.txt
	@echo "== installing the library (PyTorch is large: the first time takes minutes)"
	$(PIP) -e '.[explore,video]'
	@touch $@

.PHONY: chromium
chromium:
	@bash scripts/get_chromium.sh

.venv/browser: .venv/develop requirements/browser.txt
	@echo "== installing Voilà and Playwright"
	$(PIP) -r requirements/browser.txt
	@touch $@

.venv/develop: .venv/library requirements/dev.txt
	@echo "== installing development tools"
	$(PIP) -r requirements/dev.txt
	@touch $@

.venv/mutants: .venv/develop requirements/mutants.txt
	@echo "== installing Cosmic Ray"
	$(PIP) -r requirements/mutants.txt
	@touch $@

docs: .venv/docs  ## the site in docs/, from the notebooks' stored outputs (about two minutes)
	OMP_NUM_THREADS=1 $(BIN)/python scripts/make_docs.py

gallery: .venv/library  ## the gallery's and the README's pictures, from the pretrained models (about two minutes)
	OMP_NUM_THREADS=1 $(BIN)/python scripts/make_gallery.py

test-docs: .venv/docs-test  ## the built site in Chromium: links, no other host, search, Try it, accessibility
	@command -v chromium >/dev/null || { echo "this needs Chromium: apt-get install chromium, or CHROMIUM=/path/to/it"; test -n "$$CHROMIUM"; }
	$(BIN)/python -m pytest -q tests/docs/check_site.py

.PHONY: docs gallery test-docs

.venv/docs: .venv/develop requirements/docs.txt
	@echo "== installing what builds the site"
	$(PIP) -r requirements/docs.txt
	@touch $@

.venv/docs-test: .venv/docs requirements/docs-test.txt
	$(PIP) -r requirements/docs-test.txt
	@touch $@
