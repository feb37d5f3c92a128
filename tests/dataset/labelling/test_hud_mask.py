"""A HUD mask that cannot be meant is refused, and an odd one is told of, wherever one is taken."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from capture.options import CaptureOptions
from capture.recording.session import check_options
from dataset.errors import UserError
from dataset.labelling.hud_mask import doubts, ignored, read_mask, session_doubts
from dataset.labelling.labels import label_captures, mask_notes
from dataset.options import LabelOptions
from dataset.pictures.images import write_png
from dataset.review.thumbnails import find_clipped
from dataset.sessions.imports import import_files
from dataset.sessions.manifest import read_frames


def mask_of(path: Path, white: float, size: tuple[int, int] = (64, 48)) -> Path:
    """A mask whose left part is white."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[:, : round(size[0] * white)] = 255
    write_png(path, picture)
    return path


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """A session of dark frames with two white columns at the right."""
    frame = np.full((48, 64, 3), 60, np.uint8)
    frame[:, -20:] = 255
    (tmp_path / "shots").mkdir()
    for number in range(3):
        frame[0, 0] = number
        write_png(tmp_path / "shots" / f"{number}.png", frame)
    import_files([tmp_path / "shots"], tmp_path / "captures", session="s")
    return tmp_path / "captures"


def test_an_inverted_mask_is_refused_by_every_command_that_takes_one(
    captures: Path, tmp_path: Path
) -> None:
    everything = mask_of(captures / "s" / "hud_mask.png", 1)
    words = r"hides 100% of the picture.*White means 'ignore'"
    with pytest.raises(UserError, match=words):
        label_captures(LabelOptions(source=captures))
    with pytest.raises(UserError, match=words):
        find_clipped(np.zeros((48, 64, 3), np.uint8), captures / "s", LabelOptions())
    options = CaptureOptions(out=tmp_path / "new", hud_mask=everything, disk_floor_bytes=0)
    with pytest.raises(UserError, match=words):
        check_options(options)
    assert not (captures / "labels.csv").exists()
    assert "hides 100%" in mask_notes(captures)[0]  # which the review says


def test_label_tells_of_a_mask_that_hides_most_or_has_another_shape(captures: Path) -> None:
    mask_of(captures / "s" / "hud_mask.png", 0.6, (40, 40))
    summary = label_captures(LabelOptions(source=captures))
    much, shape = summary.notes
    assert "hides 60% of the picture" in much
    assert "(40x40) has another shape than the frames (64x48)" in shape
    assert much in str(summary)


def test_a_sound_mask_is_not_told_of(captures: Path) -> None:
    mask_of(captures / "s" / "hud_mask.png", 0.2, (128, 96))
    summary = label_captures(LabelOptions(source=captures))
    assert (summary.notes, summary.counts["Y"]) == ([], 3)


def test_a_mask_may_have_the_shape_of_the_screen_that_frames_were_taken_from(
    captures: Path,
) -> None:
    mask_of(captures / "s" / "hud_mask.png", 0.2, (160, 90))
    frames = list(read_frames(captures / "s"))
    assert len(session_doubts(captures / "s", frames)) == 1
    facts = json.loads((captures / "s" / "session.json").read_text())
    facts["screen"] = {"rectangle": [0, 0, 1920, 1080]}
    (captures / "s" / "session.json").write_text(json.dumps(facts))
    assert session_doubts(captures / "s", frames) == []


def test_a_mask_that_hides_nothing_is_told_of(tmp_path: Path) -> None:
    mask, _ = read_mask(mask_of(tmp_path / "m.png", 0))
    assert doubts(mask, tmp_path / "m.png", []) == [
        f"The mask {tmp_path / 'm.png'} has nothing white. Paint white what it is to hide."
    ]


def test_white_counts_at_the_size_of_the_frame(tmp_path: Path) -> None:
    mask, _ = read_mask(mask_of(tmp_path / "m.png", 0.5))
    assert ignored(mask, (8, 4)).tolist() == [[True] * 4 + [False] * 4] * 4


def test_options_with_a_sound_mask_are_accepted(tmp_path: Path) -> None:
    options = CaptureOptions(out=tmp_path, disk_floor_bytes=0)
    check_options(replace(options, hud_mask=mask_of(tmp_path / "m.png", 0.6)))
