"""Fixtures shared by the tests: a real X display, started when there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browsers import browser, open_page  # noqa: F401  # fixtures
from helpers.servers import servers  # noqa: F401  # a fixture
from hypothesis import HealthCheck, settings

# Two-layer networks are quickest on one thread, and several test processes then share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no fault of the code: laws are tested without a clock.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A display of our own (Xvfb, 1280x800x24), so that no test touches the user's screen."""
    from capture.screens.virtual_display import virtual_display

    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb: apt-get install xvfb")
    with virtual_display() as name:
        yield name


@pytest.fixture
def own_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes and sockets of recorders in a folder of this test, which is the working folder, too."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB that really fills up."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root on Linux can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and a run of two steps, for tests that only read them."""
    from helpers.tiny_runs import make_data, tiny_options  # here, so that other tests load no torch

    from model.training.train import train

    root = tmp_path_factory.mktemp("trained")
    make_data(root)
    train(tiny_options(root, steps=2))
    return root
