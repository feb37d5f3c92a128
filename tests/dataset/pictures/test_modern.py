"""AVIF, HEIF and JPEG XL that are SDR: every value, depth, colour, turn and kind of metadata."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from dataset.errors import UserError
from dataset.pictures import extra_decoding, hdr_limits
from dataset.pictures.accepted import check_picture, frame_losses
from dataset.pictures.boxes import boxes_of, read_stated
from dataset.pictures.colour_profile import matrix_of
from dataset.pictures.dynamic_range import HighDynamicRange, has_gain_map, hdr_curve, profile_of
from dataset.pictures.encoding import encode_picture
from dataset.pictures.exif import PREFIX, turn
from dataset.pictures.hdr import is_hdr
from dataset.pictures.headers import read_header
from dataset.pictures.images import decode
from dataset.pictures.light import BT2020, PQ, PRIMARIES, to_rec709
from dataset.pictures.limits import TooLarge
from dataset.pictures.picture import decode_picture, read_size
from dataset.pictures.profile_making import make_profile
from dataset.pictures.taken import taken_ns
from tests.helpers import made_light, made_modern
from tests.helpers.made_modern import (
    MAKERS,
    P3,
    levels,
    turned_by,
    with_boxes,
    with_properties,
)
from tests.helpers.made_pictures import SRGB, XMP, exif, facts, saved, whole

codecs = pytest.importorskip("imagecodecs", reason="the extra hdr is not installed")
pytest.importorskip("pillow_heif", reason="the extra hdr is not installed")
P3_PROFILE = make_profile(PRIMARIES[P3], None, grey=False)
KINDS = [
    (name, channels, bits)
    for name in MAKERS
    for channels in (1, 2, 3, 4)
    for bits in (8, 10, 12, 16)
    if (name == "JPEG XL" or bits < 16) and (name, channels) != ("HEIC", 2)
]


@pytest.mark.parametrize(("name", "channels", "bits"), KINDS)
def test_every_value_is_read_as_it_was_written(name: str, channels: int, bits: int) -> None:
    samples = levels(channels, bits)
    data = MAKERS[name](samples, bits)
    found = decode_picture(data, "a")
    most = 255 if bits == 8 else 65535
    wanted = np.rint(samples * (most / ((1 << bits) - 1))).astype(np.uint16)
    colours = 1 if channels < 3 else 3
    assert (found.depth, found.grey) == (8 if bits == 8 else 16, channels < 3)
    assert (np.rint(found.pixels * most) == wanted[..., :colours]).all()
    assert (found.alpha is None) == (channels in (1, 3))
    assert found.alpha is None or (found.alpha == wanted[..., -1]).all()
    assert (found.format, found.notes) == ("PNG", ())
    header = read_header(data)
    assert header is not None
    assert (header.format, header.depth, header.grey) == (name, bits, channels < 3)
    assert header.alpha == (channels in (2, 4))


@pytest.mark.parametrize("name", MAKERS)
def test_frames_are_read_too(name: str) -> None:
    assert (decode(MAKERS[name](levels()), "a") == levels()).all()
    deep = decode(MAKERS[name](levels(bits=10), 10), "a")
    assert np.abs(deep - levels(bits=10) * (255 / 1023)).max() <= 0.51
    clear = MAKERS[name](levels(4, 10), 10)
    said = frame_losses(clear, check_picture(clear, "a"))
    assert said[:2] == ("10 bits a channel became 8", "transparency left out")


def test_a_profile_is_kept_and_the_numbers_stay() -> None:
    for data in (
        made_modern.heif(levels(), icc_profile=P3_PROFILE),
        saved(Image.fromarray(np.full((24, 36, 3), 200, np.uint8)), "AVIF", icc_profile=P3_PROFILE),
    ):
        found = decode_picture(data, "a")
        assert found.icc == P3_PROFILE
        assert frame_losses(data, read_header(data)) == (
            "a colour profile left out, its numbers taken as sRGB",
        )
    data = made_modern.heif(levels(), icc_profile=P3_PROFILE)
    written = Image.open(io.BytesIO(encode_picture(decode_picture(data, "a"), ".png")))
    assert written.info["icc_profile"] == P3_PROFILE
    assert (np.asarray(written) == levels()).all()
    assert frame_losses(made_modern.heif(levels(), icc_profile=SRGB), read_header(data)) == ()


@pytest.mark.parametrize("name", MAKERS)
def test_colours_that_are_stated_by_numbers_become_a_profile(name: str) -> None:
    data = MAKERS[name](levels(), 8, primaries=P3)
    found = decode_picture(data, "a")
    assert found.icc is not None
    assert np.abs(matrix_of(found.icc) - to_rec709(PRIMARIES[P3])).max() < 1e-3
    assert (whole(found.pixels) == levels()).all()
    assert len(frame_losses(data, read_header(data))) == 1
    assert decode_picture(MAKERS[name](levels()), "a").icc is None  # sRGB


def test_made_profiles_mean_what_other_programs_make_of_them() -> None:
    given = Image.new("RGB", (1, 1), (100, 200, 50))
    opened = ImageCms.ImageCmsProfile(io.BytesIO(P3_PROFILE))
    found: Any = ImageCms.profileToProfile(given, opened, ImageCms.createProfile("sRGB"))
    assert found.getpixel((0, 0)) == (45, 203, 0)
    assert ImageCms.getProfileDescription(opened).strip() == "Display P3"
    grey = make_profile(PRIMARIES[1], 1.0, grey=True)
    linear = ImageCms.profileToProfile(
        Image.new("L", (1, 1), 55), ImageCms.ImageCmsProfile(io.BytesIO(grey)),
        ImageCms.createProfile("sRGB"), outputMode="RGB",
    )  # fmt: skip
    assert linear is not None
    assert abs(linear.getpixel((0, 0))[0] - 128) <= 1  # type: ignore[index,operator]


def test_linear_integers_of_jpeg_xl_say_so_and_are_hdr_beyond_white() -> None:
    from tests.helpers import made_jpegxl

    found = decode_picture(made_jpegxl.jpeg_xl(levels(bits=16), made_light.LINEAR), "a")
    assert found.icc == make_profile(PRIMARIES[1], 1.0, grey=False)
    bright = made_jpegxl.jpeg_xl(levels(bits=16), made_light.LINEAR, nits=1000.0)
    with pytest.raises(HighDynamicRange):
        decode_picture(bright, "a")


@pytest.mark.parametrize(
    ("turns", "mirror", "orientation"),
    [(1, None, 8), (2, None, 3), (3, None, 6), (None, 0, 4), (None, 1, 2), (1, 0, 5), (3, 0, 7)],
)
def test_pictures_are_upright(turns: int | None, mirror: int | None, orientation: int) -> None:
    from tests.helpers import made_jpegxl

    upright = turn(levels(), orientation)
    made = (
        with_properties(made_modern.avif(levels()), turned_by(turns, mirror)),
        made_jpegxl.jpeg_xl(levels(), made_modern.SRGB_CURVE, orientation=orientation),
        made_modern.heif(levels(), exif=exif(orientation)),  # its writer makes boxes of that
    )
    for data in made:
        found = decode_picture(data, "a")
        assert (whole(found.pixels) == upright).all()
        assert found.size == upright.shape[1::-1]
        assert (decode(data, "a") == upright).all()


def test_what_exif_says_of_turning_does_not_count() -> None:
    data = saved(Image.fromarray(levels()), "AVIF", exif=exif(6))
    at = data.index(b"irot") + 4
    still = data[:at] + b"\0" + data[at + 1 :]
    found = decode_picture(still, "a")
    assert found.size == (36, 24)
    assert facts(found.exif)[271] == "Maker"
    heif = bytearray(made_modern.heif(levels(), exif=exif(6)))
    heif[heif.index(b"irot") + 4] = 0
    assert (whole(decode_picture(bytes(heif), "a").pixels) == levels()).all()


def test_metadata_are_kept_and_say_that_the_picture_is_upright() -> None:
    packed = b"xml " + bytes(codecs.brotli_encode(XMP))
    jpeg = saved(levels(), "JPEG", exif=PREFIX + exif(1))
    made = (
        made_modern.heif(levels(), exif=exif(6), xmp=XMP),
        saved(Image.fromarray(levels()), "AVIF", exif=exif(6), xmp=XMP),
        with_boxes(made_modern.jpeg_xl(levels()), (b"Exif", bytes(4) + exif(6)), (b"brob", packed)),
    )
    for data in made:
        found = decode_picture(data, "a")
        written = Image.open(io.BytesIO(encode_picture(found, ".png")))
        assert written.getexif()[271] == "Maker"
        assert written.getexif()[274] == 1
        assert found.xmp == XMP.replace(b'"6"', b'"1"')
        assert taken_ns(data, "a") == taken_ns(jpeg, "a")
    assert taken_ns(jpeg, "a") is not None


def test_what_brotli_cannot_unpack_is_left_out() -> None:
    bomb = b"xml " + bytes(codecs.brotli_encode(bytes(1 << 26)))
    for packed in (bomb, b"xml \xff\xff\xff"):
        data = with_boxes(made_modern.jpeg_xl(levels()), (b"brob", packed))
        assert decode_picture(data, "a").xmp is None


def test_of_many_packed_boxes_one_of_a_kind_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[bytes] = []

    def unpack(packed: bytes, path: Path) -> bytes:
        unpacked.append(packed)
        return packed

    monkeypatch.setattr(extra_decoding, "_unpacked", unpack)
    boxes = [(b"brob", b"xml " + str(number).encode()) for number in range(100)]
    assert decode_picture(with_boxes(made_modern.jpeg_xl(levels()), *boxes), "a").xmp == b"0"
    assert unpacked == [b"0"]


def test_a_gain_map_is_left_out_and_told() -> None:
    plain = made_modern.avif(levels())
    content = bytes(4) + b"urn:com:apple:photo:2020:aux:hdrgainmap\0"
    map_of = struct.pack(">I4s", 8 + len(content), b"auxC") + content
    bright = b"nclx" + struct.pack(">HHHB", BT2020, PQ, 9, 0x80)  # of the map's HDR picture
    colour = struct.pack(">I4s", 8 + len(bright), b"colr") + bright
    made = (
        with_properties(plain, [map_of, colour], used=False),
        with_boxes(made_modern.jpeg_xl(levels()), (b"jhgm", bytes(9))),
    )
    for data in made:
        assert has_gain_map(data)
        assert not is_hdr(data)
        found = decode_picture(data, "a")
        assert (whole(found.pixels) == levels()).all()
        assert "its gain map, which makes it HDR, left out" in found.notes[0]
        assert frame_losses(data, read_header(data)) == (
            "a gain map (HDR) left out, the SDR picture taken",
        )
    assert not has_gain_map(plain)


def test_a_jpeg_in_a_jpeg_xl_is_read_as_that_jpeg() -> None:
    about = {"exif": PREFIX + exif(6), "icc_profile": P3_PROFILE}
    jpeg = saved(Image.fromarray(levels()), "JPEG", **about)
    data = bytes(codecs.jpegxl_encode_jpeg(jpeg, usecontainer=True))
    wanted, found = decode_picture(jpeg, "a"), decode_picture(data, "a")
    assert (found.pixels == wanted.pixels).all()
    assert (found.icc, found.exif, found.format) == (P3_PROFILE, wanted.exif, "PNG")
    assert (decode(data, "a") == decode(jpeg, "a")).all()


def test_a_profile_in_a_jpeg_xl_is_named() -> None:
    jpeg = saved(Image.fromarray(levels()), "JPEG", icc_profile=P3_PROFILE)
    data = bytes(codecs.jpegxl_encode_jpeg(jpeg, usecontainer=True))
    with pytest.raises(UserError, match="an ICC profile, which is not read in JPEG XL"):
        decode_picture(data.replace(b"jbrd", b"free"), "a.jxl")


def test_a_jpeg_of_pq_in_a_jpeg_xl_is_never_taken_as_sdr() -> None:
    name = "Display P3".encode("utf-16-be")
    of_pq = P3_PROFILE.replace(name, "PQ display".encode("utf-16-be"))
    jpeg = saved(Image.fromarray(levels()), "JPEG", icc_profile=of_pq)
    data = bytes(codecs.jpegxl_encode_jpeg(jpeg, usecontainer=True))
    for read in (decode_picture, decode):
        with pytest.raises(HighDynamicRange):
            read(data, "a.jxl")


def test_deep_samples_that_may_be_hdr_are_not_taken_as_sdr() -> None:
    data = made_modern.avif(levels(bits=10), 10).replace(b"colrnclx", b"freenclx")
    with pytest.raises(UserError, match="does not say what its levels mean"):
        decode_picture(data, "a.avif")
    shallow = made_modern.avif(levels()).replace(b"colrnclx", b"freenclx")
    assert (whole(decode_picture(shallow, "a").pixels) == levels()).all()


def test_floats_within_white_are_read_and_beyond_it_refused() -> None:
    from tests.helpers import made_jpegxl

    light = (levels(bits=16) / 65535).astype(np.float32)
    found = decode_picture(made_jpegxl.jpeg_xl(light, made_modern.SRGB_CURVE), "a")
    assert (whole(found.pixels, np.uint16) == levels(bits=16)).all()
    with pytest.raises(UserError, match="go beyond white"):
        decode_picture(made_jpegxl.jpeg_xl(light * 2, made_modern.SRGB_CURVE), "a")


@pytest.mark.parametrize("curve", [16, 18])
@pytest.mark.parametrize("name", MAKERS)
def test_pq_and_hlg_are_never_taken_as_sdr(name: str, curve: int) -> None:
    data = MAKERS[name](levels(bits=10), 10, curve)
    assert hdr_curve(data) in ("PQ", "HLG")
    for read in (decode_picture, decode, read_size):
        with pytest.raises(HighDynamicRange):
            read(data, "a")


def test_animations_are_refused_by_name() -> None:
    frames = np.stack([levels(), levels()[::-1]])
    made = {
        "2 frames of an animation": bytes(codecs.avif_encode(frames)),
        "several frames of an animation": bytes(codecs.jpegxl_encode(frames)),
    }
    for words, data in made.items():
        for read in (decode_picture, decode):
            with pytest.raises(UserError, match=f"holds {words}"):
                read(data, "a")


def test_av1_in_the_boxes_of_heif_is_read() -> None:
    data = made_modern.avif(levels()).replace(b"ftypavif", b"ftypmif1", 1)
    assert (whole(decode_picture(data, "a.heif").pixels) == levels()).all()


def test_the_depth_of_a_grid_is_that_of_its_parts() -> None:
    data = bytearray(made_modern.avif(levels(bits=10), 10))
    assert read_stated(bytes(data)).depth == 10
    kinds = [kind for kind, _, _ in boxes_of(bytes(data), data.index(b"ipco") + 4)]
    at = data.index(b"ipma") + 4 + 11  # the properties of the only item
    place = data.index(bytes([0x80 | kinds.index(b"av1C") + 1]), at)
    data[place] = kinds.index(b"ispe") + 1  # it has no configuration of its own
    assert read_stated(bytes(data)).depth == 10


def _bomb(name: str) -> bytes:
    """Says 60,000 pixels a side."""
    if name == "JPEG XL":
        data = bytearray(made_modern.jpeg_xl(levels()))
        sides = struct.pack("<Q", 0b110 | 59_999 << 3 | 0 << 33 | 0b11 << 36 | 59_999 << 38)
        return bytes(data[:2]) + sides + bytes(1) + bytes(data[2:])
    data = bytearray(MAKERS[name](levels()))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 60_000, 60_000)
    return bytes(data)


@pytest.mark.parametrize("name", MAKERS)
def test_a_size_that_is_too_large_is_refused_before_decoding(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for read in (decode_picture, decode, read_size, check_picture):
        with pytest.raises(TooLarge, match="60000x60000 pixels, over 400 million"):
            read(_bomb(name), "a")
    monkeypatch.setattr(hdr_limits, "free_memory", lambda: 10_000)
    with pytest.raises(UserError, match="free"):
        decode_picture(MAKERS[name](levels()), "a")


@pytest.mark.parametrize("name", MAKERS)
def test_a_file_that_is_cut_off_is_never_read(name: str) -> None:
    data = MAKERS[name](levels())
    for length in np.linspace(0, len(data) - 4, 40).astype(int):
        words = r"a\.bin is (empty|not a picture)|a\.bin cannot be decoded \([a-z ]+\)\."
        with pytest.raises(UserError, match=words):
            decode_picture(data[:length], "a.bin")


@pytest.mark.parametrize("name", MAKERS)
def test_damaged_files_are_named_or_read(name: str) -> None:
    rng, read, named = np.random.default_rng(3), 0, 0
    data = MAKERS[name](levels())
    for _ in range(150):
        hurt = bytearray(data)
        hurt[rng.integers(12, len(hurt))] ^= 1 << int(rng.integers(8))
        try:
            read += decode_picture(bytes(hurt), "a.bin").pixels.ndim == 3
        except UserError as error:
            named += "a.bin" in str(error)
    assert read + named == 150


@pytest.mark.parametrize(
    ("name", "package"),
    [("AVIF", "imagecodecs"), ("HEIC", "pillow-heif"), ("JPEG XL", "imagecodecs")],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, tmp_path: Path
) -> None:
    data = MAKERS[name](levels())

    def missing(asked: str) -> Any:
        raise ImportError(asked)

    monkeypatch.setattr(hdr_limits, "import_module", missing)
    for read in (decode_picture, decode):
        with pytest.raises(
            UserError, match=rf"takes the package {package} to read\. .*unclip\[hdr"
        ):
            read(data, "a.bin")
    assert profile_of(data) == b""
