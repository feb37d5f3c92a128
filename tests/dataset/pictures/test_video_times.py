"""Frames are all taken, in the order and at the times in which they are shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.pictures.recordings import Reader
from dataset.pictures.video_decoding import describe
from dataset.sessions.imports import import_files
from dataset.sessions.manifest import read_frames
from model.restoring.video import restore_video
from tests.helpers.made_videos import (
    BRIGHTNESS,
    film,
    frames_of,
    out_of_order,
    times_of,
    tone_begins,
    unchanged,
)

CONTAINERS = pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4"])


@CONTAINERS
def test_a_restored_video_has_every_frame_of_a_file_that_knows_no_order(
    tmp_path: Path, suffix: str
) -> None:
    done = restore_video(out_of_order(tmp_path / f"in{suffix}"), tmp_path / "out.mp4", unchanged)
    assert (done.frames, done.notes) == (24, ())
    assert times_of(tmp_path / "out.mp4") == pytest.approx([at / 12 for at in range(24)], abs=2e-3)
    greys = [frame.mean() for frame in frames_of(tmp_path / "out.mp4")]
    assert greys == pytest.approx(BRIGHTNESS, abs=4)


@CONTAINERS
def test_an_import_has_every_frame_of_a_file_that_knows_no_order(
    tmp_path: Path, suffix: str
) -> None:
    reader = Reader(describe(out_of_order(tmp_path / f"in{suffix}")), 12)
    shots = list(reader.shots())
    assert reader.note() is None
    assert [each.image.mean() for each in shots] == pytest.approx(BRIGHTNESS, abs=4)
    assert [each.time_ns for each in shots] == pytest.approx(
        [at * 1e9 / 12 for at in range(24)], abs=1e6
    )


def test_every_frame_becomes_one_of_the_session(tmp_path: Path) -> None:
    film_path = out_of_order(tmp_path / "in.avi")
    summary = import_files([film_path], tmp_path / "captures", fps=60)
    assert (summary.sessions[0].frames, summary.skipped) == (24, ())
    assert len(list(read_frames(tmp_path / "captures" / "in"))) == 24


def test_sound_stays_with_its_picture(tmp_path: Path) -> None:
    path = out_of_order(tmp_path / "in.avi", sound=True)
    assert restore_video(path, tmp_path / "out.mp4", unchanged).frames == 24
    white = times_of(tmp_path / "out.mp4")[12]
    assert white == pytest.approx(1.0, abs=2e-3)
    assert tone_begins(path) == pytest.approx(1.0, abs=2e-3)
    assert tone_begins(tmp_path / "out.mp4") == pytest.approx(white, abs=0.03)  # AAC


def test_damage_moves_only_the_frames_up_to_the_next_key_frame(tmp_path: Path) -> None:
    path = out_of_order(tmp_path / "in.avi", bad=3)
    restore_video(path, tmp_path / "out.mp4", unchanged)
    times, frames = times_of(tmp_path / "out.mp4"), frames_of(tmp_path / "out.mp4")
    assert times == sorted(set(times))
    shown = dict(zip(times, (frame.mean() for frame in frames), strict=True))
    (white,) = (at for at, grey in shown.items() if grey > 245)
    assert white == pytest.approx(1.0, abs=2 / 12)


def test_times_that_a_file_states_are_kept(tmp_path: Path) -> None:
    uneven = [0, 10, 75, 80, 400, 410, 1333]
    restore_video(film(tmp_path / "in.mkv", uneven), tmp_path / "out.mkv", unchanged)
    assert times_of(tmp_path / "out.mkv") == pytest.approx([at / 1000 for at in uneven])
