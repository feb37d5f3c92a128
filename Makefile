# make demo    from a game to a restored picture, then open demo/index.html
# make test    the tests
# make check   lint, types and tests: what CI runs
# make bench   the measurements behind docs/LOG.md
# make soak    what takes long: half an hour of recording; every command with every fault at every
#              change of a file, and twice at once; every reader fed with damaged files
#
# Each makes its own environment in .venv first, and installs what is missing.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.installed
PACKAGES := xvfb xdotool libgl1 libgl1-mesa-dri libegl1 libglib2.0-0 python3-venv \
    python3-dev gcc libc6-dev x11-xserver-utils

.PHONY: demo test check lint format bench soak clean system browser

demo: $(STAMP)
	$(BIN)/cli demo

test: $(STAMP) browser
	$(BIN)/python -m pytest

check: lint browser
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# scrolling.py, made_pairs.py, odd_pictures.py and fuzz_*.py serve others and measure nothing.
NO_BENCH := capture/scrolling capture/soak model/made_pairs odd_pictures fuzz_mutations fuzz_readers \
    fuzz faults

bench: $(STAMP)
	for file in $(filter-out $(NO_BENCH:%=benchmarks/%.py),$(wildcard benchmarks/*.py benchmarks/*/*.py)); do \
	    $(BIN)/python $$file || exit 1; done

soak: $(STAMP)
	$(BIN)/python benchmarks/capture/soak.py
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/faults.py --twice
	$(BIN)/python benchmarks/fuzz.py

clean:
	rm -rf $(VENV) demo build *.egg-info

# A virtual screen, software OpenGL, a key presser, and a C compiler for evdev, which pynput needs
# and which comes as source. Files are asked for rather than packages,
# because Debian and Ubuntu name some of the packages differently from release to release.
system:
	@libraries=$$(PATH="$$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null); missing=; \
	for program in Xvfb xdotool xrandr xset gcc; do \
	    command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	for library in libGL.so.1 libEGL.so.1 libgthread-2.0.so.0; do \
	    case "$$libraries" in *$$library*) ;; *) missing="$$missing $$library";; esac; done; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	$(PYTHON) -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' \
	    2>/dev/null || missing="$$missing Python.h"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	echo "missing:$$missing" >&2; \
	if [ "$$(uname)" != Linux ]; then \
	    echo "Only the tests need them; going on." >&2; \
	elif ! command -v apt-get >/dev/null; then \
	    echo "Install with your package manager:" >&2; \
	    echo "    Xvfb, xdotool, xrandr, xset, OpenGL (Mesa), EGL, GLib" >&2; exit 1; \
	elif [ "$$(id -u)" = 0 ]; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy $(PACKAGES); \
	elif sudo -n true 2>/dev/null; then \
	    sudo apt-get update -q && sudo apt-get install -qy $(PACKAGES); \
	else \
	    echo "System packages are missing. Run this once, then make again:" >&2; \
	    echo "    sudo apt-get update && sudo apt-get install $(PACKAGES)" >&2; exit 1; \
	fi

# Tests of the review page run in a real browser. Ubuntu has none as a plain package: they are
# skipped there unless Chromium is installed in another way.
browser:
	@if command -v chromium || command -v chromium-browser || [ "$$(uname)" != Linux ]; then :; \
	elif [ "$$(id -u)" = 0 ] && apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qy chromium; then :; \
	elif sudo -n apt-get install -qy chromium 2>/dev/null; then :; \
	else echo "No Chromium: the tests of the review page are skipped." >&2; fi

$(STAMP): setup.cfg pyproject.toml | system
	if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	    uv pip install --python $(BIN)/python --editable '.[dev]'; \
	else \
	    $(PYTHON) -m venv $(VENV) && \
	    $(BIN)/python -m pip install --progress-bar off --editable '.[dev]'; \
	fi
	touch $@
