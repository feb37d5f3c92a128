"""The clock of recordings has fine steps everywhere, and waits end in time."""

from __future__ import annotations

import queue
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from helpers import ROOT
from helpers.screens import Noise

from capture.clock import now_ns, short_waits
from capture.options import CaptureOptions
from capture.recording.recorder import Recorder
from dataset.sessions.manifest import read_frames

SOURCES = sorted({*(ROOT / "capture").rglob("*.py")} - {ROOT / "capture" / "clock.py"})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_timed_by_a_clock_of_large_steps(path: Path) -> None:
    assert "time.monotonic" not in path.read_text(encoding="utf-8")


def test_the_clock_has_steps_far_below_an_interval() -> None:
    seen = [now_ns()]
    while len(seen) < 100:
        now = now_ns()
        if now != seen[-1]:
            seen.append(now)
    steps = [after - before for before, after in pairwise(seen)]
    assert median(steps) < 1_000_000


def test_frames_of_a_quick_recording_have_times_of_their_own(tmp_path: Path) -> None:
    options = CaptureOptions(out=tmp_path, fps=250.0, max_frames=12, disk_floor_bytes=0)
    with Recorder(options, Noise()) as recorder:
        recorder.start()
        end = time.perf_counter() + 20
        while recorder.reason is None and time.perf_counter() < end:
            recorder.step()
    times = [each.monotonic_ns for each in read_frames(recorder.path)]
    assert len(times) == len(set(times)) == 12


def test_short_waits_are_short() -> None:
    waiting: queue.SimpleQueue[None] = queue.SimpleQueue()
    taken = []
    with short_waits():
        for _ in range(20):
            began = time.perf_counter()
            with pytest.raises(queue.Empty):
                waiting.get(timeout=0.003)
            taken.append(time.perf_counter() - began)
    *_, quarter = sorted(taken)[:5]  # a busy machine makes the others wait longer
    assert 0.0025 < quarter < 0.012  # one tick of Windows' own timer is 15.6 ms


@pytest.mark.skipif(sys.platform != "win32", reason="about Windows' timer")
def test_windows_timer_is_quick_only_while_waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    import capture.clock

    class Timer:
        asked: list[tuple[str, int]] = []  # noqa: RUF012
        answer = 0

        def timeBeginPeriod(self, period_ms: int) -> int:
            self.asked.append(("begin", period_ms))
            return self.answer

        def timeEndPeriod(self, period_ms: int) -> int:
            self.asked.append(("end", period_ms))
            return 0

    timer = Timer()
    monkeypatch.setattr(capture.clock, "winmm", timer)
    with pytest.raises(KeyError), short_waits():
        raise KeyError
    assert timer.asked == [("begin", 1), ("end", 1)]
    timer.answer = 97  # TIMERR_NOCANDO: nothing to give back
    with short_waits():
        pass
    assert timer.asked[2:] == [("begin", 1)]
