"""Recorders in processes of their own: told by clients while they record, and cut off."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from helpers.painted import PaintedWindow, noise, own_server, press, resize_screen
from helpers.processes import LIFE_S, Process
from helpers.screens import check_whole, wait_for_lines
from helpers.waiting import SOON_S, soon

from capture.control.daemon import LOG, running
from capture.locks import is_recorder_running
from capture.options import CaptureOptions
from capture.recording.ledger import count_lines
from capture.recording.repair import repair_session
from dataset.pictures.images import read_image
from dataset.pictures.png import encode_png
from dataset.sessions.manifest import read_lines, read_session

CLI = [sys.executable, str(ROOT / "cli.py")]


pytestmark = pytest.mark.usefixtures("own_runtime")


def cli(*arguments: str, code: int = 0) -> str:
    """Run a command in the test's folder; what it said."""
    done = subprocess.run([*CLI, *arguments], capture_output=True, text=True, timeout=LIFE_S / 2)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def status() -> dict[str, Any]:
    return dict(json.loads(cli("capture", "status", "--json")))


def wait_until(**facts: str) -> dict[str, Any]:
    """The status, once it has these facts."""

    def reached() -> dict[str, Any]:
        now = status()
        return now if all(now.get(name) == value for name, value in facts.items()) else {}

    return soon(reached, facts)


def ended(session: Path) -> dict[str, Any]:
    """The session's facts, once its recorder has gone."""
    soon(lambda: not is_recorder_running(session.parent))
    return read_session(session)


def check_account(session: Path) -> None:
    """Every interval is accounted for, and manifest and session.json agree."""
    counts = read_session(session)["counts"]
    assert counts["frames"] + counts["duplicates"] + counts["missed"] == counts["intervals"]
    told = count_lines(read_lines(session))
    assert (told.lines, told.snaps) == (counts["lines"], counts["snaps"])
    assert told.missed + counts["missed_at_end"] == counts["missed"]


@pytest.fixture
def window(display: str) -> Iterator[PaintedWindow]:
    with PaintedWindow(place=(100, 80)) as window:
        window.paint(noise(0))
        yield window


def test_a_recorder_in_the_background_obeys_clients_and_keys_at_once(window: PaintedWindow) -> None:
    said = cli("capture", "--background", "--hotkey", "--window", "Painted", "--fps", "20",
               "--disk-floor", "0", "--out", "captures")  # fmt: skip
    assert said.startswith("ready")
    session = Path(next(each for each in said.splitlines() if each.startswith("captures")))
    assert 'window: "Painted' in said
    assert "Another recorder" in cli("capture", "--start", code=1)
    cli("capture", "toggle")
    press("F7")
    cli("capture", "light", "sun 20°")
    wait_until(state="recording", label="X", light="sun 20°")
    cli("capture", "undo")
    press("F6")
    wait_until(light="step 1")
    cli("capture", "label", "Y")
    cli("capture", "snap")
    assert status()["label"] == "Y"
    press("F9")
    assert wait_until(state="paused")["light"] == "step 1"
    cli("capture", "snap")
    assert "Invalid value" in cli("capture", "label", "Z", code=2)
    cli("capture", "stop")
    facts = ended(session)
    assert facts["reason"] == "stopped by control"
    frames = check_whole(session)
    check_account(session)
    assert {frame.label for frame in frames} == {None, "Y"}
    assert {frame.light for frame in frames} >= {"step 1"}
    assert [frame.snap for frame in frames].count(True) == 2
    log = Path("captures/recorder.log").read_text()
    assert "label X (key)" in log
    assert "snap (control)" in log
    assert "No recorder is running" in cli("capture", "status", code=1)


def test_a_background_recorder_that_cannot_start_says_why(display: str) -> None:
    said = cli("capture", "--background", "--window", "no such game", "--start", code=1)
    assert 'No visible window has "no such game"' in said


@pytest.mark.parametrize("words", ["--region -1920,0,640,480", "--region=-1920,-5,640,480"])
@pytest.mark.parametrize("how", [(), ("--background",)])
def test_a_region_left_of_the_screen_is_understood_and_checked_there(
    display: str, words: str, how: tuple[str, ...]
) -> None:
    said = cli("capture", "--start", *how, *words.split(), code=2 - bool(how))
    assert "640x480 at -1920," in said


@pytest.mark.parametrize("background", [True, False])
def test_a_locked_screen_is_warned_of_once(
    window: PaintedWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    script = tmp_path / "loginctl"
    script.write_text("#!/bin/sh\necho LockedHint=yes\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_SESSION_ID", "3")
    how = ["--background"] if background else []
    said = cli("capture", "--start", *how, "--max-frames", "1", "--disk-floor", "0")
    ended(next(Path("captures").glob("*/session.json")).parent)
    assert said.count("the screen is locked") == 1
    log = Path("captures/recorder.log").read_text()
    assert log.count("WARNING lock: the screen is locked or blanked. Unlock it") == 1


def test_unchanged_pictures_are_marked_or_skipped_but_always_counted(window: PaintedWindow) -> None:
    arguments = ["capture", "--start", "--window", "Painted", "--disk-floor", "0", "--fps", "20",
                 "--duration", "1"]  # fmt: skip
    cli(*arguments, "--session", "marked")
    frames = check_whole(Path("captures/marked"))
    assert [frame.duplicate_of for frame in frames] == [None] + [0] * (len(frames) - 1)
    cli(*arguments, "--dedupe", "skip", "--session", "skipped")
    assert len(check_whole(Path("captures/skipped"))) == 1
    cli(*arguments, "--dedupe", "off", "--session", "all")
    assert {frame.duplicate_of for frame in check_whole(Path("captures/all"))} == {None}
    for name in ("marked", "skipped", "all"):
        check_account(Path("captures") / name)
        assert read_session(Path("captures") / name)["counts"]["intervals"] == 20


def start(*arguments: str) -> subprocess.Popen[str]:
    """A recorder in the foreground, recording everything at once."""
    return Process(
        [*CLI, "capture", "--start", "--disk-floor", "0", "--session", "s", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("codec", ["png", "h264"])
@pytest.mark.parametrize("least", [1, 12])
def test_after_kill_9_a_repair_finds_all_that_was_safe(
    window: PaintedWindow, codec: str, least: int
) -> None:
    process = start("--region", "100,80,96,64", "--fps", "60", "--codec", codec, "--dedupe", "off")
    session = Path("captures/s")
    wait_for_lines(session, least)
    time.sleep(random.random() / 20)
    process.kill()
    process.communicate()
    assert read_session(session)["state"] == "recording"
    safe = sum(1 for _ in read_lines(session))
    said = repair_session(session)
    frames = check_whole(session, gaps=True)
    assert said.frames == len(frames) >= max(safe, least)
    assert said.missing == said.damaged == ()
    assert all(np.array_equal(read_image(session / each.file), noise(0)) for each in frames)
    check_account(session)
    assert read_session(session)["reason"] == "cut off"
    assert "nothing to repair" in str(repair_session(session))
    assert "No recorder is running" in cli("capture", "status", code=1)


def test_repair_names_what_it_finds_and_throws_nothing_away(window: PaintedWindow) -> None:
    start("--region", "100,80,96,64", "--max-frames", "6").communicate()
    session = Path("captures/s")
    (session / "frames/000001.png").unlink()
    (session / "frames/000003.png").write_bytes(b"not as it was")
    (session / "frames/.000006.png.77.part").write_bytes(b"half")
    (session / "frames/000009.png").write_bytes(encode_png(noise(5)))
    (session / "frames/000010.png").write_bytes(encode_png(noise(6))[:-40])
    with open(session / "frames.jsonl", "ab") as manifest:
        manifest.write(b'{"index": 6, "file": "fra')
    said = cli("capture", "repair", "captures/s")
    for text in ("1 cut-off lines", "1 cut-off files", "1 lines without", "1 damaged files",
                 "1 whole frames without a line added"):  # fmt: skip
        assert text in said, said
    frames = list(read_lines(session))
    assert [frame.index for frame in frames] == [0, 2, 4, 5, 9]
    assert np.array_equal(read_image(session / frames[-1].file), noise(5))
    assert sorted(path.name for path in (session / "damaged").iterdir()) == [
        "000003.png", "000010.png", "frames.jsonl",
    ]  # fmt: skip
    check_account(session)


def test_repair_waits_for_whoever_is_at_work(window: PaintedWindow) -> None:
    cli("capture", "--background", "--start", "--region", "100,80,96,64", "--session", "s")
    assert "Somebody is at work" in cli("capture", "repair", "captures/s", code=1)
    cli("capture", "stop")
    ended(Path("captures/s"))


@pytest.mark.parametrize("codec", ["png", "h264"])
def test_a_disk_that_fills_up_ends_it_with_a_message_and_nothing_lost(
    display: str, small_disk: Path, codec: str
) -> None:
    with PaintedWindow(place=(300, 80), size=(320, 240)) as moving:
        moving.paint(noise(0, (320, 240)))
        process = start("--out", str(small_disk), "--region", "300,80,320,240", "--fps", "60",
                        "--codec", codec)  # fmt: skip
        seed = 0
        while process.poll() is None:
            seed += 1
            moving.paint(noise(seed, (320, 240)))
        said = "".join(process.communicate())
    # The video notices in time that its frames would not fit as PNG; PNG runs into the end.
    expected = {"png": (1, "No space left on device"), "h264": (0, "to come), less than")}
    assert (process.returncode, expected[codec][1] in said) == (expected[codec][0], True), said
    assert "Traceback" not in said
    assert len(check_whole(small_disk / "s")) >= 10
    check_account(small_disk / "s")


@pytest.mark.slow
def test_a_dead_display_ends_it_whole_and_a_new_one_can_be_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with own_server() as server:
        process = start("--fps", "20", "--size", "64x40")
        wait_for_lines(Path("captures/s"), 5)
        server.kill()
        _, said = process.communicate(timeout=SOON_S)
    assert process.returncode == 0 or "display is gone" in said
    assert len(check_whole(Path("captures/s"))) >= 5
    assert "display is gone" in read_session(Path("captures/s"))["reason"]
    with own_server():
        cli("capture", "--start", "--max-frames", "3", "--size", "64x40", "--session", "again")
    assert len(check_whole(Path("captures/again"))) == 3


@pytest.mark.slow
def test_a_changed_resolution_goes_on_with_the_new_size() -> None:
    with own_server():
        process = start("--fps", "20", "--dedupe", "off")
        wait_for_lines(Path("captures/s"), 5)
        resize_screen(1024, 768)
        soon(lambda: b'"width": 1024,' in Path("captures/s/frames.jsonl").read_bytes())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SOON_S)
    frames = check_whole(Path("captures/s"))
    sizes = [(frame.width, frame.height) for frame in frames]
    assert sizes[0] == (1280, 800)
    assert sizes[-1] == (1024, 768)
    check_account(Path("captures/s"))


def test_a_closed_window_ends_it_whole_and_says_so(display: str) -> None:
    with PaintedWindow(title="Closing", place=(100, 80)) as window:
        window.paint(noise(0))
        process = start("--window", "Closing", "--fps", "20")
        wait_for_lines(Path("captures/s"), 3)
        window.close()
        said, _ = process.communicate(timeout=SOON_S)
    assert 'The window "Closing" was closed' in said
    check_account(Path("captures/s"))
    assert len(check_whole(Path("captures/s"))) >= 3


def test_the_log_is_renamed_away_before_it_grows_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.control.daemon.LOG_BYTES", 2000)
    for number in range(5):
        with running(CaptureOptions(out=tmp_path)):
            for _ in range(40):  # enough for every file, however long the lines are
                LOG.info("recorder %d did something", number)
    logs = sorted(path.name for path in tmp_path.glob("recorder.log*"))
    assert logs == ["recorder.log", "recorder.log.1", "recorder.log.2", "recorder.log.3"]
    assert all((tmp_path / name).stat().st_size <= 2000 for name in logs)
    assert "recorder 4" in (tmp_path / "recorder.log").read_text()
