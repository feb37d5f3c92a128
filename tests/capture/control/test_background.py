"""Recorders in the background, on every system: told by clients, ended, cut off, and their log."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import ROOT
from helpers.closing import end_users_session
from helpers.held import held
from helpers.processes import LIFE_S
from helpers.waiting import soon

from capture import children
from capture.control import daemon
from capture.control.endpoints import read_endpoint
from capture.locks import is_recorder_running
from capture.options import CaptureOptions
from dataset.errors import UserError
from dataset.sessions.manifest import read_lines, read_session

CLI = [sys.executable, str(ROOT / "cli.py")]
PLACE = ["--region", "0,0,96,64", "--disk-floor", "0", "--out", "captures", "--dedupe", "off"]
SESSION = Path("captures/s")

pytestmark = [pytest.mark.usefixtures("own_runtime"), pytest.mark.slow]


@pytest.fixture(autouse=True)
def _screen(request: pytest.FixtureRequest) -> None:
    """A screen of the tests; Windows has one."""
    if sys.platform != "win32":
        request.getfixturevalue("display")


def cli(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [*CLI, *arguments], capture_output=True, encoding="utf-8", timeout=LIFE_S / 2
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def start(session: str = "s") -> int:
    """Start a recorder in the background; its process."""
    cli("capture", "--background", "--start", "--session", session, *PLACE)
    endpoint = read_endpoint(Path("captures"))
    assert endpoint is not None
    return endpoint.pid


def wait_until_gone(number: int) -> None:
    soon(lambda: not psutil.pid_exists(number) and not is_recorder_running(Path("captures")))


def told(*words: str) -> dict[str, Any]:
    """What a recorder does after a command."""
    cli("capture", *words)
    return dict(json.loads(cli("capture", "status", "--json")))


def test_a_recorder_in_the_background_obeys_every_command() -> None:
    number = start()
    assert told("status")["state"] == "recording"
    assert told("toggle")["state"] == "paused"
    assert told("start")["state"] == "recording"
    assert told("pause")["state"] == "paused"
    before = told("status")["frames"]
    assert told("snap")["frames"] == before + 1
    assert told("label", "X")["label"] == "X"
    assert told("undo")["label"] is None
    assert told("light", "noon 낮")["light"] == "noon 낮"
    assert told("light-step")["light"] == "step 1"
    assert f"process {number}" in cli("capture", "--background", "--start", *PLACE, code=1)
    assert "stopped" in cli("capture", "stop")
    wait_until_gone(number)
    facts = read_session(SESSION)
    assert (facts["state"], facts["reason"]) == ("ended", "stopped by control")
    assert facts["counts"]["lines"] == len(list(read_lines(SESSION))) == before + 1
    assert "No recorder is running" in cli("capture", "status", code=1)


def test_a_recorder_that_is_ended_by_force_leaves_what_a_repair_mends() -> None:
    number = start()
    psutil.Process(number).kill()
    wait_until_gone(number)
    assert read_session(SESSION)["state"] == "recording"
    assert "No recorder is running" in cli("capture", "status", code=1)
    safe = len(list(read_lines(SESSION)))
    assert f"{safe} frames" in cli("capture", "repair", str(SESSION)) or safe == 0
    assert read_session(SESSION)["state"] == "ended"
    again = start("t")
    assert "stopped" in cli("capture", "stop")
    wait_until_gone(again)
    assert read_session("captures/t")["state"] == "ended"


@pytest.mark.skipif(sys.platform != "win32", reason="sessions of Windows")
def test_a_log_off_ends_a_recording_whole() -> None:
    number = start()
    end_users_session(number)
    wait_until_gone(number)
    facts = read_session(SESSION)
    assert (facts["state"], facts["reason"]) == ("ended", "interrupted")
    assert facts["counts"]["lines"] == len(list(read_lines(SESSION)))


Replaced = Callable[[str], list[subprocess.Popen[Any]]]


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Replaced:
    """Lets recorders in the background be another piece of Python; their processes."""
    real = children.start
    begun: list[subprocess.Popen[Any]] = []

    def replace(code: str) -> list[subprocess.Popen[Any]]:
        def start(_: list[str], *more: Any, **streams: Any) -> subprocess.Popen[Any]:
            begun.append(real([sys.executable, "-c", code], *more, **streams))
            return begun[-1]

        monkeypatch.setattr("capture.control.daemon.children.start", start)
        return begun

    return replace


def test_of_a_recorder_that_does_not_start_in_time_nothing_remains(
    child: Replaced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "RECORDER_START_S", 0.5)
    begun = child("import time; time.sleep(100)")
    with pytest.raises(UserError, match="did not start"):
        daemon.start_in_background(CaptureOptions(out=Path("captures")))
    [process] = begun
    assert not psutil.pid_exists(process.pid)


def test_a_recorder_that_ends_before_it_starts_is_waited_for_no_longer(child: Replaced) -> None:
    child("import sys; sys.exit('a fault')")
    begin = time.monotonic()
    with pytest.raises(UserError, match=r"did not start; see .*recorder\.log"):
        daemon.start_in_background(CaptureOptions(out=Path("captures")))
    assert time.monotonic() - begin < daemon.RECORDER_START_S / 2
    assert Path("captures/recorder.log").read_text().strip() == "a fault"


LOGGING = """
import sys
from pathlib import Path
from capture.control import daemon
daemon.LOG_BYTES = 2000
print("first words", file=sys.stderr, flush=True)
with daemon._log_to(Path("captures/recorder.log")):
    for number in range(100):
        daemon.LOG.info("record %d", number)
        if number == 60:
            print("words between", file=sys.stderr, flush=True)
print("last words", file=sys.stderr, flush=True)
sys.exit(1)
"""
LOGS = ["recorder.log.3", "recorder.log.2", "recorder.log.1", "recorder.log"]  # the oldest first


def logged() -> list[str]:
    """What a recorder wrote, in all files of its log, without the times."""
    text = "".join(
        path.read_text() for path in map(Path("captures").joinpath, LOGS) if path.exists()
    )
    return [re.sub(r"^\S+ \S+ \d+ INFO ", "", line) for line in text.splitlines()]


def written() -> list[str]:
    records = [f"record {number}" for number in range(100)]
    return ["first words", *records[:61], "words between", *records[61:], "last words"]


def test_the_log_of_a_recorder_in_the_background_is_renamed_and_keeps_every_line(
    child: Replaced,
) -> None:
    child(LOGGING)
    with pytest.raises(UserError, match="did not start"):
        daemon.start_in_background(CaptureOptions(out=Path("captures")))
    sizes = [path.stat().st_size for path in Path("captures").glob("recorder.log*")]
    assert len(sizes) > 1
    assert max(sizes) <= 2100
    assert logged() == written()


@pytest.mark.skipif(sys.platform != "win32", reason="files that others have open on Windows")
def test_a_log_that_somebody_reads_grows_on(child: Replaced) -> None:
    child(LOGGING)
    Path("captures").mkdir()
    Path("captures/recorder.log").touch()
    with held(Path("captures/recorder.log"), shared=True), pytest.raises(UserError):
        daemon.start_in_background(CaptureOptions(out=Path("captures")))
    assert [path.name for path in Path("captures").glob("recorder.log*")] == ["recorder.log"]
    assert logged() == written()


def test_logs_that_cannot_be_renamed_are_not_lost_one_by_one(tmp_path: Path) -> None:
    log = tmp_path / "recorder.log"
    for number in (1, 2, 3):
        log.with_name(f"recorder.log.{number}").write_text(str(number))
    log.touch()
    with daemon._log_to(log), held(log, shared=True):
        handler = daemon.LOG.handlers[-1]
        for _ in range(5):
            handler.doRollover()  # type: ignore[attr-defined]
    older = sorted(each.name for each in tmp_path.glob("recorder.log.*"))
    assert older == ["recorder.log.2", "recorder.log.3"]
