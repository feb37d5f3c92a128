"""Real files of every kind in, and all of what they hold out again."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from helpers.made_pictures import NOTE, SRGB, XMP, exif, facts, read, saved, scene, tiff, whole
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from PIL import Image

from dataset.pictures import png
from dataset.pictures.encoding import encode_picture, losses, write_picture
from dataset.pictures.exif import PREFIX, orientation_of
from dataset.pictures.metadata import Metadata
from dataset.pictures.picture import Picture, read_picture

KINDS = some.sampled_from([np.uint8, np.uint16])


@settings(max_examples=60)
@given(some.data(), some.sampled_from([".png", ".tiff"]), KINDS, some.integers(1, 4))
def test_lossless_files_keep_every_bit(
    tmp_path_factory: pytest.TempPathFactory, data: Any, suffix: str, kind: Any, channels: int
) -> None:
    if suffix == ".tiff" and kind is np.uint16 and channels == 2:
        return  # Pillow has no such TIFF
    shape = (*data.draw(some.tuples(some.integers(1, 20), some.integers(1, 20))), channels)
    samples = data.draw(arrays(kind, shape))
    colour = samples[..., : 1 if channels < 3 else 3].repeat(1 if channels > 2 else 3, axis=2)
    before = Picture(
        (colour / np.float32(np.iinfo(kind).max)).astype(np.float32),
        samples[..., -1] if channels in (2, 4) else None,
        depth=8 * samples.itemsize,
        grey=channels < 3,
        format="PNG" if suffix == ".png" else "TIFF",
        icc=SRGB,
        exif=exif(),
        xmp=XMP,
        dpi=(300.0, 150.0),
    )
    after = read(encode_picture(before, suffix), tmp_path_factory.mktemp("bits"))
    assert np.array_equal(whole(after.pixels, kind), colour)
    assert (after.alpha is None) == (before.alpha is None)
    if before.alpha is not None:
        assert after.alpha is not None
        assert after.alpha.dtype == kind
        assert np.array_equal(after.alpha, before.alpha)
    for name in ("depth", "grey", "format", "icc", "xmp"):
        assert getattr(after, name) == getattr(before, name)
    assert after.dpi == pytest.approx(before.dpi, abs=0.02)  # PNG counts whole dots a metre
    assert facts(after.exif) == facts(before.exif)
    assert encode_picture(after, suffix) == encode_picture(
        read(encode_picture(after, suffix), tmp_path_factory.mktemp("again")), suffix
    )


MODES = [
    *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    *(("TIFF", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")),
    *(("BMP", mode) for mode in ("1", "L", "P", "RGB")),
    *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
]


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_every_mode_reads_as_it_looks(tmp_path: Path, name: str, mode: str) -> None:
    image = Image.fromarray(scene(4)).convert("RGB" if mode == "P" else "RGBA")
    image = image.convert("RGB").convert(mode) if mode == "CMYK" else image.convert(mode)
    data = saved(image, name)
    shown = Image.open(io.BytesIO(data))
    picture = read(data, tmp_path)
    assert np.array_equal(whole(picture.pixels), np.asarray(shown.convert("RGB")))
    assert picture.grey == (mode in ("1", "L", "LA"))
    assert (picture.alpha is not None) == (mode in ("LA", "RGBA"))
    if picture.alpha is not None:
        assert np.array_equal(picture.alpha, np.asarray(shown.getchannel("A")))


def test_colours_that_stand_for_transparent_become_alpha(tmp_path: Path) -> None:
    palette = Image.fromarray(scene()).quantize(8)
    for image, clear in ((palette, 3), (Image.fromarray(scene(1)), 12), (palette, bytes(8))):
        data = saved(image, "PNG", transparency=clear)
        wanted = Image.open(io.BytesIO(data)).convert("RGBA").getchannel("A")
        alpha = read(data, tmp_path).alpha
        assert alpha is not None
        assert np.array_equal(alpha, np.asarray(wanted))
        assert (alpha == 0).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_of_16_bits_too(tmp_path: Path, channels: int) -> None:
    samples = scene(channels, np.uint16).reshape(24, 36, channels)
    clear = png.chunk(b"tRNS", samples[3, 4].astype(">u2").tobytes())
    picture = read(png.encode_samples(samples, extra=clear), tmp_path)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, (samples == samples[3, 4]).all(axis=2))
    assert np.array_equal(whole(picture.pixels, np.uint16)[..., :channels], samples)
    assert picture.grey == (channels == 1)


def test_a_palette_of_greys_is_grey(tmp_path: Path) -> None:
    assert read(saved(Image.fromarray(scene(1)).convert("P"), "PNG"), tmp_path).grey


def upside(orientation: int, upright: Any) -> Any:
    """The stored picture that this orientation turns upright, by Pillow's names of the turns."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = Image.fromarray(upright)
    return np.asarray(image.transpose(undo[orientation]) if orientation > 1 else image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_pictures_are_turned_upright_and_say_so(
    tmp_path: Path, name: str, orientation: int
) -> None:
    stored = upside(orientation, scene())
    block = exif(orientation) if name != "TIFF" else b""
    how = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(name, {})
    if name == "TIFF":
        data = tiff(stored, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    else:
        data = saved(stored, name, exif=PREFIX + block, **how)
    picture = read(data, tmp_path)
    assert np.abs(whole(picture.pixels).astype(int) - scene()).max() <= (name == "JPEG") * 4
    target = tmp_path / ("out" + {"WEBP": ".webp"}.get(name, f".{name.lower()}"))
    write_picture(target, picture)
    with Image.open(target) as shown:
        assert shown.getexif().get(274, 1) == 1
        assert shown.size == (36, 24)
    again = read_picture(target)
    assert np.abs(again.pixels - picture.pixels).max() <= (name == "JPEG") * 0.1
    if block:
        swapped = {40962: 24, 40963: 36} if orientation >= 5 else {}
        assert facts(again.exif) == facts(block) | swapped


@pytest.mark.parametrize("orientation", range(1, 9))
def test_16_bits_are_turned_too_and_dots_with_them(tmp_path: Path, orientation: int) -> None:
    samples = np.arange(2 * 3 * 3, dtype=np.uint16).reshape(2, 3, 3) * 3000
    turned = upside(orientation, np.arange(6, dtype=np.uint8).reshape(2, 3))
    stored = samples.reshape(6, 3)[turned]
    about = Metadata(exif=exif(orientation), xmp=XMP, dpi=(300, 150))
    extra = [(274, "H", 1, orientation, True), (700, "B", len(XMP), XMP, True)]
    files = (
        png.encode_samples(stored, about),
        tiff(stored, photometric="rgb", extratags=extra, resolution=(300, 150), resolutionunit=2),
    )
    for data in files:
        picture = read(data, tmp_path)
        assert np.array_equal(whole(picture.pixels, np.uint16), samples)
        wanted = (150, 300) if orientation >= 5 else (300, 150)
        assert picture.dpi == pytest.approx(wanted, abs=0.02)
        assert picture.xmp == (XMP if orientation == 1 else XMP.replace(b'"6"', b'"1"'))


def test_the_word_of_xmp_alone_turns_nothing(tmp_path: Path) -> None:
    in_png = png.encode_samples(scene(), Metadata(xmp=XMP))
    in_tiff = tiff(scene(), photometric="rgb", extratags=[(700, "B", len(XMP), XMP, True)])
    for data in (in_png, in_tiff):
        picture = read(data, tmp_path)
        assert picture.size == (36, 24)
        assert picture.xmp == XMP


def test_exif_says_upright_though_its_thumbnail_is_damaged(tmp_path: Path) -> None:
    block = bytearray(exif(6, saved(scene(height=8, width=8), "JPEG")))
    order = "<" if block[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "4xI", block)
    (count,) = struct.unpack_from(order + "H", block, first)
    struct.pack_into(order + "I", block, first + 2 + 12 * count, 2**31)  # beyond the end
    picture = read(saved(scene(), "JPEG", exif=PREFIX + bytes(block)), tmp_path)
    assert picture.size == (24, 36)
    assert orientation_of(picture.exif) == 1


def test_a_thumbnail_goes_and_the_makers_note_stays_where_it_was(tmp_path: Path) -> None:
    thumbnail = saved(scene(height=8, width=8), "JPEG")
    block = exif(6, thumbnail)
    picture = read(saved(scene(), "JPEG", exif=PREFIX + block), tmp_path)
    assert picture.exif is not None
    assert orientation_of(block) == 6
    assert orientation_of(picture.exif) == 1
    assert len(picture.exif) == len(block)
    assert picture.exif.index(NOTE) == block.index(NOTE)
    assert thumbnail[:20] not in picture.exif
    read_back = Image.Exif()
    read_back.load(picture.exif)
    assert read_back.get_ifd(0x1) == {}  # the directory of thumbnails


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_metadata_goes_from_each_format_to_each(tmp_path: Path, suffix: str) -> None:
    before = Picture(scene() / np.float32(255), icc=SRGB, exif=exif(), xmp=XMP, dpi=(300, 300))
    path = tmp_path / f"a{suffix}"
    assert write_picture(path, before) == ()
    for other in (".png", ".jpg", ".webp", ".tiff"):
        after = read(encode_picture(read_picture(path), other), tmp_path)
        assert (after.icc, after.xmp) == (SRGB, XMP)
        assert facts(after.exif) == facts(before.exif)
        assert after.dpi == (
            None if ".webp" in (suffix, other) else pytest.approx((300, 300), 1e-4)
        )


def test_chunks_that_say_what_numbers_mean_are_kept(tmp_path: Path) -> None:
    gamma = (b"gAMA", struct.pack(">I", 100_000))
    data = png.encode_samples(scene(), Metadata(png_colour=(gamma,)))
    picture = read(data, tmp_path)
    assert picture.png_colour == (gamma,)
    with Image.open(io.BytesIO(encode_picture(picture, ".png"))) as shown:
        shown.load()
        assert shown.info["gamma"] == 1.0


def test_numbers_beside_a_profile_are_not_touched(tmp_path: Path) -> None:
    other = SRGB.replace(b"sRGB", b"mine")
    picture = read(saved(scene(), "PNG", icc_profile=other), tmp_path)
    assert np.array_equal(whole(picture.pixels), scene())
    assert read(encode_picture(picture, ".png"), tmp_path).icc == other


def test_cmyk_becomes_rgb_and_says_so(tmp_path: Path) -> None:
    inks = Image.fromarray(scene()).convert("CMYK")
    picture = read(saved(inks, "TIFF", icc_profile=SRGB), tmp_path)  # no profile of inks
    assert picture.notes == ("CMYK converted to sRGB",)
    assert picture.icc is None
    assert np.array_equal(whole(picture.pixels), np.asarray(inks.convert("RGB")))
    assert losses(picture, ".tiff") == ()


def test_white_first_and_either_byte_order_read_alike(tmp_path: Path) -> None:
    samples = scene(1, np.uint16)
    files = (
        tiff(samples, photometric="minisblack"),
        tiff(samples, photometric="minisblack", byteorder=">"),
        tiff(65535 - samples, photometric="miniswhite", byteorder="<"),
    )
    for data in files:
        assert np.array_equal(whole(read(data, tmp_path).pixels, np.uint16)[..., 0], samples)


@pytest.mark.parametrize(
    "how", [{}, {"compression": "zlib"}, {"compression": 8, "predictor": True}]
)
def test_16_bit_tiff_of_others_reads(tmp_path: Path, how: dict[str, Any]) -> None:
    samples = scene(4, np.uint16)
    data = tiff(samples, photometric="rgb", extrasamples=["unassalpha"], bigtiff=not how, **how)
    picture = read(data, tmp_path)
    assert np.array_equal(whole(picture.pixels, np.uint16), samples[..., :3])
    assert np.array_equal(picture.alpha, samples[..., 3])


def test_a_reduced_copy_in_a_tiff_is_no_page(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(scene(), photometric="rgb", metadata=None)
        writer.write(scene()[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    assert read(file.getvalue(), tmp_path).size == (36, 24)


def test_jpeg_is_written_with_little_loss_and_whole_colour(tmp_path: Path) -> None:
    picture = Picture(scene() / np.float32(255))
    write_picture(tmp_path / "a.JPG", picture)
    with Image.open(tmp_path / "a.JPG") as shown:
        assert [component[1:3] for component in shown.layer] == [(1, 1)] * 3
        at_95 = Image.open(io.BytesIO(saved(scene(), "JPEG", quality=95)))
        assert shown.quantization == at_95.quantization


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".jpg"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_a_format_cannot_hold_is_rounded_or_left_out_and_told(
    tmp_path: Path, suffix: str, kind: Any
) -> None:
    samples = scene(4, kind)
    picture = replace(read(png.encode_samples(samples), tmp_path), icc=SRGB, exif=exif())
    notes = write_picture(tmp_path / f"a{suffix}", picture)
    assert any("rounded to 8 bits" in note for note in notes) == (kind is np.uint16)
    assert any("transparency" in note for note in notes) == (suffix == ".jpg")
    assert any("EXIF" in note for note in notes) == (suffix == ".bmp")
    after = read_picture(tmp_path / f"a{suffix}")
    if suffix != ".jpg":
        divisor = 257 if kind is np.uint16 else 1
        assert np.array_equal(whole(after.pixels), np.rint(samples[..., :3] / divisor))
        assert np.array_equal(after.alpha, np.rint(samples[..., 3] / divisor))


def test_alpha_of_8_bits_fits_colours_of_16(tmp_path: Path) -> None:
    alpha = scene(1)
    picture = Picture(scene() / np.float32(255), alpha, depth=16)
    after = read(encode_picture(picture, ".png"), tmp_path)
    assert np.array_equal(after.alpha, alpha.astype(np.uint16) * 257)


def test_a_restored_grey_picture_stays_grey(tmp_path: Path) -> None:
    picture = read(saved(scene(1), "JPEG"), tmp_path)
    tinted = replace(picture, pixels=picture.pixels * np.float32([1, 0.5, 0]))
    for suffix in (".jpg", ".png", ".tiff", ".bmp"):
        assert read(encode_picture(tinted, suffix), tmp_path).grey
    found = whole(read(encode_picture(tinted, ".png"), tmp_path).pixels)
    luma = 0.2126 + 0.7152 * 0.5  # of ITU-R BT.709
    assert np.abs(found[..., 0] - whole(picture.pixels)[..., 0] * luma).max() <= 0.51


def test_values_beyond_the_range_are_clipped(tmp_path: Path) -> None:
    pixels = np.array([[[-1, 0.5, 2]]], np.float32)
    for suffix in (".png", ".tiff"):
        after = read(encode_picture(Picture(pixels, depth=16), suffix), tmp_path)
        assert whole(after.pixels, np.uint16).tolist() == [[[0, 32768, 65535]]]


def test_the_name_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "really a png.jpg"
    path.write_bytes(png.encode_samples(scene(4, np.uint16)))
    picture = read_picture(path)
    assert (picture.format, picture.depth, picture.alpha is None) == ("PNG", 16, False)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_with_alpha_reads_the_same_elsewhere(kind: Any) -> None:
    samples = scene(2, kind)
    data = png.encode_samples(samples)
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # as BGR and alpha
    assert found.dtype == kind
    assert np.array_equal(found, samples[..., [0, 0, 0, 1]])
    with Image.open(io.BytesIO(data)) as shown:
        eight = samples if kind is np.uint8 else samples >> 8
        assert np.array_equal(np.asarray(shown.convert("LA")), eight)


def test_opencv_reads_the_same_as_others_do() -> None:
    samples = scene(4, np.uint16)
    found = cv2.imdecode(np.frombuffer(png.encode_samples(samples), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found[..., [2, 1, 0, 3]], samples)
    data = encode_picture(Picture(scene() / np.float32(255), depth=16), ".tiff")
    assert np.array_equal(tifffile.imread(io.BytesIO(data)), scene().astype(np.uint16) * 257)
