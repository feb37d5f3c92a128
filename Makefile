# `make help` lists what can be made. Each target makes its own environment in .venv first, and
# installs what is missing.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STAMP := $(VENV)/.installed
PACKAGES := xvfb xdotool libgl1 libgl1-mesa-dri libegl1 libglib2.0-0 python3-venv \
    python3-dev gcc libc6-dev x11-xserver-utils
WAYLAND_PACKAGES := dbus grim mutter pipewire pipewire-bin sway util-linux wireplumber wtype \
    xdg-desktop-portal xdg-desktop-portal-wlr
WINE_PACKAGES := wine64 binutils-mingw-w64-x86-64

# Neighbouring tests share fixtures: a worker begins with a part of them in their order, and takes
# over from another when it has no more. Each worker holds up to 2 GB.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal

.PHONY: help demo test test-fast check check-all audit sbom lint format hooks bench soak clean \
    test-windows bundle-windows system browser wayland wine

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	    while IFS='|' read -r name text; do printf 'make %-14s %s\n' "$$name" "$$text"; done

demo: $(STAMP) ## record a game, label, train twice, restore: then open demo/index.html
	$(BIN)/cli demo

test: $(STAMP) browser wayland ## run all tests
	$(PYTEST)

test-fast: $(STAMP) ## run the tests of a minute, which need no screen and no browser
	$(PYTEST) -m 'not slow' --timeout 20

check: lint browser wayland ## lint, check types and run all tests, as CI does
	$(PYTEST)

check-all: check audit ## the same, and whether installed packages have known holes

audit: $(STAMP) ## ask for known holes of the installed packages; without a network it says so
	$(BIN)/python .ci/audit.py

sbom: $(STAMP) ## write sbom.json, all that is installed, in the format CycloneDX
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file sbom.json $(BIN)/python

lint: $(STAMP) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## mend the style where that needs no thought
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# scrolling.py, made_pairs.py, photographs.py, odd_pictures.py and fuzz_*.py serve others and
# measure nothing; judge_runs.py and fine_tuning.py need what somebody has trained, builtin.py replaces
# files.
NO_BENCH := capture/scrolling capture/soak capture/on_windows model/made_pairs model/photographs model/judge_runs \
    model/builtin model/fine_tuning odd_pictures fuzz_mutations fuzz_readers fuzz_doors fuzz faults

hooks: $(STAMP) ## check style and types before each commit (.pre-commit-config.yaml)
	$(BIN)/pre-commit install

# What Windows' own Python runs: under Wine, unless Windows runs this.
ON_WINDOWS := $(if $(filter Windows_NT,$(OS)),py,PYTHONPATH=tests:. $(BIN)/python -m windows)

test-windows: $(STAMP) wine ## run a scripted session and the tests by Windows' own Python, under Wine
	PYTHONPATH=tests:. $(BIN)/python -m windows

bundle-windows: $(STAMP) wine ## make build/windows/unclip, a folder for Windows that needs no Python
	$(ON_WINDOWS) .ci/windows/build.py --zip

bench: $(STAMP) wayland ## take the measurements behind docs/LOG.md
	for file in $(filter-out $(NO_BENCH:%=benchmarks/%.py),$(wildcard benchmarks/*.py benchmarks/*/*.py)); do \
	    $(BIN)/python $$file || exit 1; done

# Half an hour of recording; every command with every fault at every change of a file, and twice at
# once; every reader fed with damaged files.
soak: $(STAMP) ## run the tests that take hours
	$(BIN)/python benchmarks/capture/soak.py
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/faults.py --twice
	$(BIN)/python benchmarks/fuzz.py

clean: ## remove the environment and what was made
	rm -rf $(VENV) .wine demo build *.egg-info

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

# Tests of recording under Wayland run in a whole desktop without a screen.
wayland:
	@PATH="$$PATH:/usr/libexec"; missing=; \
	for program in dbus-daemon grim mutter pipewire setpriv sway wireplumber wtype \
	    xdg-desktop-portal xdg-desktop-portal-wlr; do \
	    command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -z "$$missing" ] || [ "$$(uname)" != Linux ]; then :; \
	elif [ "$$(id -u)" = 0 ] && apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qy --no-install-recommends $(WAYLAND_PACKAGES); then :; \
	elif sudo -n apt-get install -qy --no-install-recommends $(WAYLAND_PACKAGES) 2>/dev/null; then :; \
	else echo "No$$missing: tests of recording under Wayland are skipped." >&2; fi

# Wine, and a linker for one small DLL that old Wines lack (tests/windows).
wine:
	@if [ "$$(uname)" != Linux ] || { command -v x86_64-w64-mingw32-ld && \
	    { command -v wine64 || ls /usr/lib/wine/wine64; }; } >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ]; then apt-get update -q && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(WINE_PACKAGES); \
	else echo "Run this once, then make again: sudo apt-get install $(WINE_PACKAGES)" >&2; exit 1; fi

$(STAMP): setup.cfg pyproject.toml | system
	if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
	    uv pip install --python $(BIN)/python --editable '.[dev]'; \
	else \
	    $(PYTHON) -m venv $(VENV) && \
	    $(BIN)/python -m pip install --progress-bar off --editable '.[dev]'; \
	fi
	touch $@
