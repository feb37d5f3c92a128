"""Every interval is a frame, a duplicate or a miss; marks and their undoing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from capture.recording.label_state import LabelState
from capture.recording.ledger import Ledger, count_lines, settle
from dataset.sessions.manifest import Frame, ManifestWriter, amend_labels, read_frames

events = st.lists(
    st.sampled_from(["frame", "marked", "skip", "snap"]) | st.integers(1, 5), max_size=60
)


def play(happened: list[str | int]) -> tuple[Ledger, list[Frame]]:
    """The ledger after these events, and the lines that a recorder would have written."""
    ledger, lines = Ledger(), []
    for event in happened:
        if isinstance(event, int):
            ledger.miss(event)
        elif event == "skip":
            ledger.skip()
        else:
            lines.append(
                Frame(
                    ledger.lines, "", 1, 1, 0, 0, ledger.missed_before, ledger.duplicates_before,
                    snap=event == "snap", duplicate_of=0 if event == "marked" else None,
                )
            )  # fmt: skip
            if event == "snap":
                ledger.snap()
            else:
                ledger.frame(event == "marked")
    return ledger, lines


@given(events)
def test_frames_duplicates_and_misses_are_the_intervals(happened: list[str | int]) -> None:
    counts = play(happened)[0].counts()
    asked = sum(each if isinstance(each, int) else each != "snap" for each in happened)
    assert counts.frames + counts.duplicates + counts.missed == counts.intervals == asked


@given(events)
def test_the_manifest_alone_says_the_same(happened: list[str | int]) -> None:
    ledger, lines = play(happened)
    counts, told = ledger.counts(), count_lines(lines)
    assert (told.lines, told.frames, told.snaps) == (counts.lines, counts.frames, counts.snaps)
    assert told.missed + counts.missed_at_end == counts.missed
    assert told.duplicates + counts.skipped_at_end == counts.duplicates


@given(events, st.data())
def test_after_a_failure_what_has_no_line_was_missed(
    happened: list[str | int], data: st.DataObject
) -> None:
    ledger, lines = play(happened)
    written = count_lines(lines[: data.draw(st.integers(0, len(lines)))])
    counts = settle(ledger.counts(), written)
    assert counts.frames + counts.duplicates + counts.missed == counts.intervals
    assert counts.intervals == ledger.counts().intervals
    assert counts.lines == written.lines


marks = st.lists(st.sampled_from(["X", "Y", "undo", "frame"]), max_size=30)


@given(marks)
def test_undoing_everything_leaves_no_frame_with_a_label(pressed: list[str]) -> None:
    with TemporaryDirectory() as name:
        session, now, index = Path(name), LabelState(), 0
        with ManifestWriter(session) as manifest:
            for key in [*pressed, *["undo"] * len(pressed)]:
                if key == "frame":
                    manifest.append(
                        Frame(index, f"frames/{index}.png", 1, 1, 0, 0, label=now.label)
                    )
                    index += 1
                elif key != "undo":
                    now.mark(key, index)
                elif (undone := now.undo(index)) is not None:
                    amend_labels(session, undone.first, undone.end, undone.label)
        assert now.label is None
        assert {frame.label for frame in read_frames(session)} <= {None}


def test_undo_takes_back_the_last_mark_only(tmp_path: Path) -> None:
    now = LabelState("Y")
    now.mark("X", 2)
    now.mark("X", 5)  # again: away with it
    undone = now.undo(9)
    assert undone is not None
    assert (undone.first, undone.end, undone.label) == (5, 9, "X")
    assert now.label == "X"
    undone = now.undo(9)
    assert undone is not None
    assert (undone.first, undone.label) == (2, "Y")
    assert now.undo(9) is None


def test_light_steps_count_on_and_a_text_starts_them_again() -> None:
    now = LabelState()
    assert [now.step_light(), now.step_light()] == ["step 1", "step 2"]
    now.light = "noon"
    assert now.step_light() == "step 1"
