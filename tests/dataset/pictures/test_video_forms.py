"""Depth, chroma sampling and fields of videos: kept, or said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from helpers.made_videos import film, film_of, frames_of, times_of, unchanged

from dataset.pictures.video_coding import FORMATS
from dataset.pictures.video_decoding import describe
from dataset.pictures.video_deinterlacing import Deinterlacer
from dataset.pictures.video_reading import Form, Source
from model.restoring.video import restore_video

pytestmark = pytest.mark.slow
MANY_PLAYERS = "some players cannot show"


def slope(height: int = 64, width: int = 256) -> Any:
    """Grey that rises by less than a level of 8 bits in a column: (H, W, 3) uint16."""
    row = np.linspace(20_000, 30_000, width)
    return np.repeat(np.tile(row, (height, 1))[..., None], 3, 2).round().astype(np.uint16)


def columns(height: int = 64, width: int = 64) -> Any:
    """Columns of one pixel that differ in colour and not in luma: (H, W, 3) uint8."""
    picture = np.full((height, width, 3), (140, 90, 90), np.uint8)
    picture[:, ::2] = (90, 111, 90)
    return picture


def format_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.video[0].codec_context.pix_fmt)


def luma_of(path: Path) -> Any:
    """Luma of the first frame as it is coded."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        plane = frame.planes[0]
        kind = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
        rows = np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)
        return rows[:, : plane.width].astype(int)


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
def test_ten_bits_stay(tmp_path: Path, pixels: str) -> None:
    source = film_of(tmp_path / "a.mp4", [slope()] * 3, pixels)
    done = restore_video(source, tmp_path / "b.mp4", unchanged)
    assert done.notes == ()
    assert format_of(tmp_path / "b.mp4") == pixels
    before, after = luma_of(source), luma_of(tmp_path / "b.mp4")
    assert np.abs(after - before).mean() < 0.5  # of 1024
    steps = np.unique(np.median(after, 0)).size
    assert steps > 100  # 8 bits have 34 of these levels


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p"])
def test_sampling_stays(tmp_path: Path, pixels: str) -> None:
    source = film_of(tmp_path / "a.mkv", [columns()] * 3, pixels)
    assert restore_video(source, tmp_path / "b.mkv", unchanged).notes == ()
    assert format_of(tmp_path / "b.mkv") == pixels
    left, right = (
        frames_of(tmp_path / "b.mkv")[0][:, 10:50].astype(int).reshape(64, 20, 2, 3).mean((0, 1))
    )
    assert (abs(right[0] - left[0]) > 35) == (pixels == "yuv444p")


@pytest.mark.parametrize(("codec", "kind"), [("libx264rgb", "gbrp"), ("ffv1", "gbrp10le")])
def test_colour_of_rgb_videos_is_not_halved(tmp_path: Path, codec: str, kind: str) -> None:
    pixels = "rgb24" if codec == "libx264rgb" else kind
    picture = columns() if pixels == "rgb24" else columns().astype(np.uint16) * 257
    source = film_of(tmp_path / "a.mkv", [picture] * 3, pixels, codec)
    assert format_of(source) == kind
    done = restore_video(source, tmp_path / "b.mkv", unchanged)
    assert format_of(tmp_path / "b.mkv") == ("yuv444p" if kind == "gbrp" else "yuv444p10le")
    assert np.abs(frames_of(tmp_path / "b.mkv")[0].astype(int) - columns()).mean() < 2
    assert any(MANY_PLAYERS in note for note in done.notes) == (codec == "ffv1")


def test_what_the_encoder_has_not_is_said(tmp_path: Path) -> None:
    source = film_of(tmp_path / "a.mkv", [slope()] * 2, "yuv420p12le", "ffv1")
    done = restore_video(source, tmp_path / "b.mkv", unchanged)
    assert format_of(tmp_path / "b.mkv") == "yuv420p10le"
    assert done.notes == ("12 bits a channel became 10",)


def test_ten_bits_that_were_not_in_h264_are_said(tmp_path: Path) -> None:
    source = film_of(tmp_path / "a.mkv", [slope()] * 2, "yuv422p10le", "ffv1")
    [note] = restore_video(source, tmp_path / "b.mkv", unchanged).notes
    assert note == f"10 bits and 4:2:2 are kept in H.264, which {MANY_PLAYERS}"


def test_grey_and_odd_sampling_become_what_is_at_least_as_fine(tmp_path: Path) -> None:
    for pixels, wanted in (("gray", "yuv420p"), ("yuv411p", "yuv422p"), ("yuv440p", "yuv444p")):
        source = film_of(tmp_path / f"{pixels}.mkv", [columns()] * 2, pixels, "ffv1")
        restore_video(source, tmp_path / "b.mkv", unchanged)
        assert format_of(tmp_path / "b.mkv") == wanted, pixels


def test_formats_have_ffmpegs_names() -> None:
    assert FORMATS[Form(8, (2, 2))] == "yuv420p"
    for form, name in FORMATS.items():
        kind = av.VideoFormat(name, 64, 64)
        sampling = 64 // kind.chroma_width(64), 64 // kind.chroma_height(64)
        assert (kind.components[0].bits, sampling) == form


def bars(moment: int, height: int = 64, width: int = 128) -> Any:
    """A bright bar that moves 6 pixels to the right in a field, before grey."""
    picture = np.full((height, width, 3), 60, np.uint8)
    picture[:, 8 + 6 * moment : 24 + 6 * moment] = (200, 160, 160)
    return picture


def interlaced(path: Path, frames: int = 6, **options: str) -> Path:
    """Each frame holds two moments, in rows that take turns; lower rows first, as PyAV marks it."""
    woven = []
    for number in range(frames):
        frame = bars(2 * number)
        frame[::2] = bars(2 * number + 1)[::2]
        woven.append(frame)
    return film_of(path, woven, **{"x264-params": "interlaced=1", **options})


def combs(image: Any) -> float:
    """How far rows differ from the two beside them."""
    rows = image.astype(float).mean(2)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


def test_interlaced_videos_become_whole_frames_and_it_is_said(tmp_path: Path) -> None:
    source = interlaced(tmp_path / "a.mp4")
    done = restore_video(source, tmp_path / "b.mp4", unchanged)
    assert done.frames == 6
    assert done.notes == (
        "the video is interlaced; the result is not, at one frame for two fields",
    )
    assert times_of(tmp_path / "b.mp4") == pytest.approx(times_of(source), abs=0.001)
    before, after = frames_of(source), frames_of(tmp_path / "b.mp4")
    for number in range(1, 5):
        assert combs(before[number]) > 8
        assert combs(after[number]) < 0.5 * combs(before[number])
        # The first field's moment, which is kept.
        assert np.abs(after[number].astype(int) - bars(2 * number)).mean() < 5
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))


def test_colours_of_interlaced_videos_stay(tmp_path: Path) -> None:
    source = interlaced(tmp_path / "a.mp4", colorspace="bt709", color_range="tv")
    with Source(describe(source)) as opened:
        assert opened.colours[2] == 1
        frame = [*opened.frames()][2]
        assert int(frame.colorspace) == 1
        found = opened.pixels_of(frame)[:, 100:] * 255
    plain = film_of(tmp_path / "c.mp4", [bars(0)] * 2, colorspace="bt709", color_range="tv")
    with Source(describe(plain)) as opened:
        wanted = opened.pixels_of(next(opened.frames()))[:, 100:] * 255
    assert np.abs(found - wanted).mean() < 2


def test_progressive_frames_pass_at_once_and_untouched(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")
    assert restore_video(source, tmp_path / "b.mp4", unchanged).notes == ()
    whole = Deinterlacer()
    with av.open(str(source)) as container:
        for frame in container.decode(video=0):
            assert [*whole.take(frame)] == [frame]
    assert [*whole.finish()] == []


def test_times_of_fields_become_those_of_frames(tmp_path: Path) -> None:
    whole = Deinterlacer()
    with av.open(str(interlaced(tmp_path / "a.mkv"))) as container:
        given = [*container.decode(video=0)]
        wanted = [(frame.pts, frame.time_base) for frame in given]
        made = [each for frame in given for each in whole.take(frame)] + [*whole.finish()]
    assert [(frame.pts, frame.time_base) for frame in made] == wanted
    assert {frame.time_base for frame in made} == {Fraction(1, 1000)}


def test_the_range_of_levels_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "full.mkv"
    grey = np.full((48, 64, 3), 250, np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.color_range = ColorRange.JPEG
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(grey, "rgb24")
            frame = frame.reformat(format="yuv420p", src_color_range=2, dst_color_range=2)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    done = restore_video(path, tmp_path / "out.mp4", unchanged)
    assert done.notes == ()
    with av.open(str(tmp_path / "out.mp4")) as container:
        first = next(container.decode(video=0))
    assert first.color_range == ColorRange.JPEG
    assert first.to_ndarray()[:48].mean() == pytest.approx(250, abs=1)
