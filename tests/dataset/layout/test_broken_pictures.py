"""Several broken pictures of a data set are all named, and no library speaks beside us."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dataset.errors import BrokenPictures, UserError, first_of, several
from dataset.labelling.labels import label_captures
from dataset.layout.pairs import Pair, read_pairs
from dataset.options import LabelOptions, SplitOptions
from dataset.pictures.images import decode, read_image
from dataset.pictures.picture import decode_picture
from dataset.pictures.video_decoding import describe
from dataset.sessions.imports import import_files
from dataset.splitting.split import split_captures
from model.evaluation.paired import evaluate_pairs, unchanged
from model.evaluation.unpaired import evaluate_unpaired
from model.options import TrainOptions
from model.training.sources import open_sources, told_left_out
from tests.helpers.made_hdr import hdr_png, png_with
from tests.helpers.made_pictures import saved, scene, tiff
from tests.helpers.made_videos import film

NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def spoiled(data: bytes, at: float = 0.5) -> bytes:
    place = int(len(data) * at)
    return data[:place] + bytes(40) + data[place + 40 :]


LOUD = {  # what OpenCV, libpng, libjpeg and libtiff complain of on the terminal
    "png, checksum": spoiled(saved(NOISE, "PNG")),
    "png, cut": saved(NOISE, "PNG")[:5000],
    "png, profile": png_with(b"iCCP", b"x\0\0" + zlib.compress(b"none" * 50)),
    "png, gamma": png_with(b"gAMA", b"\0\0"),
    "jpeg": spoiled(saved(NOISE, "JPEG")),
    "jpeg, cut": saved(NOISE, "JPEG")[:2000],
    "webp": spoiled(saved(NOISE, "WEBP", lossless=True)),
    "bmp, cut": saved(NOISE, "BMP")[:3000],
    "tiff, cut": tiff(NOISE, photometric="rgb")[:4000],
    "tiff, LZW": spoiled(saved(NOISE, "TIFF", compression="tiff_lzw")),
    "tiff, deflate": spoiled(saved(NOISE, "TIFF", compression="tiff_adobe_deflate")),
    "tiff, 16 bits": spoiled(tiff(NOISE.astype(np.uint16) * 257, photometric="rgb"), 0.02),
    "hdr": hdr_png(),
}


@pytest.mark.parametrize("data", LOUD.values(), ids=LOUD)
def test_no_library_writes_to_the_terminal(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    for reader in (decode, decode_picture):
        with suppress(UserError):
            reader(data, "a")
    assert capfd.readouterr() == ("", "")


def test_a_damaged_video_is_told_of_by_us_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = film(tmp_path / "a.mkv")
    path.write_bytes(spoiled(path.read_bytes(), 0.3))
    import_files([path], tmp_path / "c")
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(200))
    with pytest.raises(UserError):
        describe(tmp_path / "b.mp4")
    assert capfd.readouterr() == ("", "")


def test_faults_are_counted_and_the_first_few_are_told() -> None:
    faults = [f"{name}." for name in "abcde"]
    assert first_of(faults) == "a. b. c. And 2 more."
    assert several("5 are bad", faults[:1]) == "a."
    error = BrokenPictures(faults, 9)
    assert str(error).startswith("5 of 9 pictures cannot be used. a. b. c. d. e. Leave them out")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set made by hand: in each folder three good frames and three that are not."""
    for folder in ("trainA", "trainB", "testA", "testB"):
        place = tmp_path / "data" / folder
        place.mkdir(parents=True)
        for number in range(3):
            Image.fromarray(NOISE + np.uint8(number)).save(place / f"good{number}.png")
        (place / "cut.jpg").write_bytes(LOUD["jpeg, cut"])
        (place / "hdr.png").write_bytes(hdr_png())
        (place / "spoiled.png").write_bytes(LOUD["png, checksum"])
        (place / "x.gif").write_bytes(saved(scene(), "GIF"))
    return tmp_path / "data"


def test_train_names_all_of_both_folders(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = TrainOptions(data=data, size=32, load_size=32)
    with pytest.raises(BrokenPictures) as caught:
        open_sources(options)
    assert str(caught.value).startswith("6 of 12 pictures cannot be used. ")
    assert "And 1 more." in str(caught.value)
    for folder in ("trainA", "trainB"):
        for name in ("cut.jpg", "hdr.png", "spoiled.png"):
            assert any(str(data / folder / name) in each for each in caught.value.faults)
    assert capfd.readouterr() == ("", "")
    assert [each.split(". Readable")[0] for each in told_left_out(options)] == [
        f"{data / folder}: left out 1 GIF" for folder in ("trainA", "trainB")
    ]


def test_train_names_those_of_one_folder_among_all(data: Path) -> None:
    for name in ("cut.jpg", "hdr.png", "spoiled.png"):
        (data / "trainA" / name).unlink()
    with pytest.raises(BrokenPictures, match="3 of 9 pictures") as caught:
        open_sources(TrainOptions(data=data, size=32, load_size=32))
    assert len(caught.value.faults) == 3


def test_evaluate_names_what_it_sets_aside(data: Path) -> None:
    y, x = (sorted((data / each).glob("*.[pj]*g")) for each in ("testB", "testA"))
    found = evaluate_unpaired(y, x, {"none": unchanged})
    assert len(found.skipped) == 6
    pairs = [Pair(*each) for each in zip(y, x, strict=True)]
    both = evaluate_pairs(pairs, {"none": unchanged}).skipped
    assert len(both) == 3
    for told in both:  # of a pair, both pictures
        assert "testA" in told
        assert "testB" in told


def test_a_list_of_pairs_names_all_that_are_missing(tmp_path: Path) -> None:
    rows = "".join(f"y{at}.png,x{at}.png\n" for at in range(3))
    (tmp_path / "pairs.csv").write_text(f"over_exposed,reference\n{rows}")
    with pytest.raises(UserError, match=r"names .*y0\.png, .*x0\.png, .*y1\.png and 3 more"):
        read_pairs(tmp_path / "pairs.csv")


def test_label_and_split_name_frames_that_cannot_be_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    for number in range(40):
        frame = np.random.default_rng(number).integers(0, 200, (48, 64, 3), np.uint8)
        frame[:30] = 255 if number % 2 else frame[:30]
        cv2.imwrite(str(shots / f"{number}.png"), frame)
        os.utime(shots / f"{number}.png", (1e9 + 60 * number,) * 2)
    import_files([shots], tmp_path / "c", session="s")
    for number, data in enumerate((LOUD["png, checksum"], LOUD["png, cut"], hdr_png())):
        frame_path = tmp_path / f"c/s/frames/{number:06d}.png"
        frame_path.unlink()
        frame_path.write_bytes(data)
    labelled = label_captures(LabelOptions(source=tmp_path / "c"))
    names = [f"s/frames/{number:06d}.png" for number in range(3)]
    assert labelled.broken == names
    assert labelled.reasons == {"HDR": 1, "broken": 1, "truncated": 1}
    options = SplitOptions(source=tmp_path / "c", out=tmp_path / "d", fit=True)
    done = split_captures(options)
    assert done.broken == tuple(names)
    assert f"Missing or not readable: {', '.join(names)}" in str(done)
    assert capfd.readouterr() == ("", "")


def test_a_frame_is_as_before_whatever_stands_beside_its_pixels() -> None:
    assert np.array_equal(decode(LOUD["png, gamma"], "a"), scene())
    assert np.array_equal(decode(LOUD["png, profile"], "a"), scene())


def test_other_formats_give_what_opencv_gives(tmp_path: Path) -> None:
    for suffix in (".jpg", ".bmp", ".webp", ".tiff"):
        data = cv2.imencode(suffix, NOISE)[1]
        (tmp_path / f"a{suffix}").write_bytes(data.tobytes())
        expected = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        assert np.array_equal(read_image(tmp_path / f"a{suffix}"), expected)
