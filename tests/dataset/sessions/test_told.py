"""An import keeps what a picture or recording is, or says in one line what frames do not keep."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from dataset.pictures.formats import is_video
from dataset.pictures.images import read_image
from dataset.pictures.left_out import left_out
from dataset.sessions.imports import import_files
from tests.helpers.made_hdr import profile
from tests.helpers.made_pictures import SRGB, saved, scene, tiff
from tests.helpers.made_videos import EVEN, film

DEEP = cv2.imencode(".png", scene(3, np.uint16)[..., ::-1])[1].tobytes()
KINDS = {  # what is told of each
    "deep.png": (DEEP, "16 bits a channel became 8"),
    "deep.tif": (tiff(scene(3, np.uint16), photometric="rgb"), "16 bits a channel became 8"),
    "clear.png": (saved(scene(4), "PNG"), "transparency left out"),
    "clear.webp": (saved(scene(4), "WEBP", lossless=True), "transparency left out"),
    "key.png": (saved(scene(), "PNG", transparency=(1, 2, 3)), "transparency left out"),
    "ink.jpg": (saved(Image.fromarray(scene()).convert("CMYK"), "JPEG"), "CMYK converted to sRGB"),
    "wide.png": (
        saved(scene(), "PNG", icc_profile=profile(name="Display P3")),
        "a colour profile left out, its numbers taken as sRGB",
    ),
    "srgb.png": (saved(scene(), "PNG", icc_profile=SRGB), ""),
    "plain.png": (saved(scene(), "PNG"), ""),
    "grey.png": (saved(scene(1), "PNG"), ""),
    "palette.png": (saved(Image.fromarray(scene()).quantize(200), "PNG"), ""),
    "plain.jpg": (saved(scene(), "JPEG"), ""),
    "plain.bmp": (saved(scene(), "BMP"), ""),
}


@pytest.mark.parametrize(
    ("name", "data", "told"), [(n, *kind) for n, kind in KINDS.items()], ids=KINDS
)
def test_what_frames_do_not_keep_of_a_picture_is_told(
    tmp_path: Path, name: str, data: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(data)
    summary = import_files([tmp_path / name], tmp_path / "captures", session="s")
    assert summary.notes == ((f"1 of 1 pictures: {told}",) if told else ())
    frame = cv2.imread(str(tmp_path / "captures/s/frames/000000.png"), cv2.IMREAD_UNCHANGED)
    assert (frame.shape, frame.dtype) == ((24, 36, 3), np.uint8)


def test_pictures_are_counted_together(tmp_path: Path) -> None:
    for name, (data, _) in KINDS.items():
        (tmp_path / name).write_bytes(data)
    summary = import_files([tmp_path], tmp_path / "captures", session="s")
    assert "2 of 13 pictures: 16 bits a channel became 8" in summary.notes
    assert "3 of 13 pictures: transparency left out" in summary.notes
    facts = (tmp_path / "captures/s/session.json").read_text()
    assert "3 of 13 pictures: transparency left out" in facts


def test_several_pictures_in_a_file_are_refused_as_by_restore(tmp_path: Path) -> None:
    pages = [Image.fromarray(scene()), Image.fromarray(255 - scene())]
    for name, kind in (("a.png", "PNG"), ("b.webp", "WEBP"), ("c.tif", "TIFF")):
        (tmp_path / name).write_bytes(saved(pages[0], kind, save_all=True, append_images=pages[1:]))
    (tmp_path / "d.png").write_bytes(saved(scene(), "PNG"))
    summary = import_files([tmp_path], tmp_path / "captures", session="s")
    assert summary.sessions[0].frames == 1
    told = ["2 frames of an animation", "2 frames of an animation", "2 pages"]
    assert all(f"holds {what}" in each for what, each in zip(told, summary.skipped, strict=True))


def test_ten_bits_and_fields_of_a_recording_are_told(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", pixels="yuv420p10le")
    assert import_files([path], tmp_path / "c", session="a").notes == (
        f"{path}: 10 bits a channel became 8",
    )


def test_an_interlaced_recording_gives_whole_frames(tmp_path: Path) -> None:
    """A block jumps between the two fields of a frame: frames of both would show combs."""
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"x264-params": "tff=1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(10):
            picture = np.zeros((64, 96, 3), np.uint8)
            picture[0::2, 8 * number : 8 * number + 8] = 255
            picture[1::2, 8 * number + 4 : 8 * number + 12] = 255
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    summary = import_files([path], tmp_path / "c", session="s", fps=10)
    assert summary.sessions[0].frames == 10
    assert summary.notes == (f"{path}: interlaced; deinterlaced to one frame for two fields",)
    for frame in sorted((tmp_path / "c/s/frames").iterdir())[2:8]:
        luma = read_image(frame)[8:-8].mean(axis=2)
        combs = np.abs(luma[1:-1] - (luma[:-2] + luma[2:]) / 2).max()
        assert combs < 100


def test_a_plain_recording_is_told_nothing_of(tmp_path: Path) -> None:
    assert import_files([film(tmp_path / "a.mkv")], tmp_path / "c", session="a").notes == ()


def test_what_a_folder_holds_beside_is_counted_by_format(tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    for name in ("a.png", "b.jfif", "c.JPE"):
        (shots / name).write_bytes(saved(scene(), "PNG" if name == "a.png" else "JPEG"))
    for name in ("d.gif", "e.gif", "misnamed.dat"):
        (shots / name).write_bytes(saved(scene(), "GIF"))
    for name in ("f.tga", "g.txt", ".hidden"):
        (shots / name).write_bytes(b"x")
    told = "left out: 3 GIF, 1 TGA, 1 .txt"
    summary = import_files([shots], tmp_path / "captures", session="s")
    assert summary.sessions[0].frames == 3
    assert summary.notes == (f"{told}. Convert pictures to PNG, videos to MP4.",)
    done = CliRunner().invoke(
        main, ["restore", str(shots), "--method", "cielab", "-o", str(tmp_path / "out")]
    )
    assert sorted(e.name for e in (tmp_path / "out").iterdir()) == [
        "a_restored.png",
        "b_restored.jfif",
        "c_restored.JPE",
    ]
    assert f"L{told[1:]}." in done.output
    assert left_out([]) == ""


def test_a_folder_of_nothing_else_says_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(saved(scene(), "GIF"))
    for command in (["import", "--out", str(tmp_path / "c")], ["restore", "--method", "cielab"]):
        done = CliRunner().invoke(main, [*command, str(tmp_path)])
        assert done.exit_code == 2
        assert "1 GIF" in done.output


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv", ".ts", ".m4v", ".mov"])
def test_a_video_is_known_by_its_first_bytes(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"a{suffix}", EVEN[:6], codec="libx264")
    bare = path.rename(tmp_path / "recording")
    assert is_video(bare)
    assert import_files([bare], tmp_path / "c", session="s").sessions[0].frames >= 1
    (tmp_path / "b.mp4").write_bytes(saved(scene(), "PNG"))
    assert not is_video(tmp_path / "b.mp4")


@pytest.mark.parametrize("suffix", [".m4v", ".ts", ".m2ts", ".mts"])
def test_restore_and_import_take_the_same_videos(tmp_path: Path, suffix: str) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    made = film(tmp_path / ("a.ts" if "ts" in suffix else "a.mp4"), EVEN[:6], codec="libx264")
    made.rename(shots / f"a{suffix}")
    assert import_files([shots], tmp_path / "c", fps=100).sessions[0].frames == 6
    done = CliRunner().invoke(
        main, ["restore", str(shots), "--method", "cielab", "-o", str(tmp_path / "out")]
    )
    assert "6 frames" in done.output
    assert [each.suffix for each in (tmp_path / "out").iterdir()] == [".mp4"]
