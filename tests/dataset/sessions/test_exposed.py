"""HDR shots become sessions as a light sweep records them, stopped or not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command_line import run_cli
from helpers.made_greys import radiance
from helpers.made_shots import make_shots, shot

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.locks import hold_lock
from dataset.options import ExposeOptions
from dataset.pictures.exposing import develop, exposures
from dataset.pictures.hashing import sha256
from dataset.pictures.hdr import read_hdr
from dataset.pictures.hdr_writing import encode_exr, encode_jpeg_xr
from dataset.pictures.images import read_image, write_png
from dataset.sessions import exposed
from dataset.sessions.exposed import ExposedSession, Stopped, expose_files
from dataset.sessions.manifest import find_sessions, read_frames, read_session
from dataset.sessions.unfinished import LOCK, folder_of
from tests.helpers import made_light
from tests.helpers.made_hdr import PQ, hdr_png


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    return make_shots(tmp_path / "게임 shots", 3)


def options(root: Path, **changed: Any) -> ExposeOptions:
    return replace(ExposeOptions(root / "captures", "mine", steps=4, disk_floor_bytes=0), **changed)


def all_bytes(session: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in session.rglob("*.png")}


def test_a_shot_is_a_viewpoint_under_several_lights(shots: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    made = expose_files([shots], options(tmp_path), lambda *at: calls.append(at))
    assert made == ExposedSession(tmp_path / "captures" / "mine", 3, 12)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    frames = list(read_frames(made.session))
    assert [each.index for each in frames] == list(range(12))
    assert [each.viewpoint for each in frames] == [f"v{n // 4:05d}" for n in range(12)]
    assert ["reference" in (each.light or "") for each in frames] == 3 * [True, False, False, False]
    assert frames[1].light is not None
    assert frames[1].light.startswith("step 1; exposure ")
    for number, path in enumerate(sorted(shots.iterdir())):
        light = read_hdr(path).light
        for step, stops in enumerate(exposures(light, 4)):
            each = frames[4 * number + step]
            data = (made.session / each.file).read_bytes()
            assert np.array_equal(read_image(made.session / each.file), develop(light, stops))
            assert (each.width, each.height, each.sha256, each.label) == (
                48,
                48,
                sha256(data),
                None,
            )
            assert each.extra["source"] == str(path)
            assert each.extra["exposure_stops"] == stops
            assert each.extra["shot_sha256"] == sha256(path.read_bytes())
    facts = read_session(made.session)
    assert facts["state"] == "ended"
    assert facts["exposed"]["steps"] == 4
    assert find_sessions(tmp_path / "captures") == [made.session]
    assert sorted(os.listdir(made.session)) == ["frames", "frames.jsonl", "session.json"]
    assert not folder_of(made.session).exists()


def test_options_change_the_frames(shots: Path, tmp_path: Path) -> None:
    asked = {"steps": 2, "first_stops": -1.0, "last_stops": 2.0, "size": (24, 12), "flare": True}
    made = expose_files([shots], options(tmp_path, **asked))
    first, last = list(read_frames(made.session))[:2]
    assert (first.light, last.light) == (
        "reference; exposure -1.00 stops",
        "step 1; exposure +2.00 stops",
    )
    assert (first.width, first.height) == (24, 12)
    plain = expose_files([shots], options(tmp_path, session="plain", **asked | {"flare": False}))
    with_flare, without = (
        [read_image(each.session / frame.file).mean() for frame in read_frames(each.session)][:2]
        for each in (made, plain)
    )
    assert with_flare[0] == without[0]
    assert with_flare[1] > without[1]


def test_hdr_is_found_among_other_files(shots: Path, tmp_path: Path) -> None:
    """As Windows' Game Bar leaves them: an SDR picture beside each shot, and videos."""
    write_png(shots / "shot 0.png", np.zeros((8, 8, 3), np.uint8))
    (shots / "flight.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    (shots / "pq.png").write_bytes(hdr_png(PQ))
    made = expose_files([shots], options(tmp_path))
    assert made.shots == 4
    assert made.notes[0] == (
        "left out: 1 PNG, 1 .mp4. They are not HDR, or of a kind that is not read as HDR "
        "(docs/hdr.md)."
    )
    assert any("several sizes" in each for each in made.notes)


def test_broken_shots_are_named_and_the_others_taken(shots: Path, tmp_path: Path) -> None:
    (shots / "empty.exr").write_bytes(b"")
    (shots / "cut.hdr").write_bytes(radiance(shot(9))[:500])
    (shots / "night.hdr").write_bytes(radiance(np.zeros((8, 8, 3), np.float32)))
    (shots / "shot 7.hdr").write_bytes((shots / "shot 1.hdr").read_bytes())
    sdr = tmp_path / "sdr.png"
    write_png(sdr, np.zeros((8, 8, 3), np.uint8))
    made = expose_files([shots, sdr], options(tmp_path))
    assert made.shots == 3
    assert len(made.skipped) == 4
    for name in ("empty.exr", "cut.hdr", "night.hdr is black", "sdr.png is not HDR"):
        assert sum(name in each for each in made.skipped) == 1
    assert made.notes == (
        f"1 of 8 shots: {shots / 'shot 7.hdr'} is the same as {shots / 'shot 1.hdr'}.",
    )
    assert read_session(made.session)["skipped"] == list(made.skipped)


LIGHT = shot(3)
NITS = LIGHT.astype(float) * made_light.WHITE
FORMATS: dict[str, Callable[[], bytes]] = {
    "a.avif": lambda: made_light.avif(NITS, PQ, 10),
    "a.heic": lambda: made_light.heif(NITS, PQ),
    "a.jxl": lambda: made_light.jpeg_xl(NITS, PQ, 16),
    "a.jxr": lambda: made_light.jpeg_xr(NITS / 80),
    "a.exr": lambda: encode_exr(LIGHT),
    "a.hdr": lambda: radiance(LIGHT),
    "a.png": lambda: made_light.png(NITS, PQ, 16),
    "a.jpg": lambda: made_light.gain_map_jpeg(NITS),
}


@pytest.mark.parametrize("name", FORMATS)
def test_shots_of_every_format_are_found_and_exposed(name: str, tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots" / name).write_bytes(FORMATS[name]())
    asked = options(tmp_path, first_stops=-3.0, last_stops=1.0)
    made = expose_files([tmp_path / "shots"], asked)
    assert (made.shots, made.skipped) == (1, ())
    for frame in read_frames(made.session):
        expected = develop(LIGHT, frame.extra["exposure_stops"]).astype(int)
        off = np.abs(read_image(made.session / frame.file) - expected)
        assert off.mean() < 2  # lossy, or of 10 bits


def test_shots_of_the_two_formats_that_are_written_are_one_light(tmp_path: Path) -> None:
    for package in ("OpenEXR", "imagecodecs"):
        pytest.importorskip(package)
    light = shot(2).astype(np.float16).astype(np.float32)
    frames = {}
    for suffix, encode in (("exr", encode_exr), ("jxr", encode_jpeg_xr)):
        path = tmp_path / f"shot.{suffix}"
        path.write_bytes(encode(light))
        assert np.allclose(read_hdr(path).light, light, rtol=1e-3, atol=1e-6)
        made = expose_files([path], options(tmp_path, session=suffix, first_stops=-3.0))
        frames[suffix] = [
            read_image(made.session / each.file) for each in read_frames(made.session)
        ]
    assert np.array_equal(frames["exr"][0], develop(light, -3))
    off = np.abs(np.array(frames["exr"], int) - frames["jxr"])
    assert off.max() <= 1


def test_what_was_stopped_goes_on(shots: Path, tmp_path: Path) -> None:
    whole = expose_files([shots], options(tmp_path, session="whole"))

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match="2 of 3 shots are exposed"):
        expose_files([shots], options(tmp_path), stop)
    target = tmp_path / "captures" / "mine"
    assert not target.exists()
    assert find_sessions(tmp_path / "captures") == [whole.session]
    with pytest.raises(UserError, match=r"stopped after 2 shots\. Go on with --resume"):
        expose_files([shots], options(tmp_path))
    with pytest.raises(UserError, match="the options changed since"):
        expose_files([shots], options(tmp_path, steps=5, resume=True))
    with pytest.raises(UserError, match="the options changed since"):
        expose_files([shots], options(tmp_path, flare=True, resume=True))
    calls: list[int] = []
    made = expose_files([shots], options(tmp_path, resume=True), lambda at, _: calls.append(at))
    assert calls == [1, 2, 3]
    assert list(read_frames(made.session)) == list(read_frames(whole.session))
    assert all_bytes(made.session) == all_bytes(whole.session)


@pytest.mark.parametrize("lost", ["half a line", "lines of a shot", "a file"])
def test_what_was_killed_goes_on_with_whole_shots(shots: Path, tmp_path: Path, lost: str) -> None:
    whole = expose_files([shots], options(tmp_path, session="whole"))
    folder = folder_of(tmp_path / "captures" / "mine")
    with pytest.raises(Stopped):
        expose_files([shots], options(tmp_path), _stop_at(2))
    manifest = folder / "frames.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    if lost == "half a line":
        manifest.write_bytes(b"".join(lines)[:-20])
    elif lost == "lines of a shot":
        manifest.write_bytes(b"".join(lines[:5]))
    else:
        (folder / "frames" / "000005.png").unlink()
    made = expose_files([shots], options(tmp_path, resume=True))
    assert list(read_frames(made.session)) == list(read_frames(whole.session))
    assert all_bytes(made.session) == all_bytes(whole.session)


def _stop_at(number: int) -> Callable[[int, int], None]:
    def stop(done: int, total: int) -> None:
        if done == number:
            raise KeyboardInterrupt

    return stop


def test_a_full_disk_keeps_what_is_done(
    shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, free = shutil.disk_usage, iter([2, 2, 0])
    monkeypatch.setattr(
        exposed.shutil, "disk_usage", lambda path: real(path)._replace(free=next(free) * 10**9)
    )
    with pytest.raises(UserError, match=r"Less than 1 GB.*2 shots are exposed.*--resume"):
        expose_files([shots], options(tmp_path, disk_floor_bytes=10**9))
    monkeypatch.undo()
    assert expose_files([shots], options(tmp_path, resume=True)).shots == 3


def test_a_frame_that_cannot_be_written_is_no_fault_of_its_shot(
    shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        if path.name == "000006.png":
            raise UserError(f"Cannot write {path}: No space left on device.", 1)
        write_whole(path, data)

    monkeypatch.setattr(exposed, "write_whole", full)
    with pytest.raises(UserError, match="No space left"):
        expose_files([shots], options(tmp_path))
    monkeypatch.undo()
    made = expose_files([shots], options(tmp_path, resume=True))
    assert (made.shots, made.skipped) == (3, ())


def test_nothing_is_left_of_what_never_began(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.exr").write_bytes(b"v/1\x01 and no more")
    with pytest.raises(UserError, match=r"a\.exr"):
        expose_files([tmp_path / "bad"], options(tmp_path))
    with pytest.raises(UserError, match="No HDR pictures under"):
        expose_files([tmp_path / "captures"], options(tmp_path))
    with pytest.raises(UserError, match="--to must be brighter than --from"):
        expose_files([shots], options(tmp_path, first_stops=1.0, last_stops=1.0))
    left = [each.name for each in (tmp_path / "captures").iterdir()]
    assert [each for each in left if each != ".expose.lock"] == []
    expose_files([shots], options(tmp_path))
    with pytest.raises(UserError, match="exists already"):
        expose_files([shots], options(tmp_path))


def test_a_session_that_appears_meanwhile_is_never_replaced(shots: Path, tmp_path: Path) -> None:
    target = tmp_path / "captures" / "mine"
    with pytest.raises(UserError, match="exists already"):
        expose_files([shots], options(tmp_path), lambda *_: target.mkdir(exist_ok=True))
    assert list(target.iterdir()) == []


def test_two_at_once_do_not_mix(shots: Path, tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()
    with hold_lock(captures / LOCK, ""), pytest.raises(UserError, match="Another process"):
        expose_files([shots], options(tmp_path))
    assert expose_files([shots], options(tmp_path)).shots == 3


def test_a_folder_of_somebody_else_is_left_alone(shots: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "captures" / "mine")
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="not made by this program"):
        expose_files([shots], options(tmp_path, resume=True))
    assert (folder / "mine.txt").read_text() == "keep"


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
@pytest.mark.parametrize("what", ["frames", "frames/000004.png"])
def test_links_lead_nowhere(shots: Path, tmp_path: Path, what: str) -> None:
    with pytest.raises(Stopped):
        expose_files([shots], options(tmp_path), _stop_at(1))
    folder, elsewhere = folder_of(tmp_path / "captures" / "mine"), tmp_path / "elsewhere"
    if what == "frames":
        (folder / what).rename(elsewhere)
        (folder / what).symlink_to(elsewhere)
        with pytest.raises(UserError, match="link"):
            expose_files([shots], options(tmp_path, resume=True))
        assert len(list(elsewhere.iterdir())) == 4
    else:
        elsewhere.write_text("keep")
        (folder / what).symlink_to(elsewhere)
        assert expose_files([shots], options(tmp_path, resume=True)).shots == 3
        assert elsewhere.read_text() == "keep"


def test_the_command(shots: Path, tmp_path: Path) -> None:
    (shots / "broken.exr").write_bytes(b"")
    out = tmp_path / "captures"
    said = run_cli("expose", str(shots), "-o", str(out), "--steps", "3", "--from=-2", "--to", "1")
    session = out / "exposed-게임 shots"
    assert f"9 frames of 3 shots: {session}" in said
    assert "skipped: " in said
    assert "broken.exr" in said
    assert json.loads((session / "session.json").read_text("utf-8"))["exposed"]["first_stops"] == -2
    assert "exists already" in run_cli("expose", str(shots), "-o", str(out), code=2)
