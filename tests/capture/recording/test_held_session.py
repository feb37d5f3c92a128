"""A program that has a session's files open on Windows ends no recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.held import held
from helpers.screens import Noise, check_whole

from capture.options import CaptureOptions
from capture.recording.recorder import Recorder
from capture.recording.repair import repair_session
from dataset.errors import UserError
from dataset.files import Held
from dataset.sessions.manifest import SESSION_FILE, read_session


def recorder_in(folder: Path) -> Recorder:
    return Recorder(CaptureOptions(out=folder, session="s", disk_floor_bytes=0), Noise())


def test_a_recording_goes_on_while_its_session_is_held_and_is_whole_at_the_end(
    tmp_path: Path,
) -> None:
    with recorder_in(tmp_path) as recorder:
        with held(recorder.path / SESSION_FILE):
            recorder.snap()
            recorder.note(told="meanwhile")
            recorder.snap()
        recorder.snap()
        recorder.end("enough")
        assert recorder.close().frames == 3
    facts = read_session(tmp_path / "s")
    assert (facts["state"], facts["reason"], facts["told"]) == ("ended", "enough", "meanwhile")
    assert len(check_whole(tmp_path / "s")) == 3


def test_a_session_that_is_held_at_the_end_is_waited_for(tmp_path: Path) -> None:
    with recorder_in(tmp_path) as recorder:
        recorder.snap()
        with held(recorder.path / SESSION_FILE, for_s=2.5):
            recorder.close()
    assert read_session(tmp_path / "s")["state"] == "ended"


def test_a_session_that_stays_held_says_what_a_repair_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.recording.session.FINISH_S", 0.5)
    recorder = recorder_in(tmp_path)
    for _ in range(3):
        recorder.snap()
    with held(recorder.path / SESSION_FILE), pytest.raises(Held) as caught:
        recorder.close()
    said = str(caught.value)
    assert said.startswith("All 3 frames are whole, but the end could not be noted in ")
    assert "backup may have it open" in said
    assert f"cli capture repair {tmp_path / 's'}" in said
    assert read_session(tmp_path / "s")["state"] == "recording"
    assert repair_session(tmp_path / "s").frames == 3
    assert read_session(tmp_path / "s")["state"] == "ended"
    assert len(check_whole(tmp_path / "s")) == 3


def test_why_frames_could_not_be_written_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.recording.session.FINISH_S", 0.0)
    recorder = recorder_in(tmp_path)
    recorder.snap()
    fault = UserError("the disk is full", 1)
    monkeypatch.setattr(type(recorder._store), "error", property(lambda _: fault))
    with held(recorder.path / SESSION_FILE), pytest.raises(UserError, match="the disk is full"):
        recorder.close()


def test_a_repair_of_a_held_session_changes_its_mind_about_nothing(tmp_path: Path) -> None:
    with recorder_in(tmp_path) as recorder:
        recorder.snap()
    before = read_session(tmp_path / "s")
    with held(recorder.path / SESSION_FILE), pytest.raises(UserError):
        repair_session(tmp_path / "s")
    assert read_session(tmp_path / "s") == before
    assert repair_session(tmp_path / "s").frames == 1
