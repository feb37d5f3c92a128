"""A session on Windows from the doctor to a restored picture: real windows, keys and processes.

Each test is a step that a user makes; `-s` shows what was typed and what was answered. It runs by
Windows' own Python, on Windows or under Wine, in folders whose names are Korean.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from helpers import ROOT
from helpers.painted import PaintedWindow, noise, press
from helpers.processes import Process, Thread
from helpers.reviews import Client
from helpers.screens import check_whole

from dataset.pictures.images import read_image
from dataset.sessions.manifest import read_session

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "win32", reason="a session on Windows"),
]
CLI = [sys.executable, "-m", "cli"]
HOME = "홍길동 사진"  # as many users' folders are named
START_S, COMMAND_S = 90.0, 600.0
FPS = "10"
NUMBERS = itertools.count()  # no two pictures of the session are alike


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the user stands; the steps build on one another's files."""
    folder = tmp_path_factory.mktemp("session") / HOME
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _in_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("LOCALAPPDATA", str(home.parent / "AppData"))


@pytest.fixture
def game() -> Iterator[PaintedWindow]:
    """A window whose picture changes, as a game's does."""
    with PaintedWindow("Flight Simulator", (200, 120), (320, 200)) as window, _painting(window):
        yield window


@contextmanager
def _painting(window: PaintedWindow) -> Iterator[None]:
    over: list[bool] = []

    def paint() -> None:
        while not over:
            window.paint(noise(next(NUMBERS), window.size))

    thread = Thread(paint)
    thread.start()
    try:
        yield
    finally:
        over.append(True)
        thread.join()


def tell(line: str) -> None:
    """Add to the transcript, in UTF-8 whatever the console's encoding is."""
    sys.stdout.buffer.write(f"{line}\n".encode())
    sys.stdout.buffer.flush()


def cli(*words: str, code: int = 0) -> str:
    """Type a command; what it answered."""
    tell(f"\n> cli {' '.join(words)}")
    done = subprocess.run([*CLI, *words], capture_output=True, timeout=COMMAND_S)
    said = (done.stdout + done.stderr).decode("mbcs", errors="replace")
    tell(said.rstrip())
    assert "Traceback" not in said, said
    assert done.returncode == code, said
    return said


def titles() -> list[str]:
    from capture.screens.window_win32 import visible_windows  # Windows only

    return [each.title for each in visible_windows()]


def status() -> dict[str, Any]:
    return dict(json.loads(cli("capture", "status", "--json")))


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + START_S
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.3)


def ended(session: Path) -> dict[str, Any]:
    """The facts of a session whose recorder has gone, after a look at all of its frames."""
    until(lambda: read_session(session)["state"] != "recording", "the session ends")
    facts = read_session(session)
    counts = facts["counts"]
    assert counts["frames"] + counts["duplicates"] + counts["missed"] == counts["intervals"]
    frames = check_whole(session)
    tell(f"  {session.name}: {facts['reason']}, {len(frames)} frames, {counts['missed']} missed")
    return facts


def test_the_doctor_finds_this_desktop_fit(game: PaintedWindow) -> None:
    said = cli("doctor", "--window", "flight")
    for check in ("display", "picture", "keys", "disk", "encoding"):
        assert f"ok    | {check}" in said


def test_keys_record_label_and_end_a_session(game: PaintedWindow) -> None:
    command = ["capture", "--hotkey", "--window", "flight", "--session", "keys", "--fps", FPS]
    tell(f"\n> cli {' '.join(command)}")
    with Process([*CLI, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as recorder:
        until(lambda: Path("captures", "keys", "session.json").exists(), "a session")
        time.sleep(3)  # the keys are heard soon after
        for key, lasts_s in (("F9", 1.5), ("F8", 1.5), ("F9", 0.5), ("F10", 0.5), ("ctrl+F12", 0)):
            tell(f"  [{key}]")
            press(key)
            time.sleep(lasts_s)
        said, _ = recorder.communicate(timeout=COMMAND_S)
    tell(said.decode("mbcs", errors="replace"))
    assert recorder.returncode == 0
    facts = ended(Path("captures", "keys"))
    frames = check_whole(Path("captures", "keys"))
    assert facts["reason"] == "stopped by key"
    assert {frame.label for frame in frames} == {None, "Y"}
    assert [frame.snap for frame in frames].count(True) == 1
    assert len(frames) > 10


def test_a_recorder_in_the_background_obeys_every_command(game: PaintedWindow) -> None:
    cli("capture", "--background", "--window", "flight", "--session", "낮", "--fps", FPS)
    cli("capture", "status")
    cli("capture", "toggle")
    until(lambda: status()["state"] == "recording", "it records")
    for words in (("label", "X"), ("light", "해 20°"), ("light-step",), ("undo",), ("label", "Y"),
                  ("snap",), ("pause",), ("start",), ("snap",)):  # fmt: skip
        cli("capture", *words)
    assert status()["label"] == "Y"
    assert "Another recorder" in cli("capture", "--start", code=1)
    cli("capture", "stop")
    facts = ended(Path("captures", "낮"))
    assert facts["reason"] == "stopped by control"
    assert "No recorder is running" in cli("capture", "status", code=1)
    assert not [each for each in psutil.process_iter(["cmdline"])
                if "capture.control.daemon" in (each.info["cmdline"] or [])]  # fmt: skip


def test_a_window_is_followed_covered_minimised_and_closed(game: PaintedWindow) -> None:
    cli("capture", "--background", "--start", "--window", "flight", "--session", "moves",
        "--fps", FPS)  # fmt: skip
    session = Path("captures", "moves")
    until(lambda: status()["frames"] > 3, "frames")
    game.move(500, 300)
    time.sleep(1)
    with PaintedWindow("Notes", (480, 280), (400, 300)):
        until(lambda: "Notes" in cli("capture", "status"), "the cover is named")
    game.minimise()
    until(lambda: "minimised" in cli("capture", "status"), "it is seen as minimised")
    game.restore()
    game.move(400, 300)  # where no window manager shows a restored window again, that does
    before = status()["frames"]
    until(lambda: status()["frames"] > before + 3, "it goes on")
    game.close()
    facts = ended(session)
    assert "was closed" in facts["reason"]
    assert np.ptp(read_image(session / check_whole(session)[-2].file)) > 0
    assert facts["counts"]["missed"] > 0


def test_the_embedded_game_is_recorded() -> None:
    with Process([*CLI, "game", "--size", "400x300"], stdout=subprocess.DEVNULL) as playing:
        until(lambda: "unclip game" in titles(), "the game's window")
        cli("capture", "--start", "--window", "unclip game", "--session", "game", "--fps", FPS,
            "--duration", "2")  # fmt: skip
        playing.end()
    ended(Path("captures", "game"))


def test_frames_of_both_domains_are_recorded(game: PaintedWindow) -> None:
    for number, label in enumerate("XYXY"):
        cli("capture", "--start", "--window", "flight", "--label", label, "--session",
            f"{label}{number}", "--fps", FPS, "--duration", "1")  # fmt: skip
        ended(Path("captures", f"{label}{number}"))


def test_frames_are_labelled_reviewed_and_split_into_hard_links(home: Path) -> None:
    cli("label")
    with _served("review", "--no-browser") as client:
        code, page, _ = client.ask("/")
        assert code == 200
        assert b"<html" in page
        client.label((0, "X"))
    said = cli("split", "--fit", "--out", "자료", "--link", "hard", "--counts", "4,4,2,2")
    assert "copied" not in said
    linked = next(Path("자료", "trainA").glob("*.png"))
    assert os.stat(linked).st_nlink > 1
    assert np.ptp(read_image(linked)) > 0


def test_a_picture_is_restored(home: Path) -> None:
    blown = next(Path("자료", "trainB").glob("*.png"))
    said = cli("restore", str(blown), "-o", "복원.png")
    assert "built-in network" in said
    assert read_image(Path("복원.png")).shape == read_image(blown).shape


def test_a_network_is_trained_and_restores(home: Path) -> None:
    pytest.importorskip("torch")
    cli("train", "--data", "자료", "--preset", "cpu", "--steps", "20", "--run", "첫째")
    blown = next(Path("자료", "trainB").glob("*.png"))
    cli("restore", str(blown), "--run", "첫째", "-o", "배운 것.png")
    assert Path("배운 것.png").exists()


@contextmanager
def _served(*command: str) -> Iterator[Client]:
    """A page of ours in another process, and who speaks with it."""
    tell(f"\n> cli {' '.join(command)}")
    process = Process([*CLI, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, b"")
        told = next(line for line in lines if b"token=" in line).decode()
        tell(f"  {told.split('?token=')[0]}?token=...")
        yield Client(next(word for word in told.split() if "token=" in word))
        process.end()
