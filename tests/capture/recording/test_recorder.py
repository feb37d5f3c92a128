"""Real screens, keys, files and signals; fakes only for what must fail."""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT
from helpers.painted import PaintedWindow, noise, press
from helpers.processes import Process, Thread
from helpers.screens import Noise, ScreenThatFails, Still, check_whole
from helpers.waiting import SOON_S, soon

import capture.recording.encoders
import capture.recording.recorder
from capture.commands import Command, CommandQueue
from capture.control.daemon import run_capture
from capture.control.hotkeys import Hotkeys
from capture.control.keys import keys_of
from capture.options import CaptureOptions
from capture.recording.loop import record
from capture.recording.recorder import Recorder
from capture.screens.mss import open_screen
from capture.screens.source import BgrxImage
from capture.screens.target import NotVisible
from capture.status import Status, format_status
from dataset.errors import UserError
from dataset.pictures.images import Image, read_image, write_png
from dataset.sessions.manifest import read_frames, read_session

pytestmark = pytest.mark.slow


@pytest.fixture
def options(tmp_path: Path) -> CaptureOptions:
    return CaptureOptions(out=tmp_path / "captures", session="s", fps=50, disk_floor_bytes=0)


def run(recorder: Recorder) -> None:
    recorder.start()
    record(recorder, queue.SimpleQueue())


@pytest.fixture
def keyed(
    display: str,
    options: CaptureOptions,
) -> Iterator[tuple[PaintedWindow, Recorder]]:
    """A recorder of a painted window that obeys the keyboard, at 20 frames/s, on a thread."""
    options = replace(options, window="Painted", fps=20, hotkey=True)
    commands: CommandQueue = queue.SimpleQueue()
    with PaintedWindow(place=(100, 80)) as window, open_screen(options) as screen:
        window.paint(noise(0))
        with Hotkeys(commands, keys_of(options)), Recorder(options, screen) as recorder:
            thread = Thread(target=record, args=(recorder, commands))
            thread.start()
            try:
                yield window, recorder
            finally:
                commands.put(Command("stop"))
                thread.join()


def run_until(recorder: Recorder, done: Callable[[], object]) -> None:
    """Record until something holds."""

    def holds() -> bool:
        recorder.step()
        return bool(done())

    soon(holds)


class Clock:
    """The recorder's own clock, which stands still but for what a test adds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 1_000_000_000
        monkeypatch.setattr(capture.recording.recorder, "now_ns", lambda: self.ns)

    def go_on(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


def wait_for(recorder: Recorder, state: str) -> None:
    soon(lambda: recorder.status().state == state)


def test_keys_start_pause_snap_mark_and_stop(keyed: tuple[PaintedWindow, Recorder]) -> None:
    window, recorder = keyed
    assert recorder.status().state == "ready"
    press("F7", "F9")  # mark X, start
    wait_for(recorder, "recording")
    soon(lambda: recorder.status().frames >= 3)
    press("F9")
    wait_for(recorder, "paused")
    taken = recorder.status().frames
    window.paint(noise(7))
    press("F8", "F10")  # mark Y instead, one frame
    soon(lambda: recorder.status().frames == taken + 1)
    press("F8", "F10")  # no mark, one frame
    soon(lambda: recorder.status().frames == taken + 2)
    press("ctrl+F12")
    wait_for(recorder, "stopped")
    assert recorder.close().reason == "stopped by key"
    frames = check_whole(recorder.path)
    assert [frame.label for frame in frames] == ["X"] * taken + ["Y", None]
    for number, frame in enumerate(frames):
        shown = noise(0 if number < taken else 7)
        assert np.array_equal(read_image(recorder.path / frame.file), shown)


def test_a_changing_window_is_recorded_frame_by_frame(
    display: str,
    options: CaptureOptions,
) -> None:
    options = replace(options, region=(200, 100, 96, 64))
    with PaintedWindow(place=(200, 100)) as window, open_screen(options) as screen:
        with Recorder(options, screen) as recorder:
            for seed in range(5):
                window.paint(noise(seed))
                assert recorder.snap(light=f"sun {seed}", viewpoint="v1") == seed
        frames = check_whole(recorder.path)
    assert [(frame.light, frame.viewpoint) for frame in frames] == [
        (f"sun {seed}", "v1") for seed in range(5)
    ]
    for seed, frame in enumerate(frames):
        assert np.array_equal(read_image(recorder.path / frame.file), noise(seed))


def test_every_interval_is_a_frame_or_a_counted_miss(options: CaptureOptions) -> None:
    with Recorder(replace(options, duration_s=0.5), Noise()) as recorder:
        run(recorder)
        summary = recorder.close()
    counts = read_session(recorder.path)["counts"]
    frames = check_whole(recorder.path)
    assert counts["intervals"] == 25 == summary.frames + summary.missed
    assert sum(frame.missed_before for frame in frames) + counts["missed_at_end"] == summary.missed
    assert summary.reason == "0.5 s recorded"


def test_slow_encoders_make_counted_misses_and_no_backlog(
    options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, go_on = capture.recording.encoders.encode_png, threading.Event()

    def slow(image: Image) -> bytes:
        assert go_on.wait(SOON_S)
        return whole(image)

    monkeypatch.setattr(capture.recording.encoders, "encode_png", slow)
    screen = Noise()
    with Recorder(replace(options, encoders=1, queue_frames=2), screen) as recorder:
        recorder.start()
        run_until(recorder, lambda: recorder.notice == "the encoders cannot keep up")
        taken = recorder.status()
        run_until(recorder, lambda: recorder.status().missed >= taken.missed + 15)
        assert recorder.status().frames == taken.frames <= 4
        go_on.set()
        run_until(recorder, lambda: recorder.status().frames > taken.frames)
        summary = recorder.close()
    assert screen.grabs == summary.frames  # no interval that will be missed costs a grab
    frames = check_whole(recorder.path)
    assert frames[taken.frames].missed_before > 15
    counts = read_session(recorder.path)["counts"]
    assert summary.frames + summary.missed == counts["intervals"]
    assert sum(frame.missed_before for frame in frames) + counts["missed_at_end"] == summary.missed


def test_a_snap_waits_for_slow_encoders(
    options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = capture.recording.encoders.write_whole

    def slow(path: Path, data: bytes, replaces: bool) -> None:
        time.sleep(0.02)
        whole(path, data, replaces)

    monkeypatch.setattr(capture.recording.encoders, "write_whole", slow)
    with Recorder(replace(options, encoders=3, queue_frames=1), Noise()) as recorder:
        assert [recorder.snap() for _ in range(20)] == list(range(20))
    assert len(check_whole(recorder.path)) == 20


def test_frames_are_taken_on_an_absolute_grid(
    options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    late_s = itertools.cycle([0.0, 0.001, 0.013, 0.049, 0.121, 0.03])
    with Recorder(replace(options, fps=20, max_frames=20), Noise()) as recorder:
        recorder.start()
        while recorder.reason is None:
            clock.go_on(recorder.step() + next(late_s))
    frames = list(read_frames(recorder.path))
    at = list(itertools.accumulate(frame.missed_before + 1 for frame in frames))
    begun_ns = 1_000_000_000 - 50_000_000
    assert [(frame.monotonic_ns - begun_ns) // 50_000_000 for frame in frames] == at
    assert sum(frame.missed_before for frame in frames) >= 6


@pytest.mark.parametrize("dedupe", ["mark", "skip", "off"])
def test_near_identical_pictures_are_marked_or_skipped_and_counted(
    options: CaptureOptions, dedupe: str
) -> None:
    screen = Still(grabs_each=5)
    with Recorder(replace(options, dedupe=dedupe, fps=100), screen) as recorder:
        recorder.start()
        run_until(recorder, lambda: screen.grabs == 12)
    counts = read_session(recorder.path)["counts"]
    frames = check_whole(recorder.path)
    assert counts["frames"] + counts["duplicates"] + counts["missed"] == counts["intervals"]
    marked = [frame for frame in frames if frame.duplicate_of is not None]
    skipped = sum(frame.duplicates_before for frame in frames) + counts["skipped_at_end"]
    assert bool(marked) == (dedupe == "mark")
    assert bool(skipped) == (dedupe == "skip")
    for frame in marked:
        one, other = (
            recorder.path / frames[each].file for each in (frame.index, frame.duplicate_of)
        )
        assert np.array_equal(read_image(one), read_image(other))


def test_another_label_or_light_makes_an_unchanged_picture_new(options: CaptureOptions) -> None:
    with Recorder(options, Still(grabs_each=1000)) as recorder:
        recorder.start()
        for change in (None, lambda: recorder.mark("X"), lambda: recorder.light("noon")):
            if change is not None:
                change()
            for _ in range(2):
                time.sleep(recorder.step())
    frames = check_whole(recorder.path)
    kept = [frame for frame in frames if frame.duplicate_of is None]
    assert [(frame.label, frame.light) for frame in kept] == [
        (None, None), ("X", None), ("X", "noon"),
    ]  # fmt: skip
    assert len(frames) > len(kept)


def test_the_hud_mask_lies_with_the_session(options: CaptureOptions, tmp_path: Path) -> None:
    mask = tmp_path / "hud.png"
    write_png(mask, np.diag(np.full(96, 255, np.uint8))[:64, :, None].repeat(3, axis=2))
    recorder = Recorder(replace(options, hud_mask=mask), Noise())
    recorder.close()
    assert read_session(recorder.path)["hud_mask"] == "hud_mask.png"
    assert (recorder.path / "hud_mask.png").read_bytes() == mask.read_bytes()
    with pytest.raises(UserError, match=r"no\.png"):
        Recorder(replace(options, session="t", hud_mask=tmp_path / "no.png"), Noise())


def test_a_player_in_full_screen_is_told_of_start_pause_and_end(
    options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        capture.recording.recorder, "notify", lambda _, text, *how: told.append(text)
    )
    with Recorder(replace(options, notify=True), Noise()) as recorder:
        recorder.toggle()
        recorder.toggle()
        recorder.end("stopped by key")
    assert told == ["recording", "paused", "ended: stopped by key"]
    Recorder(replace(options, session="quiet"), Noise()).close()
    assert len(told) == 3


def test_a_black_screen_is_noticed(options: CaptureOptions) -> None:
    class Black(Noise):
        def grab(self) -> BgrxImage:
            return np.zeros((64, 96, 4), np.uint8)

    with Recorder(options, Black()) as recorder:
        recorder.start()
        run_until(recorder, lambda: "borderless" in str(recorder.status().notice))


@pytest.mark.parametrize(
    ("codec", "fps", "kept"),
    [("auto", 10, "png"), ("auto", 60, "h264"), ("png", 60, "png"), ("h264", 1, "h264")],
)
def test_high_rates_get_the_lossless_video(
    options: CaptureOptions, codec: str, fps: float, kept: str
) -> None:
    class Large(Noise):
        size = (1920, 1080)

    recorder = Recorder(replace(options, codec=codec, fps=fps), Large())
    recorder.close()
    assert read_session(recorder.path)["encoding"].startswith(kept)


def test_max_frames_ends_it_exactly(options: CaptureOptions) -> None:
    with Recorder(replace(options, max_frames=7), Noise()) as recorder:
        run(recorder)
        assert (recorder.close().frames, recorder.reason) == (7, "7 frames taken")


def test_pauses_are_left_out_of_intervals_and_seconds(
    options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    with Recorder(options, Noise()) as recorder:
        for _ in range(2):
            recorder.start()
            recorder.step()
            clock.go_on(0.05)  # two intervals later
            recorder.pause()
            clock.go_on(1)
        summary = recorder.close()
    assert (summary.frames, summary.missed, summary.seconds) == (2, 4, 0.1)


def test_size_is_what_is_recorded(options: CaptureOptions) -> None:
    with Recorder(replace(options, size=(32, 16)), Noise()) as recorder:
        recorder.snap()
    (frame,) = check_whole(recorder.path)
    assert (frame.width, frame.height) == (32, 16)


def test_a_minimised_window_is_missed_and_noticed(options: CaptureOptions) -> None:
    screen = ScreenThatFails(3, NotVisible("minimised"))
    with Recorder(options, screen) as recorder:
        recorder.start()
        run_until(recorder, lambda: recorder.status().notice == "minimised")
        summary = recorder.close()
    assert summary.frames == 3
    assert summary.missed == read_session(recorder.path)["counts"]["intervals"] - 3 >= 1


def test_a_window_closed_by_the_player_ends_the_session_whole(options: CaptureOptions) -> None:
    with Recorder(options, ScreenThatFails(3, UserError("was closed"))) as recorder:
        run(recorder)
        assert recorder.close().reason == "was closed"
    assert len(check_whole(recorder.path)) == 3


def test_a_screen_that_never_worked_is_an_error(options: CaptureOptions) -> None:
    recorder = Recorder(options, ScreenThatFails(0, UserError("unreadable")))
    with recorder, pytest.raises(UserError, match="unreadable"):
        run(recorder)


def test_a_write_failure_leaves_everything_before_it_whole(
    options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = capture.recording.encoders.write_whole

    def full(path: Path, data: bytes, replaces: bool) -> None:
        if path.name >= "000005.png":
            raise UserError("Cannot write: No space left on device.", 1)
        whole(path, data, replaces)

    monkeypatch.setattr(capture.recording.encoders, "write_whole", full)
    with pytest.raises(UserError, match="No space left"), Recorder(options, Noise()) as recorder:
        run(recorder)
    assert len(check_whole(recorder.path)) == 5
    assert len(list((recorder.path / "frames").iterdir())) == 5
    assert "No space left" in read_session(recorder.path)["reason"]


def test_the_disk_floor_ends_it_with_a_message(options: CaptureOptions) -> None:
    with Recorder(options, Noise()) as recorder:
        recorder.snap()
        recorder._options = replace(options, disk_floor_bytes=1 << 62)
        run(recorder)
        assert "are free on the disk of" in recorder.close().reason
    assert len(check_whole(recorder.path)) == 1
    with pytest.raises(UserError, match="Make room"):
        Recorder(replace(options, session="t", disk_floor_bytes=1 << 62), Noise())
    assert not (options.out / "t").exists()


def test_an_existing_session_is_never_touched(options: CaptureOptions) -> None:
    Recorder(options, Noise()).close()
    with pytest.raises(UserError, match="exists already"):
        Recorder(options, Noise())


def test_sessions_without_a_name_never_collide(options: CaptureOptions) -> None:
    paths = {Recorder(replace(options, session=None), Noise()).close().session for _ in range(3)}
    assert len(paths) == 3


@pytest.mark.parametrize(
    "faulty", [{"fps": 0}, {"label": "Z"}, {"session": "../x"}, {"session": ""}, {"size": (0, 5)}]
)
def test_senseless_options_are_refused(options: CaptureOptions, faulty: dict[str, object]) -> None:
    with pytest.raises(UserError):
        Recorder(replace(options, **faulty), Noise())  # type: ignore[arg-type]


def test_session_json_tells_settings_screen_and_end(options: CaptureOptions) -> None:
    with Recorder(options, Noise()) as recorder:
        assert read_session(recorder.path)["state"] == "recording"
    facts = read_session(recorder.path)
    assert facts["state"] == "ended"
    assert facts["started"] <= facts["ended"]
    assert facts["screen"] == Noise().describe()
    assert facts["options"]["fps"] == 50
    assert facts["counts"]["frames"] == 0


def test_capture_asks_how_to_begin() -> None:
    with pytest.raises(UserError, match=r"--hotkey.*--start"):
        run_capture(CaptureOptions())


def test_the_status_line_says_what_matters() -> None:
    status = Status("recording", 12, 3, 0.042, 5_000_000_000, Path("s"), label="Y")
    assert format_status(status) == (
        "recording | as Y | 12 frames | 3 missed | clipped 4.2 % | disk 5.0 GB left"
    )
    assert format_status(replace(status, pictures_per_s=29.7, label=None)) == (
        "recording | 12 frames | 3 missed | screen 30/s | clipped 4.2 % | disk 5.0 GB left"
    )


def start_capture(tmp_path: Path, **settings: object) -> subprocess.Popen[str]:
    """`run_capture` of the whole screen in a process of its own; prints its summary as JSON."""
    program = (
        "import json, sys; from dataclasses import asdict; from pathlib import Path\n"
        "from capture.options import CaptureOptions\n"
        "from capture.control.daemon import run_capture\n"
        "done = run_capture(CaptureOptions(**json.loads(sys.argv[2]), out=Path(sys.argv[1])),\n"
        "                   lambda status: print(status.frames, file=sys.stderr, flush=True))\n"
        "print(json.dumps(asdict(done), default=str))\n"
    )
    values = {"start": True, "session": "s", "fps": 30, "disk_floor_bytes": 0, **settings}
    return Process(
        [sys.executable, "-c", program, str(tmp_path), json.dumps(values)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_frames(process: subprocess.Popen[str], least: int) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip().isdecimal() and int(line) >= least:
            return
    raise AssertionError("it ended early")


@pytest.mark.skipif(os.name != "posix", reason="Windows sends no signal to another process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_it_with_a_summary(
    display: str,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    process = start_capture(tmp_path)
    try:
        wait_for_frames(process, 3)
        process.send_signal(number)
        answer, _ = process.communicate(timeout=SOON_S)
    finally:
        process.kill()
    summary = json.loads(answer)
    assert process.returncode == 0
    assert summary["reason"] == "interrupted"
    assert len(check_whole(tmp_path / "s")) == summary["frames"]
    assert read_session(tmp_path / "s")["state"] == "ended"
