"""Fixtures shared by the tests: a real X display, started when there is none."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.browsers import browser, open_page  # noqa: F401  # fixtures
from helpers.servers import servers  # noqa: F401  # a fixture
from helpers.systems import listed_reason, reason_of, skip_instead_of_linking, skipped_report
from helpers.wayland_desktop import kept_desktop, wayland  # noqa: F401  # fixtures
from hypothesis import HealthCheck, settings

# Two-layer networks are quickest on one thread, and several test processes then share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no fault of the code: laws are tested without a clock.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# A background job ignores Ctrl-C, and what nohup started a closed terminal; children inherit that,
# unless there is a handler here, which becomes the default in them.
for _number in {getattr(signal, name, signal.SIGINT) for name in ("SIGINT", "SIGHUP")}:
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

WINDOWS = sys.platform == "win32"
if WINDOWS:  # no program has all of these packages, and the C++ library of Panda3D's is too old
    with suppress(OSError):
        ctypes.CDLL("msvcp140")
RUNTIME = "LOCALAPPDATA" if WINDOWS else "XDG_RUNTIME_DIR"  # where recorders are found

# What only the other system can import.
X11_ONLY = ["helpers/painted_x11.py", "fixtures/make.py"]
collect_ignore_glob = ["*wayland*"] if WINDOWS else []
collect_ignore = X11_ONLY if WINDOWS else ["helpers/painted_win32.py"]

# What takes long to begin, or is not there on every machine.
SLOW_FIXTURES = {"browser", "display", "servers", "small_disk", "trained", "wayland"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-fast` leaves out, beside the tests that say so themselves."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")
        if WINDOWS and (reason := listed_reason(item.nodeid)):
            item.add_marker(pytest.mark.skip(reason=reason))


if WINDOWS:

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Skip what asks for what Windows does not have."""
        report = yield
        if call.excinfo is not None and (reason := reason_of(call.excinfo.value)):
            skipped_report(report, item, reason)
        return report

    @pytest.fixture(scope="session", autouse=True)
    def _no_links() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            skip_instead_of_linking(patch)
            yield


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A display of our own (Xvfb, 1280x800x24), so that no test touches the user's screen.

    On Windows, which has no such thing, it is the desktop.
    """
    if WINDOWS:
        yield ""
        return
    from capture.screens.virtual_display import virtual_display

    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb: apt-get install xvfb")
    with virtual_display() as name:
        yield name


@pytest.fixture(scope="session", autouse=True)
def _runtime_of_this_session() -> Iterator[None]:
    """Tests see neither the user's recorders nor those of tests that run at the same time."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=WINDOWS) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv(RUNTIME, folder)
        yield


@pytest.fixture
def short_path() -> Iterator[Path]:
    """An empty folder with a short name: the path of a socket may have about 100 bytes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=WINDOWS) as folder:
        yield Path(folder)


@pytest.fixture
def own_runtime(short_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for sockets of this test's recorders; the working folder is ``tmp_path``."""
    monkeypatch.setenv(RUNTIME, str(short_path))
    monkeypatch.chdir(tmp_path)
    return short_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB that really fills up."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, timeout=20).returncode:
        pytest.skip("only root on Linux can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=20)


@pytest.fixture(scope="session")
def measured_once() -> Iterator[None]:
    """Training measures the machine once in a session, rather than at each start."""
    from helpers.measured_once import measuring_once  # here, so that other tests load no torch

    with measuring_once():
        yield


@pytest.fixture(scope="session")
def trained(measured_once: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``data`` and a run of two steps, for tests that only read them."""
    from helpers.tiny_runs import make_data, tiny_options  # here, so that other tests load no torch

    from model.training.train import train

    root = tmp_path_factory.mktemp("trained")
    make_data(root)
    train(tiny_options(root, steps=2))
    return root
