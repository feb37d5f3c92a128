"""Terminals that close, full disks behind an output, texts of other encodings: recording goes on.

Every recorder is a real process.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from helpers.painted import PaintedWindow, noise
from helpers.processes import LIFE_S, Process
from helpers.screens import Noise, check_whole, wait_for_lines
from helpers.waiting import SOON_S, soon

from capture.commands import Command, CommandQueue
from capture.control.daemon import LOG, main, running
from capture.locks import is_recorder_running, session_lock
from capture.options import CaptureOptions
from capture.recording.loop import record
from capture.recording.recorder import Recorder
from capture.recording.repair import repair_session
from capture.recording.session import check_texts
from capture.signals import signals_into
from capture.status import Status
from dataset.errors import UserError
from dataset.sessions.manifest import read_session

CLI = [sys.executable, str(ROOT / "cli.py")]
SESSION = Path("captures/s")
EUC_KR = b"\xb3\xb7"  # 낮, as a terminal of another encoding sends it

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="signals and names of files as bytes"),
    pytest.mark.usefixtures("own_runtime"),
]


@pytest.fixture
def window(display: str) -> Iterator[PaintedWindow]:
    with PaintedWindow(place=(100, 80)) as window:
        window.paint(noise(0))
        yield window


def start(*arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    """A recorder of the painted window in the foreground."""
    place = ["--region", "100,80,96,64", "--disk-floor", "0", "--session", "s", "--dedupe", "off"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return Process([*CLI, "capture", "--start", *place, *arguments], **streams)


def tell(*arguments: str | bytes) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, "capture", *arguments], capture_output=True, text=True, timeout=LIFE_S / 2
    )  # fmt: skip


@pytest.mark.parametrize("codec", ["png", "h264"])
def test_a_closed_terminal_ends_a_recording_whole(window: PaintedWindow, codec: str) -> None:
    process = start("--fps", "20", "--codec", codec)
    wait_for_lines(SESSION, 1)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)  # a shell passes on what its terminal told it
    process.communicate(timeout=SOON_S)
    facts = read_session("captures/s")
    assert (facts["state"], facts["reason"]) == ("ended", "interrupted")
    assert repair_session(Path("captures/s")).frames == len(check_whole(Path("captures/s"))) >= 1


def test_a_recorder_that_nohup_started_goes_on_without_its_terminal(window: PaintedWindow) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does it
    try:
        process = start("--fps", "20")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for_lines(SESSION, 2)
    process.send_signal(signal.SIGHUP)
    wait_for_lines(SESSION, 8)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SOON_S)
    assert read_session("captures/s")["state"] == "ended"


def test_each_signal_is_one_wish_to_end() -> None:
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        before, commands = signal.getsignal(number), queue.SimpleQueue[Command]()
        with signals_into(commands):
            os.kill(os.getpid(), number)
            assert commands.get(timeout=SOON_S).name == "interrupt"
        assert signal.getsignal(number) == before


def test_a_repair_that_its_terminal_leaves_ends_between_two_frames(tmp_path: Path) -> None:
    recorder = Recorder(CaptureOptions(out=tmp_path, session="s", disk_floor_bytes=0), Noise())
    with recorder:
        for _ in range(4):
            recorder.snap()
    (tmp_path / "s/frames/000003.png").write_bytes(b"spoilt")

    def hang_up(done: int, total: int) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    with pytest.raises(UserError, match="Run the same command again"):
        repair_session(tmp_path / "s", on_progress=hang_up)
    assert not (tmp_path / "s/damaged").exists()
    assert repair_session(tmp_path / "s").damaged == ("frames/000003.png",)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_full_disk_behind_the_output_costs_no_frame(window: PaintedWindow) -> None:
    with open("/dev/full", "wb") as full:
        process = start("--fps", "20", "--max-frames", "20", stdout=full, stderr=full)
        process.wait(timeout=SOON_S)
    assert read_session("captures/s")["reason"] == "20 frames taken"
    assert len(check_whole(Path("captures/s"))) == 20


def test_a_pipe_that_nobody_reads_any_more_costs_no_frame(window: PaintedWindow) -> None:
    process = start("--fps", "20", "--max-frames", "20")
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    process.wait(timeout=SOON_S)
    assert read_session("captures/s")["reason"] == "20 frames taken"
    assert len(check_whole(Path("captures/s"))) == 20


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), ValueError("closed file")])
def test_a_status_that_nobody_hears_is_told_no_more(tmp_path: Path, error: Exception) -> None:
    told = 0

    def tell_nobody(status: Status) -> None:
        nonlocal told
        told += 1
        raise error

    options = CaptureOptions(out=tmp_path, fps=100, max_frames=30, disk_floor_bytes=0)
    commands: CommandQueue = queue.SimpleQueue()
    with Recorder(options, Noise()) as recorder:
        recorder.start()
        record(recorder, commands, tell_nobody)
        assert recorder.close().reason == "30 frames taken"
    assert told == 1


def test_a_light_of_another_encoding_is_refused_and_the_recording_goes_on(
    window: PaintedWindow,
) -> None:
    process = start("--fps", "20")
    wait_for_lines(SESSION, 2)
    refused = tell("light", EUC_KR)
    assert refused.returncode == 2
    assert "bytes in another encoding" in refused.stderr
    assert tell("light", "noon\x1b[2J").returncode == 2
    assert tell("light", "낮").returncode == 0
    assert tell("snap").returncode == 0
    assert tell("stop").returncode == 0
    process.communicate(timeout=SOON_S)
    assert read_session("captures/s")["reason"] == "stopped by control"
    assert {frame.light for frame in check_whole(Path("captures/s"))} == {None, "낮"}


def test_a_folder_whose_name_is_no_text_is_recorded_to_in_the_background(
    window: PaintedWindow,
) -> None:
    out = os.fsdecode(EUC_KR)
    place = ["--region", "100,80,96,64", "--disk-floor", "0", "--session", "s", "--out", out]
    started = tell("--background", "--start", *place)
    assert started.returncode == 0, started.stderr
    assert tell("snap").returncode == 0  # found as the only one
    assert tell("stop", "--out", out).returncode == 0
    soon(lambda: not is_recorder_running(Path(out)))
    assert read_session(Path(out) / "s")["state"] == "ended"
    assert check_whole(Path(out) / "s")


@pytest.mark.parametrize(
    "option",
    [{"window": "\udcb3\udcb7"}, {"window": "x\x1b[2J"}, {"key_x": "\udcb3"},
     {"session": "\udcb3\udcb7"}, {"session": "x\x7f"}, {"window": "x" * 5000}],
    ids=lambda option: str(*option),
)  # fmt: skip
def test_options_that_cannot_be_written_down_are_refused(
    tmp_path: Path, option: dict[str, str]
) -> None:
    options = CaptureOptions(out=tmp_path / "captures", disk_floor_bytes=0, **option)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"--{next(iter(option)).replace('_', '-')}"):
        check_texts(options)
    with pytest.raises(UserError):
        Recorder(options, Noise())
    assert not (tmp_path / "captures").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 100_000, '{"out": 7}', '{"fps": "many"}', "\udcb3", "null"]
)
def test_settings_that_are_none_end_the_background_process_with_words(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([text]) == 2
    assert "no settings of a recording" in capsys.readouterr().err


@pytest.mark.parametrize("background", [True, False])
def test_a_log_that_is_a_link_is_not_written_to(display: str, background: bool) -> None:
    Path("captures").mkdir()
    Path("thesis.txt").write_text("my thesis")
    Path("captures/recorder.log").symlink_to(Path("thesis.txt").absolute())
    how = ["--background"] if background else []
    refused = tell("--start", *how)
    assert refused.returncode == 2
    assert "is a link to another place" in refused.stderr
    assert Path("thesis.txt").read_text() == "my thesis"


def fill(path: Path) -> None:
    """Take all the room of a disk."""
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass


def test_a_log_on_a_full_disk_ends_no_recording(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(CaptureOptions(out=small_disk)):
        fill(small_disk / "filler")
        for _ in range(200):
            LOG.info("what the disk has no room for %s", "x" * 100)
    assert "Traceback" not in capsys.readouterr().err


def test_the_lock_of_a_session_is_held_from_its_first_file_on(tmp_path: Path) -> None:
    recorder = Recorder(CaptureOptions(out=tmp_path, session="s", disk_floor_bytes=0), Noise())
    with pytest.raises(UserError, match="Somebody is at work"), session_lock(recorder.path):
        pass
    program = (
        "import sys; from pathlib import Path; from capture.locks import is_recorder_running\n"
        "print(is_recorder_running(Path(sys.argv[1])))"
    )
    asked = [sys.executable, "-c", program, str(recorder.path)]
    held = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert held.stdout == "True\n"
    recorder.close()
    with session_lock(recorder.path):
        pass


def test_a_mask_that_is_no_file_is_refused_before_a_session_is_made(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hud.png")
    for mask in (tmp_path / "hud.png", Path("/dev/zero")):
        options = CaptureOptions(out=tmp_path / "captures", hud_mask=mask, disk_floor_bytes=0)
        with pytest.raises(UserError, match="no regular file"):
            Recorder(options, Noise())
    assert not (tmp_path / "captures").exists()


def test_a_status_says_what_json_can_carry(tmp_path: Path) -> None:
    status = Status("ready", 0, 0, None, 1, tmp_path)
    assert json.loads(json.dumps(status.as_dict()))["session"] == str(tmp_path)
