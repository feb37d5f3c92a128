"""A video that was stopped goes on, to the same bytes; nothing else is gone on with."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.command_line import run_cli
from helpers.made_videos import EVEN, UNEVEN, film, packets_of, times_of
from helpers.processes import Process
from helpers.waiting import SOON_S, soon
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import array_shapes, arrays

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels
from dataset.pictures.video_coding import Coded
from dataset.pictures.video_writing import in_one_order
from model.restoring import unfinished, video
from model.restoring.unfinished import Unfinished, Way, folder_of, pack, unpack
from model.restoring.video import restore_video

pytestmark = pytest.mark.slow

SAME = Way("a")
KINDS = some.sampled_from([np.float32, np.float16, np.int64, "U3"])
SHAPES = array_shapes(min_dims=0, max_dims=3, min_side=0)
ARRAYS = some.dictionaries(some.text(max_size=5), arrays(KINDS, SHAPES))
LONG = [40 * number for number in range(290)]


class Fault(Exception):
    pass


class Darker:
    """Each frame as dark as those before it make it; stops at one of them."""

    def __init__(self, stops_at: int = -1) -> None:
        self.calls, self.stops_at = 0, stops_at

    def __call__(self, pixels: Pixels) -> Pixels:
        self.calls += 1
        if self.calls == self.stops_at:
            raise Fault
        return pixels / 2


@pytest.fixture
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (unfinished, video):
        monkeypatch.setattr(module, "FRAMES", 5)


def stopped(source: Path, target: Path, after: int, way: Way = SAME) -> Path:
    """A restoration that failed after so many frames; returns the folder it left."""
    with pytest.raises(Fault):
        restore_video(source, target, Darker(after + 1), way=way)
    assert not target.exists()
    return folder_of(target)


def whole(source: Path, target: Path) -> bytes:
    restore_video(source, target, Darker())
    return target.read_bytes()


@pytest.mark.usefixtures("_short_parts")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("times", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_it_goes_on_to_the_same_bytes(tmp_path: Path, suffix: str, times: list[int]) -> None:
    source = film(tmp_path / f"a{suffix}", times, sound="aac")
    wanted, target = whole(source, tmp_path / f"whole{suffix}"), tmp_path / f"b{suffix}"
    stopped(source, target, 6)
    method = Darker()
    done = restore_video(source, target, method, resume=True, way=SAME)
    assert target.read_bytes() == wanted
    assert method.calls == len(times) - 5
    assert done.frames == len(times)
    assert "5 frames were done before" in done.notes
    assert sorted(path.name for path in tmp_path.iterdir() if path != source) == [
        target.name,
        f"whole{suffix}",
    ]


@pytest.mark.usefixtures("_short_parts")
def test_parts_join_without_a_seam(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", [*UNEVEN, *(1400 + each for each in UNEVEN)], sound="aac")
    restore_video(source, tmp_path / "b.mkv", lambda pixels: pixels)
    assert times_of(tmp_path / "b.mkv") == times_of(source)
    assert packets_of(tmp_path / "b.mkv", "audio") == packets_of(source, "audio")
    with av.open(str(tmp_path / "b.mkv")) as container:
        packets = [each for each in container.demux(video=0) if each.size]
        assert sum(each.is_keyframe for each in packets) == 3
        decoded = [each.dts for each in packets if each.dts is not None]
    assert decoded == sorted(set(decoded))


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_times_of_decoding_rise_over_parts_of_uneven_frames(lag: int) -> None:
    random = np.random.default_rng(lag)
    shown = np.cumsum(random.integers(1, 400, 40)).tolist()

    def part(times: list[int]) -> list[Coded]:
        order = [
            at
            for start in range(0, len(times), lag + 1)
            for at in range(min(start + lag, len(times) - 1), start - 1, -1)
        ]
        early = [times[0] - 3 * (lag - at) for at in range(lag)]
        return [
            Coded(b"", times[at], (early + times)[number], 1, number == 0)
            for number, at in enumerate(order)
        ]

    parts = [part(shown[start : start + 10]) for start in range(0, 40, 10)]
    joined = [*in_one_order(parts)]
    assert sorted(each.pts for each in joined) == shown
    decoded = [each.dts for each in joined]
    assert decoded == sorted(set(decoded))
    assert all(each.dts <= each.pts for each in joined)


@pytest.mark.usefixtures("_short_parts")
def test_without_resume_it_is_neither_lost_nor_gone_on_with(tmp_path: Path) -> None:
    source, target = film(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    folder = stopped(source, target, 6)
    kept = sorted(folder.iterdir())
    with pytest.raises(UserError, match="was stopped after 5 frames"):
        restore_video(source, target, Darker(), replaces=False, way=SAME)
    assert sorted(folder.iterdir()) == kept
    method = Darker()
    restore_video(source, target, method, replaces=True, way=SAME)
    assert method.calls == len(EVEN)
    assert not folder.exists()


@pytest.mark.usefixtures("_short_parts")
def test_what_changed_meanwhile_is_named(tmp_path: Path) -> None:
    source, target = film(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    probe = np.full((2, 2), 0.5)
    stopped(source, target, 6, Way("a", probe))
    for way, named in ((Way("b", probe), "the options"), (Way("a", probe + 0.01), "the network")):
        with pytest.raises(UserError, match=f"{named} changed since. Start over with --overwrite"):
            restore_video(source, target, Darker(), resume=True, way=way)
    film(source, EVEN[:-1])
    with pytest.raises(UserError, match="the video changed since"):
        restore_video(source, target, Darker(), resume=True, way=Way("a", probe))
    assert not target.exists()


@pytest.mark.usefixtures("_short_parts")
@pytest.mark.parametrize("left", [0, 99, -1])
def test_a_damaged_part_is_done_again(tmp_path: Path, left: int) -> None:
    source, target = film(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    wanted = whole(source, tmp_path / "whole.mp4")
    first = stopped(source, target, 11) / "00000.frames"
    first.write_bytes(first.read_bytes()[:left])
    method = Darker()
    restore_video(source, target, method, resume=True, way=SAME)
    assert method.calls == len(EVEN) - 5
    assert target.read_bytes() == wanted


@pytest.mark.usefixtures("_short_parts")
def test_what_frames_carry_on_is_carried_over_a_stop(tmp_path: Path) -> None:
    seen = {"content": np.arange(6, dtype=np.float32), "number": np.array(7)}
    kept = Unfinished(tmp_path)
    kept.add(0, [Coded(b"ab", 3, 2, 1, True)], seen)
    assert 0 in kept
    assert 1 not in kept
    assert kept.coded(0) == [Coded(b"ab", 3, 2, 1, True)]
    for name, value in kept.carried(0).items():
        np.testing.assert_array_equal(value, seen[name])


@given(ARRAYS, some.integers(0, 10_000), some.integers(1, 255))
def test_arrays_come_back_or_are_known_to_be_damaged(
    values: dict[str, np.ndarray[Any, Any]], at: int, other: int
) -> None:
    data = bytearray(pack(values))
    found = unpack(bytes(data))
    assert found is not None
    assert list(found) == list(values)
    for name, each in values.items():
        np.testing.assert_array_equal(found[name], each)
        assert found[name].dtype == each.dtype
    data[at % len(data)] ^= other
    assert unpack(bytes(data)) is None
    assert unpack(bytes(data[:at])) is None


@pytest.mark.usefixtures("_short_parts")
def test_parts_of_another_program_are_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = film(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    stopped(source, target, 6)
    monkeypatch.setattr(unfinished, "PROGRAM", "2")
    with pytest.raises(UserError, match="the program changed since"):
        restore_video(source, target, Darker(), resume=True, way=SAME)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    source, target = film(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    folder_of(target).mkdir()
    (folder_of(target) / "mine").touch()
    with pytest.raises(UserError, match="was not made by this program"):
        restore_video(source, target, Darker())
    assert (folder_of(target) / "mine").exists()


@pytest.fixture
def restoring(tmp_path: Path) -> Iterator[Process]:
    """`cli restore a.mp4` by the built-in network, after its first part."""
    source = film(tmp_path / "a.mp4", LONG, sound="aac")
    process = Process(
        [sys.executable, "-m", "cli", "restore", str(source), "--device", "cpu"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    first = folder_of(tmp_path / "a_restored.mp4") / "00000.frames"
    soon(lambda: first.exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate(timeout=SOON_S)[0]
    yield process
    process.end()
    process.communicate(timeout=SOON_S)


def test_a_killed_one_goes_on_by_the_built_in_network(tmp_path: Path, restoring: Process) -> None:
    restoring.kill()
    restoring.communicate(timeout=SOON_S)
    source, target = tmp_path / "a.mp4", tmp_path / "a_restored.mp4"
    assert not target.exists()
    said = run_cli("restore", str(source), "--device", "cpu", code=1)
    stopped = re.search(r"was stopped after (\d+) frames. Go on with --resume", said)
    assert stopped is not None, said
    assert int(stopped[1]) % 120 == 0 < int(stopped[1])
    said = run_cli(
        "restore", str(source), "--device", "cpu", "--strength", "0.5", "--resume", code=1
    )
    assert "the options changed since" in said
    said = run_cli("restore", str(tmp_path), "--device", "cpu", "--resume")
    assert f"{stopped[1]} frames were done before" in said
    run_cli("restore", str(source), "--device", "cpu", "-o", str(tmp_path / "whole.mp4"))
    assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert "every result is there" in run_cli("restore", str(source), "--resume")


def test_a_second_one_is_refused_and_ctrl_c_says_how_to_go_on(
    tmp_path: Path, restoring: Process
) -> None:
    said = run_cli("restore", str(tmp_path / "a.mp4"), "--device", "cpu", "--overwrite", code=1)
    assert "is being written by another process. Wait for it." in said
    restoring.send_signal(signal.SIGINT)
    said, _ = restoring.communicate(timeout=SOON_S)
    assert restoring.returncode == 130
    assert "Go on with the same command and --resume." in said


def test_resume_and_overwrite_contradict_each_other(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    said = run_cli("restore", str(source), "--resume", "--overwrite", code=2)
    assert "contradict each other" in said
