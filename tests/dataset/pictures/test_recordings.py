"""Recordings become sessions: thinned by their own times, in their own colours, whole or not."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.painted import noise
from hypothesis import given
from hypothesis import strategies as st

from dataset.errors import UserError
from dataset.options import SplitOptions
from dataset.pictures.images import Image, read_image
from dataset.pictures.png import encode_png
from dataset.pictures.recordings import Grid, Reader
from dataset.pictures.video_decoding import NS, describe, turn
from dataset.sessions.imports import ImportSummary, import_files
from dataset.sessions.manifest import Frame, read_frames, read_session
from dataset.splitting.split import split_captures

MS = 1_000_000
BT709, BT601, UNTAGGED = 1, 5, 2
LIMITED, FULL = 1, 2
WEIGHTS = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114)}  # of red and blue in luma
CODECS = {".webm": "libvpx", ".avi": "mpeg4"}


def film(
    path: Path,
    times_ms: Sequence[int],
    picture: Callable[[int], tuple[int, int, int]] = lambda number: (16 + number, 128, 128),
    size: tuple[int, int] = (64, 48),
    tags: tuple[int, int] = (UNTAGGED, 0),
    curve: int = 2,
    pixels: str = "yuv420p",
    **settings: object,
) -> Path:
    """Write a recording whose frame ``n`` is one colour, ``picture(n)`` as Y, Cb, Cr in 8 bits."""
    with av.open(str(path), "w", **settings) as container:
        stream = container.add_stream(CODECS.get(path.suffix, "libx264"), rate=1000)
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.bit_rate = 4_000_000
        if CODECS.get(path.suffix) is None:
            stream.options = {"crf": "1", "preset": "ultrafast"}
        context = stream.codec_context
        context.time_base = Fraction(1, 1000)
        context.colorspace, context.color_range = tags
        context.color_trc = curve
        for number, time_ms in enumerate(times_ms):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane, value in zip(frame.planes, picture(number), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame = frame.reformat(format=pixels)
            frame.colorspace, frame.color_range = tags
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def steady(fps: float, seconds: float) -> list[int]:
    """Times of a constant rate, in milliseconds."""
    return [round(number * 1000 / fps) for number in range(round(fps * seconds))]


def import_one(path: Path, out: Path, fps: float = 5.0) -> tuple[list[Frame], ImportSummary]:
    summary = import_files([path], out, fps=fps)
    return list(read_frames(summary.sessions[0].session)), summary


def numbers(summary: ImportSummary) -> list[int]:
    """Which frames of the recording were kept, by their brightness."""
    session = summary.sessions[0].session
    levels = [read_image(session / frame.file).mean() for frame in read_frames(session)]
    return [round(level * 219 / 255) for level in levels]


def ycbcr(rgb: Sequence[int], matrix: int, span: int) -> tuple[int, int, int]:
    """RGB as 8-bit Y, Cb, Cr: ITU-R BT.601-7 and BT.709-6, sections 3."""
    red, blue = WEIGHTS[matrix]
    r, g, b = (value / 255 for value in rgb)
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    if span == LIMITED:
        return round(16 + 219 * y), round(128 + 224 * cb), round(128 + 224 * cr)
    return round(255 * y), *(min(max(round(128 + 255 * c), 0), 255) for c in (cb, cr))


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".webm", ".avi", ".flv", ".ts"])
def test_every_container_is_thinned_to_the_frames_of_the_grid(tmp_path: Path, ending: str) -> None:
    path = film(tmp_path / f"녹화 {ending}", steady(60, 2))
    frames, summary = import_one(path, tmp_path / "captures")
    assert [frame.monotonic_ns for frame in frames] == pytest.approx(
        [number * NS // 5 for number in range(10)], abs=MS
    )
    assert numbers(summary) == pytest.approx([12 * number for number in range(10)], abs=1)
    assert sum(frame.missed_before for frame in frames) == 0
    assert summary.sessions[0].session == tmp_path / "captures" / "녹화"
    assert summary.skipped == ()


def test_the_manifest_says_when_and_where_from(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", steady(30, 1))
    os.utime(path, ns=(0, 1_700_000_000 * NS))
    frames, summary = import_one(path, tmp_path / "captures")
    assert [frame.extra for frame in frames] == [
        {"source": str(path), "source_s": pytest.approx(number / 5)} for number in range(5)
    ]
    assert frames[0].wall_ns == pytest.approx(1_700_000_000 * NS - NS, abs=50 * MS)
    assert frames[4].wall_ns - frames[0].wall_ns == frames[4].monotonic_ns
    facts = read_session(summary.sessions[0].session)
    assert (facts["imported"], facts["times"], facts["fps"]) == (True, "recording", 5.0)
    assert facts["recording"] == {
        "path": str(path),
        "container": "matroska,webm",
        "codec": "h264",
        "size": [64, 48],
        "average_fps": pytest.approx(30, abs=0.1),
        "duration_s": pytest.approx(1, abs=0.05),
        "times_known_from": "time of the file, less the duration",
    }


def test_a_stated_creation_time_comes_before_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        container.metadata["creation_time"] = "2026-11-22T18:20:01.250000Z"
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(noise(number, (64, 48)))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames, summary = import_one(path, tmp_path / "captures")
    # MP4 keeps whole seconds: 2026-11-22T18:20:01Z
    assert [frame.wall_ns - frame.monotonic_ns for frame in frames] == [1_795_371_601 * NS] * 5
    facts = read_session(summary.sessions[0].session)
    assert facts["recording"]["times_known_from"] == "creation_time"


def test_a_recording_begins_when_its_name_says(tmp_path: Path) -> None:
    path = film(tmp_path / "2024-01-31 12-34-56.mkv", steady(30, 1))
    os.utime(path, ns=(0, 1_700_000_000 * NS))
    frames, summary = import_one(path, tmp_path / "captures")
    began = datetime(2024, 1, 31, 12, 34, 56).timestamp()
    assert frames[0].wall_ns == round(began) * NS
    facts = read_session(summary.sessions[0].session)
    assert facts["recording"]["times_known_from"] == "name of the file"


def test_gaps_of_a_variable_rate_are_missed_and_never_filled(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", [0, 50, 210, 250, 399, 1450, 1500, 6000, 6010])
    frames, summary = import_one(path, tmp_path / "captures")
    assert [frame.monotonic_ns // MS for frame in frames] == [0, 210, 399, 1450, 6000]
    assert [frame.missed_before for frame in frames] == [0, 0, 0, 4, 22]
    assert numbers(summary) == pytest.approx([0, 2, 4, 5, 7], abs=1)
    assert str(summary.sessions[0]).startswith("5 frames, 26 intervals missed: ")


@given(
    st.lists(st.integers(0, 20 * NS), min_size=1).map(sorted),
    st.sampled_from([0.5, 1.0, 5.0, 23.976, 29.97, 60.0, 144.0]),
)
def test_each_interval_gives_one_frame_or_is_missed(times: list[int], fps: float) -> None:
    grid = Grid(fps)
    times = [time - times[0] for time in times]
    taken = [grid.take(time) for time in times]
    kept = [(time, missed) for time, missed in zip(times, taken, strict=True) if missed is not None]

    def interval(time: int) -> int:
        return int((time + grid.slack_ns) * Fraction(fps) // NS)

    assert [time for time, _ in kept][:1] == times[:1]
    inside = [interval(time) for time, _ in kept]
    assert inside == sorted(set(map(interval, times)))  # each that has a frame, once
    assert len(kept) + sum(missed for _, missed in kept) == inside[-1] + 1
    for at, (time, _) in enumerate(kept):  # the first at or after its deadline
        assert time >= inside[at] * NS / fps - grid.slack_ns - 1
        assert not [t for t in times if t < time and interval(t) == inside[at]]


@given(st.sampled_from([24, 25, 30, 50, 60, 120, 144]), st.integers(1, 300))
def test_times_rounded_to_milliseconds_lose_no_frame_at_their_own_rate(
    fps: int, count: int
) -> None:
    grid = Grid(fps)
    assert [grid.take(round(n * 1000 / fps) * MS) for n in range(count)] == [0] * count


@pytest.mark.parametrize("matrix", [BT709, BT601])
@pytest.mark.parametrize("span", [LIMITED, FULL])
@pytest.mark.parametrize(
    "rgb", [(255, 255, 255), (0, 0, 0), (200, 100, 50), (30, 60, 220), (250, 240, 128)]
)
def test_tagged_colours_come_back(
    tmp_path: Path, rgb: tuple[int, int, int], matrix: int, span: int
) -> None:
    colour = ycbcr(rgb, matrix, span)
    path = film(tmp_path / "a.mp4", [0], lambda _: colour, tags=(matrix, span))
    image = shown(path)
    assert np.abs(image.astype(int) - rgb).max() <= 2
    if rgb == (255, 255, 255):
        assert image.min() >= 250


@pytest.mark.parametrize(("size", "matrix"), [((1280, 720), BT709), ((640, 480), BT601)])
def test_untagged_colours_are_those_of_the_size(
    tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    colour = ycbcr((200, 100, 50), matrix, LIMITED)
    image = shown(film(tmp_path / "a.mp4", [0], lambda _: colour, size))
    assert np.abs(image.astype(int) - (200, 100, 50)).max() <= 2


def test_ten_bits_without_hdr_are_read(tmp_path: Path) -> None:
    colour = ycbcr((200, 100, 50), BT709, LIMITED)
    tags = (BT709, LIMITED)
    path = film(tmp_path / "a.mkv", [0], lambda _: colour, tags=tags, pixels="yuv420p10le")
    assert np.abs(shown(path).astype(int) - (200, 100, 50)).max() <= 2


def shown(path: Path) -> Image:
    return next(Reader(describe(path), 5).shots()).image


@pytest.mark.parametrize(("curve", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(tmp_path: Path, curve: int, name: str) -> None:
    path = film(tmp_path / "a.mkv", [0, 100], tags=(9, 1), curve=curve, pixels="yuv420p10le")
    with pytest.raises(UserError, match=rf"a\.mkv is an HDR recording \({name}\).*HDR off"):
        import_files([path], tmp_path / "captures")


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_rotation_and_mirroring_are_honoured(tmp_path: Path, quarters: int, mirrored: bool) -> None:
    path = tmp_path / "a.mp4"
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:16, :32] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(corner)))
        container.mux(stream.encode(None))
    # Clockwise quarter turns, x to the right and y downwards; the matrix of tkhd is row by row.
    matrix = np.linalg.matrix_power(np.array([[0, 1], [-1, 0]]), quarters)
    if mirrored:  # left and right, after the turn
        matrix = matrix @ np.array([[-1, 0], [0, 1]])
    (a, b), (c, d) = (matrix << 16).tolist()
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    expected = np.rot90(corner, -quarters)
    expected = expected[:, ::-1] if mirrored else expected
    image = shown(path)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).mean() < 3


def test_a_matrix_that_is_no_quarter_turn_still_gives_a_picture() -> None:
    image = noise(0)
    slanted = np.array([60_000, 20_000, 0, -20_000, 60_000, 0, 0, 0, 1 << 30], np.int32)
    assert np.array_equal(turn(image, slanted), image)


def test_a_recording_cut_off_gives_its_frames_and_a_note(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mkv", steady(30, 8), lambda n: (n % 200 + 16, 128, 128))
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames, summary = import_one(path, tmp_path / "captures")
    assert 10 < len(frames) < 30
    (note,) = summary.skipped
    assert "cut.mkv: cut off after" in note
    assert "of 8.0 s" in note
    assert read_session(summary.sessions[0].session)["skipped"] == [note]


def test_a_recorder_killed_gives_its_frames_and_a_note(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.mkv", tmp_path / "killed.mkv"
    with av.open(
        str(whole), "w", options={"cluster_time_limit": "500", "flush_packets": "1"}
    ) as container:
        stream = container.add_stream("libx264", rate=10, options={"tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(60):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise(number))))
        path.write_bytes(whole.read_bytes())  # as kill -9 leaves it: no end, no length, no index
    frames, summary = import_one(path, tmp_path / "captures")
    assert len(frames) > 10
    assert "killed.mkv: never ended by its recorder" in summary.skipped[0]


def test_damage_in_the_middle_is_passed_over(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", steady(30, 4))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = noise(0, (200, 1)).tobytes()
    path.write_bytes(data)
    frames, summary = import_one(path, tmp_path / "captures")
    assert len(frames) >= 5
    times = [frame.monotonic_ns for frame in frames]
    assert times == sorted(set(times))
    assert len(summary.skipped) <= 1


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty.mkv").write_bytes(b"")
    (tmp_path / "junk.avi").write_bytes(noise(0).tobytes())
    whole = film(tmp_path / "whole.mp4", steady(30, 1)).read_bytes()
    (tmp_path / "killed.mp4").write_bytes(whole[: whole.index(b"moov")])
    sound(tmp_path / "sound.mkv")
    for name, reason in {
        "empty.mkv": "empty",
        "junk.avi": "not a readable recording",
        "killed.mp4": "lost its index",
        "sound.mkv": "no video stream",
    }.items():
        with pytest.raises(UserError, match=rf"{name}.*{reason}"):
            import_files([tmp_path / name], tmp_path / "captures")
    assert not (tmp_path / "captures").exists()
    summary = import_files([tmp_path], tmp_path / "captures")
    assert [each.session.name for each in summary.sessions] == ["whole"]
    assert len(summary.skipped) == 4


def sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        silence = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.rate = 48_000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))


def test_an_encrypted_recording_says_so(tmp_path: Path) -> None:
    options = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "0123456789abcdef" * 2,
        "encryption_kid": "fedcba9876543210" * 2,
    }
    path = film(tmp_path / "a.mp4", steady(30, 1), options=options)
    with pytest.raises(UserError, match=r"a\.mp4.*protected"):
        import_files([path], tmp_path / "captures")
    assert list((tmp_path / "captures").iterdir()) == []


def test_each_recording_is_a_session_and_the_pictures_are_one(tmp_path: Path) -> None:
    files = tmp_path / "files"
    (files / "other").mkdir(parents=True)
    film(files / "a.mkv", steady(10, 1))
    film(files / "other" / "A.mp4", steady(10, 1))
    for number in range(2):
        (files / f"{number}.png").write_bytes(encode_png(noise(number)))
    (files / "code.ts").write_text("export {}")
    summary = import_files([files], tmp_path / "captures", session="mine", label="Y")
    assert {each.session.name: each.frames for each in summary.sessions} == {
        "mine": 2,
        "mine-a": 5,
        "mine-A-2": 5,
    }
    for each in summary.sessions:
        assert {frame.label for frame in read_frames(each.session)} == {"Y"}
    assert read_session(tmp_path / "captures" / "mine")["times"] == "files"
    assert summary.skipped == ()


def test_a_folder_can_be_imported_again_when_it_has_grown(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", steady(10, 1))
    import_files([tmp_path], tmp_path / "captures")
    film(tmp_path / "b.mkv", steady(10, 1))
    summary = import_files([tmp_path], tmp_path / "captures")
    assert [each.session.name for each in summary.sessions] == ["b"]
    assert "exists already" in summary.skipped[0]
    with pytest.raises(UserError, match="exists already"):
        import_files([tmp_path / "a.mkv"], tmp_path / "captures")


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_a_name_is_never_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "a.mkv", steady(10, 1)).rename("http:a %03d.mkv")
    summary = import_files([Path("http:a %03d.mkv")], tmp_path / "captures")
    assert summary.sessions[0].session.name == "http_a %03d"


def test_ctrl_c_leaves_nothing_half_done(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", steady(10, 1))
    film(tmp_path / "b.mkv", steady(10, 4))

    def interrupt(done: int, total: int) -> None:
        assert total == 25
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_files([tmp_path], tmp_path / "captures", on_progress=interrupt)
    assert [each.name for each in (tmp_path / "captures").iterdir()] == ["a"]


def test_size_and_rate_are_checked(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", steady(10, 1))
    with pytest.raises(UserError, match="--fps"):
        import_files([path], tmp_path / "captures", fps=0)
    summary = import_files([path], tmp_path / "captures", size=(32, 24))
    assert {(each.width, each.height) for each in read_frames(summary.sessions[0].session)} == {
        (32, 24)
    }


@pytest.mark.slow
def test_a_split_goes_by_the_times_of_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=2, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(400):
            picture = noise(number, (64, 48)) // 2
            if number % 80 >= 40:
                picture[:40] = 255
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    import_files([path], tmp_path / "captures", fps=2)
    split_captures(SplitOptions(tmp_path / "captures", tmp_path / "data", fit=True))
    record = json.loads((tmp_path / "data" / "split.json").read_text())
    assert record["leaks"]["closest_s"] >= 2


LISTS = {
    "a list of files": "ffconcat version 1.0\nfile {name}\n",
    "a playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{name}\n#EXT-X-ENDLIST\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\n{name}\n",
    "metadata": ";FFMETADATA1\ntitle={name}\n",
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_text_that_names_other_files_opens_none(tmp_path: Path, kind: str, suffix: str) -> None:
    with av.open(str(tmp_path / "secret.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert describe(tmp_path / "secret.mp4").codec == "h264"
    path = tmp_path / f"list{suffix}"
    path.write_text(LISTS[kind].format(name="secret.mp4"))
    with pytest.raises(UserError, match=r"list\.\w+ is not a readable recording"):
        describe(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_no_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mkv")
    with pytest.raises(UserError, match=r"a\.mkv is not a regular file"):
        describe(tmp_path / "a.mkv")


@pytest.mark.slow
def test_frames_beyond_the_limit_are_refused_by_the_header(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "wide.mkv"), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 16_000, 8_000, "gray"
        frame = av.VideoFrame.from_ndarray(np.zeros((8_000, 16_000), np.uint8), "gray")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match=r"wide\.mkv has 16000x8000 pixels a frame, over 67 mill"):
        describe(tmp_path / "wide.mkv")
