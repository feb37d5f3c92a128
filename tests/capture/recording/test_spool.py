"""The lossless video gives back every bit, survives being cut off, and becomes PNG."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import noise
from helpers.screens import bgrx_of, check_whole

from capture.recording.spool import Damaged, Spool, journal_of, read_segment
from capture.recording.spool_to_png import SpoolToPng
from capture.recording.workers import GrabbedFrame
from dataset.errors import UserError
from dataset.pictures.images import read_image
from dataset.sessions.manifest import (
    SPOOL,
    SPOOL_JOURNAL,
    Frame,
    find_sessions,
    read_frames,
    read_lines,
)

SIZES = [(96, 64), (96, 64), (97, 51), (1, 1), (96, 64)]  # width, height: windows are resized


def spooled(session: Path, sizes: list[tuple[int, int]] = SIZES) -> Path:
    """A session with noise of these sizes in its spool."""
    (session / "frames").mkdir(parents=True)
    spool = Spool(session, waiting=4)
    for index, size in enumerate(sizes):
        frame = Frame(index, "", *size, wall_ns=index, monotonic_ns=index, label="X")
        spool.put(GrabbedFrame(frame, bgrx_of(noise(index, size))))
    spool.close()
    assert spool.error is None
    assert spool.written == len(sizes)
    return session


def check_pictures(session: Path, sizes: list[tuple[int, int]] = SIZES) -> None:
    frames = check_whole(session)
    assert [frame.label for frame in frames] == ["X"] * len(sizes)
    for frame, size in zip(frames, sizes, strict=True):
        assert np.array_equal(read_image(session / frame.file), noise(frame.index, size))


def test_every_bit_comes_back_as_png_and_the_video_is_gone(tmp_path: Path) -> None:
    session = spooled(tmp_path / "s")
    told: list[tuple[int, int]] = []
    assert SpoolToPng(session, on_progress=lambda *now: told.append(now)).run() == 0
    check_pictures(session)
    assert told[-1] == (5, 5)
    assert not (session / SPOOL).exists()
    assert all(frame.extra == {} for frame in read_frames(session))


def test_a_packet_goes_out_for_each_frame_at_once(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    spool = Spool(tmp_path, waiting=4)
    for index in range(3):
        spool.put(GrabbedFrame(Frame(index, "", 96, 64, 0, 0), bgrx_of(noise(index))))
        while spool.written == index:
            assert spool.error is None
        assert len(journal_of(tmp_path)) == index + 1
    spool.close()


def test_an_undeveloped_session_is_not_read_as_if_it_were_empty(tmp_path: Path) -> None:
    session = spooled(tmp_path / "captures" / "s")
    assert find_sessions(tmp_path / "captures") == [session]
    with pytest.raises(UserError, match="cli capture repair"):
        list(read_frames(session))


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_development_goes_on_where_it_was_stopped(tmp_path: Path, after: int) -> None:
    session = spooled(tmp_path / "s")
    asked = iter(range(100))
    left = SpoolToPng(session, stop=lambda: next(asked) >= after).run()
    assert left == len(SIZES) - after
    with open(session / "frames.jsonl", "ab") as manifest:
        manifest.write(b'{"index": 7, "fi')  # as a kill would leave it
    assert SpoolToPng(session).run() == 0
    check_pictures(session)


def test_a_full_disk_stops_development_and_loses_nothing(tmp_path: Path) -> None:
    session = spooled(tmp_path / "s")
    with pytest.raises(UserError, match=r"Make room.*cli capture repair"):
        SpoolToPng(session, disk_floor_bytes=1 << 62).run()
    assert SpoolToPng(session).run() == 0
    check_pictures(session)


def test_a_damaged_segment_is_named_set_aside_and_costs_only_its_rest(tmp_path: Path) -> None:
    session = spooled(tmp_path / "s")
    first = session / SPOOL / "0000.h264"
    first.write_bytes(first.read_bytes()[:-10])
    with pytest.raises(Damaged, match="before frame 1"):
        SpoolToPng(session).run()
    lost: list[str] = []
    assert SpoolToPng(session, on_damage=lost.append).run() == 0
    assert [frame.index for frame in read_frames(session)] == [0, 2, 3, 4]
    assert len(lost) == 1
    assert (session / "damaged" / "0000.h264").exists()


def test_segments_end_so_that_developing_can_free_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.recording.spool.SEGMENT_FRAMES", 2)
    session = spooled(tmp_path / "s", [(96, 64)] * 5)
    frames = list(read_lines(session / SPOOL, SPOOL_JOURNAL))
    assert [frame.extra["segment"][:4] for frame in frames] == ["0000"] * 2 + ["0001"] * 2 + [
        "0002"
    ]
    second = list(read_segment(session / SPOOL / "0001.h264", frames[2:4]))
    assert [frame.index for frame, _ in second] == [2, 3]
    SpoolToPng(session).run()
    check_pictures(session, [(96, 64)] * 5)


def test_a_disk_that_fills_up_costs_nothing_that_the_journal_names(small_disk: Path) -> None:
    session = small_disk / "s"
    (session / "frames").mkdir(parents=True)
    spool = Spool(session, waiting=4)
    size = (320, 240)
    with suppress(UserError):
        for index in range(1000):
            spool.put(GrabbedFrame(Frame(index, "", *size, 0, 0), bgrx_of(noise(index, size))))
    spool.close()
    assert "No space left on device" in str(spool.error)
    frames = journal_of(session)
    assert len(frames) == spool.written >= 10
    for frame, image in read_segment(session / SPOOL / "0000.h264", frames):
        assert np.array_equal(image, bgrx_of(noise(frame.index, size))[..., [0, 1, 2, 2]])
