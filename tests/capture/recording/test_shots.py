"""HDR shots beside the frames of a recording, on a desktop whose pixels alone are made up."""

from __future__ import annotations

import os
import queue
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command_line import run_cli
from helpers.hdr_desktop import LEFT, HdrDesktop, half, speckled
from helpers.screens import Noise, check_whole
from helpers.waiting import SOON_S, soon

import capture.recording.shots
from capture.commands import Command
from capture.control.daemon import run_capture
from capture.options import CaptureOptions
from capture.recording.loop import handle_command, record
from capture.recording.recorder import Recorder
from capture.recording.repair import repair_session
from capture.recording.shots import HDR_IS_OFF, TOO_MANY
from capture.screens.mss import open_screen
from dataset.errors import UserError
from dataset.pictures.hdr import read_hdr
from dataset.pictures.images import read_image
from dataset.pictures.light import WHITE_NITS
from dataset.sessions.manifest import read_frames, read_session

pytest.importorskip("imagecodecs")
SNAP = Command("snap", by="test")


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> HdrDesktop:
    return HdrDesktop().install(monkeypatch)


@pytest.fixture
def options(tmp_path: Path) -> CaptureOptions:
    return CaptureOptions(
        out=tmp_path / "captures", session="s", fps=50, disk_floor_bytes=0, backend="hdr"
    )


def shots_of(session: Path) -> list[str]:
    folder = session / "shots"
    return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize("codec", ["png", "h264"])
def test_a_snap_keeps_the_light_that_was_on_the_screen(
    codec: str, desktop: HdrDesktop, options: CaptureOptions
) -> None:
    options = replace(options, codec=codec)
    seen = {}
    with open_screen(options) as screen, Recorder(options, screen) as recorder:
        for seed in range(3):
            desktop.pictures[LEFT] = seen[seed] = speckled(LEFT[2:], seed=seed)
            assert handle_command(recorder, SNAP)["ok"]
        summary = recorder.close()
    assert shots_of(recorder.path) == ["000000.jxr", "000001.jxr", "000002.jxr"]
    for seed, light in seen.items():
        shot = read_hdr(recorder.path / "shots" / f"{seed:06d}.jxr")
        nits = shot.light.astype(np.float64) * WHITE_NITS
        assert np.allclose(nits, light[..., :3].astype(np.float64) * 80, rtol=1e-6, atol=0)
    assert summary.shots == 3
    assert f"3 HDR shots: cli expose {recorder.path / 'shots'}" in str(summary)


def test_light_in_nits_is_read_back_as_it_was_shown(
    desktop: HdrDesktop, options: CaptureOptions
) -> None:
    patches = np.array([0.0, 1, 80, 200, 203, 1000, 4000, 10000])
    desktop.pictures[LEFT] = half(np.tile(patches[None, :, None], (48, 8, 3)))
    with open_screen(options) as screen, Recorder(options, screen) as recorder:
        handle_command(recorder, SNAP)
    shot = read_hdr(recorder.path / "shots" / "000000.jxr")
    nits = shot.light[0, :8, 1] * WHITE_NITS
    assert np.allclose(nits, patches, rtol=2**-11)
    [frame] = read_frames(recorder.path)
    assert frame.snap
    levels = read_image(recorder.path / frame.file)[0, :8, 1]
    assert list(levels) == [0, 16, 170, 255, 255, 255, 255, 255]


def test_only_single_frames_have_shots_and_every_interval_is_accounted_for(
    desktop: HdrDesktop, options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, go_on = capture.recording.shots.encode_scrgb, threading.Event()

    def slow(light: Any) -> bytes:
        assert go_on.wait(SOON_S)
        return encode(light)

    monkeypatch.setattr(capture.recording.shots, "encode_scrgb", slow)
    options = replace(options, fps=20, dedupe="off")
    with open_screen(options) as screen, Recorder(options, screen) as recorder:

        def has_more_than(frames: int) -> bool:
            recorder.step()
            return recorder.status().frames > frames

        recorder.start()
        for _ in range(2):
            handle_command(recorder, SNAP)
            before = recorder.status().frames
            soon(lambda before=before: has_more_than(before + 4))  # they wait for no shot
        go_on.set()
        summary = recorder.close()
    frames = check_whole(recorder.path)
    snaps = [frame.index for frame in frames if frame.snap]
    assert len(snaps) == 2
    assert shots_of(recorder.path) == [f"{index:06d}.jxr" for index in snaps]
    counts = read_session(recorder.path)["counts"]
    assert counts["intervals"] == len(frames) - 2 + summary.missed


def test_a_frame_whose_shot_would_have_to_wait_has_none_and_says_so(
    desktop: HdrDesktop, options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    encode = capture.recording.shots.encode_scrgb

    def waiting(light: Any) -> bytes:
        assert go_on.wait(SOON_S)
        return encode(light)

    monkeypatch.setattr(capture.recording.shots, "encode_scrgb", waiting)
    with open_screen(options) as screen, Recorder(options, screen) as recorder:
        told = [handle_command(recorder, SNAP)["status"]["notice"] for _ in range(8)]
        go_on.set()
    assert told[-1] == TOO_MANY
    assert len(check_whole(recorder.path)) == 8
    assert len(shots_of(recorder.path)) == told.count(None) in (4, 5)


def test_while_hdr_is_off_the_frame_is_taken_and_the_player_told(
    desktop: HdrDesktop, options: CaptureOptions
) -> None:
    desktop.pictures[LEFT] = np.full((48, 64, 4), 9, np.uint8)
    with open_screen(options) as screen, Recorder(options, screen) as recorder:
        reply = handle_command(recorder, SNAP)
        assert reply["ok"]
        assert reply["status"]["notice"] == HDR_IS_OFF
        assert recorder.close().shots == 0
    assert len(check_whole(recorder.path)) == 1
    assert not (recorder.path / "shots").exists()


def test_other_back_ends_and_sweeps_keep_no_shots(
    desktop: HdrDesktop, options: CaptureOptions
) -> None:
    with Recorder(replace(options, backend="auto", session="n"), Noise()) as recorder:
        assert handle_command(recorder, SNAP)["status"]["notice"] is None
        assert shots_of(recorder.path) == []
    with open_screen(options) as screen, Recorder(options, screen) as recorder:
        recorder.snap(light="step 1", viewpoint="v")
    assert shots_of(recorder.path) == []


def test_a_shot_that_cannot_be_written_ends_the_recording_with_whole_frames(
    desktop: HdrDesktop, options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise UserError("Cannot write shots: no space left on device.", 1)

    monkeypatch.setattr(capture.recording.shots, "write_whole", full)
    commands: Any = queue.SimpleQueue()
    commands.put(SNAP)
    options = replace(options, duration_s=5)
    with open_screen(options) as screen:
        recorder = Recorder(options, screen)
        recorder.start()
        with pytest.raises(UserError, match="no space left"):
            record(recorder, commands)
        with pytest.raises(UserError, match="no space left"):
            recorder.close()
    assert "no space left" in read_session(recorder.path)["reason"]
    assert check_whole(recorder.path)
    assert shots_of(recorder.path) == []


def test_a_missing_package_is_told_before_anything_is_made(
    desktop: HdrDesktop, options: CaptureOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(UserError, match="imagecodecs"):
        run_capture(replace(options, start=True))
    assert not (options.out / "s").exists()


@pytest.fixture
def session(desktop: HdrDesktop, options: CaptureOptions) -> Path:
    """A recording of one frame and three single ones, with their shots."""
    with open_screen(options) as screen, Recorder(options, screen) as recorder:
        recorder.start()
        recorder.step()
        recorder.pause()
        for seed in range(3):
            desktop.pictures[LEFT] = speckled(LEFT[2:], seed=seed + 9)
            handle_command(recorder, SNAP)
    return recorder.path


def test_a_repair_removes_what_a_crash_left_and_keeps_the_shots(session: Path) -> None:
    part = session / "shots" / ".000007.jxr.999.part"
    part.write_bytes(b"half")
    before = {each.name: each.read_bytes() for each in (session / "shots").glob("*.jxr")}
    repaired = repair_session(session)
    assert (repaired.partial_files, repaired.frames, repaired.problems) == (1, 4, ())
    assert {each.name: each.read_bytes() for each in (session / "shots").iterdir()} == before


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_repair_follows_no_link_to_shots(session: Path, tmp_path: Path) -> None:
    os.rename(session / "shots", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", session / "shots")
    (tmp_path / "elsewhere" / ".x.jxr.999.part").write_bytes(b"mine")
    with pytest.raises(UserError, match="shots"):
        repair_session(session)
    assert (tmp_path / "elsewhere" / ".x.jxr.999.part").exists()


def test_every_command_takes_a_session_with_shots(session: Path, tmp_path: Path) -> None:
    captures = session.parent
    made = run_cli("expose", str(session / "shots"), "-o", str(captures), "--steps", "3")
    assert "9 frames of 3 shots" in made
    exposed = captures / "exposed-s"
    frames = list(read_frames(exposed))
    assert len(frames) == 9
    assert {Path(frame.extra["source"]).name for frame in frames} == {*shots_of(session)}
    assert "nothing to repair" in run_cli("capture", "repair", str(session))
    assert "13 by clipping" in run_cli("label", "--source", str(captures))
    assert shots_of(session) == ["000001.jxr", "000002.jxr", "000003.jxr"]


def test_an_unwritable_folder_of_shots_is_named(
    desktop: HdrDesktop, options: CaptureOptions
) -> None:
    with open_screen(options) as screen:
        recorder = Recorder(options, screen)
        (recorder.path / "shots").write_bytes(b"a file is in the way")
        handle_command(recorder, SNAP)
        with pytest.raises(UserError, match=r"Cannot (make|write) .*shots"):
            recorder.close()
    assert len(check_whole(recorder.path)) == 1
