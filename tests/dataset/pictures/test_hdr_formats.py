"""Every format of HDR, written here of known light and read back; what is odd in each."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dataset.errors import UserError
from dataset.gate import MOST_PICTURE
from dataset.pictures import hdr_exr, hdr_limits, jpegxr
from dataset.pictures.boxes import read_stated
from dataset.pictures.dynamic_range import HighDynamicRange, hdr_curve
from dataset.pictures.exif import orientation_of, turn
from dataset.pictures.gain_map import read_gain_map
from dataset.pictures.hdr import decode_hdr, is_hdr, read_hdr
from dataset.pictures.light import (
    BT709,
    BT2020,
    P3,
    PRIMARIES,
    SCRGB_NITS,
    WHITE_NITS,
    in_rec709,
    to_rec709,
)
from dataset.pictures.picture import read_picture
from dataset.sessions.finding import is_shot
from tests.helpers import made_light
from tests.helpers.made_hdr import HDRGM, HLG, PQ, hdr_png, profile, scene
from tests.helpers.made_light import CASES, WHITE, Case, chart, largest_error
from tests.helpers.made_modern import turned_by, with_properties
from tests.helpers.made_pictures import SRGB, XMP, exif, facts, saved, tiff

ORIENTATIONS = range(1, 9)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_light_is_read_as_it_was_written(case: Case) -> None:
    assert largest_error(case) < case.error


@pytest.mark.parametrize("name", ["PNG, PQ, 16 bits", "JPEG XR, half floats", "OpenEXR, half"])
def test_a_file_is_read_and_no_sdr_reader_takes_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / "é 日.bin"
    path.write_bytes(CASES[name].write(chart()))
    assert is_hdr(path)
    assert read_hdr(path).kind == CASES[name].kind
    with pytest.raises(HighDynamicRange):
        read_picture(path)


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    assert not is_hdr(tmp_path / "none.jxr")
    with pytest.raises(UserError, match="Cannot read"):
        read_hdr(tmp_path / "none.jxr")
    with pytest.raises(UserError, match="is not a file"):
        read_hdr(tmp_path)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("imagecodecs", "AVIF, PQ, 10 bits"),
        ("imagecodecs", "JPEG XR, half floats"),
        ("imagecodecs", "JPEG XL, PQ, 16 bits"),
        ("imagecodecs", "TIFF, half floats"),
        ("OpenEXR", "OpenEXR, half"),
        ("pillow_heif", "HEIF, PQ, 10 bits"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, name: str
) -> None:
    data = CASES[name].write(chart())

    def missing(asked: str) -> Any:
        raise ImportError(asked)

    monkeypatch.setattr(hdr_limits, "import_module", missing)
    words = (
        rf"takes the package {package.replace('_', '-')} to read\. Install with: .*unclip\[hdr\]"
    )
    with pytest.raises(UserError, match=f"(?i){words}"):
        decode_hdr(data, "a.bin")


def test_grey_and_transparent_pictures() -> None:
    grey = made_light.levels(made_light.pq(chart()[..., :1]), 16)
    clear = np.concatenate([grey, np.full_like(grey, 30000)], axis=2)
    for samples in (grey, clear):
        plain = made_light.encode_samples(samples)
        data = plain[:33] + made_light.chunk(b"cICP", bytes([BT2020, PQ, 0, 1])) + plain[33:]
        found = decode_hdr(data, "a.png")
        assert np.allclose(found.light[..., 0] * WHITE, chart()[..., 0], rtol=1e-3, atol=0.01)
        assert np.allclose(found.light[..., 0], found.light[..., 2], rtol=1e-4, atol=1e-5)
    assert found.notes == ("its transparency left out",)


def test_narrow_range_is_widened() -> None:
    samples = np.full((8, 8, 3), 235, np.uint8)
    samples[:4] = 16
    plain = made_light.encode_samples(samples)
    data = plain[:33] + made_light.chunk(b"cICP", bytes([BT2020, PQ, 0, 0])) + plain[33:]
    found = decode_hdr(data, "a.png").light * WHITE_NITS
    assert np.allclose(found[:4], 0, atol=1e-3)
    assert np.allclose(found[4:], 1e4, rtol=1e-4)


@pytest.mark.parametrize(
    ("points", "words"),
    [((99, PQ, 0, 1), "primaries are number 99"), ((BT2020, PQ, 9, 1), "not RGB")],
)
def test_code_points_that_are_not_known_are_refused(points: tuple[int, ...], words: str) -> None:
    plain = hdr_png()
    at = plain.index(b"cICP") - 4
    data = plain[:at] + made_light.chunk(b"cICP", bytes(points)) + plain[at + 16 :]
    with pytest.raises(UserError, match=words):
        decode_hdr(data, "a.png")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_pictures_are_turned_upright(orientation: int) -> None:
    upright = decode_hdr(hdr_png(PQ, deep=True), "a.png").light
    stored = hdr_png(PQ, deep=True)
    block = made_light.chunk(b"eXIf", exif(orientation))
    found = decode_hdr(stored[:33] + block + stored[33:], "a.png")
    assert np.array_equal(found.light, turn(upright, orientation))
    assert orientation_of(found.metadata.exif) == 1
    assert facts(found.metadata.exif)[271] == "Maker"


@pytest.mark.slow  # two processes each
@pytest.mark.parametrize("transform", range(8))
def test_jpeg_xr_is_turned_as_its_container_says_or_else_its_stream(transform: int) -> None:
    data = bytearray(made_light.jpeg_xr(chart() / SCRGB_NITS))
    upright = decode_hdr(bytes(data), "a").light
    wanted = turn(upright, jpegxr.ORIENTATIONS[transform])
    place = data.index(struct.pack("<HHI", jpegxr.TURNED, 4, 1)) + 8
    data[place] = transform
    assert np.array_equal(decode_hdr(bytes(data), "a").light, wanted)
    data[place - 8 : place] = struct.pack("<HHI", 0xBC03, 4, 1)  # a tag that says nothing
    data[data.index(jpegxr.SIGNATURE) + 9] |= transform << 3
    assert np.array_equal(decode_hdr(bytes(data), "a").light, wanted)


@pytest.mark.parametrize(("curve", "orientation"), [(PQ, 6), (HLG, 3), (8, 8)])
def test_jpeg_xl_is_turned_as_its_header_says(curve: int, orientation: int) -> None:
    made_light.codecs()
    from tests.helpers.made_jpegxl import jpeg_xl

    kind: Any = np.float32 if curve == 8 else np.uint16
    picture = scene(3, np.uint16) if kind is np.uint16 else scene().astype(kind) / 255
    upright = decode_hdr(jpeg_xl(picture, curve), "a").light
    found = decode_hdr(jpeg_xl(picture, curve, orientation=orientation), "a").light
    assert np.allclose(found, turn(upright, orientation), rtol=1e-5, atol=1e-6)


def test_jpeg_xl_of_10_bits_is_not_read_as_of_16() -> None:
    codecs = made_light.codecs()
    from tests.helpers.made_jpegxl import jpeg_xl

    picture = np.full((16, 16, 3), 1023, np.uint16)
    found = decode_hdr(jpeg_xl(picture, PQ, bits=10), "a").light
    assert np.allclose(found * WHITE_NITS, 1e4, rtol=1e-4)
    assert codecs.jpegxl_decode(jpeg_xl(picture, PQ, bits=10)).max() == 1023


def test_lossy_jpeg_xl_is_as_bright_as_its_header_says() -> None:
    made_light.codecs()
    from tests.helpers.made_jpegxl import jpeg_xl

    grey = np.full((32, 32, 3), 0.5, np.float32)
    for curve, nits in ((PQ, None), (8, 1000.0)):
        found = decode_hdr(jpeg_xl(grey, curve, nits=nits, distance=0.5), "a").light
        assert np.allclose(found * WHITE_NITS, 127.5, rtol=0.01)  # it was made for 255 cd/m2


def test_the_beginning_of_a_large_jpeg_xl_says_that_it_is_hdr() -> None:
    made_light.codecs()
    from tests.helpers.made_jpegxl import jpeg_xl

    whole = jpeg_xl(scene(3, np.uint16), PQ)
    assert b"jxlc" in whole[:64]
    assert hdr_curve(whole[:200]) == "PQ"


@pytest.mark.parametrize("bits", [10, 12])
def test_white_of_heif_is_white(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("pillow_heif", reason="the extra hdr is not installed")
    monkeypatch.setattr(package.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    found = decode_hdr(made_light.heif(np.full((16, 16, 3), 1e4), PQ), "a").light
    assert np.allclose(found * WHITE_NITS, 1e4, rtol=1e-4)


@pytest.mark.parametrize("name", ["OpenEXR, half", "JPEG XR, half floats", "AVIF, PQ, 10 bits"])
def test_whether_a_large_file_is_hdr_its_beginning_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(CASES[name].write(chart()))
    assert is_hdr(path)
    with path.open("r+b") as file:
        file.truncate(MOST_PICTURE + 1)  # too large to be read as a whole
    assert is_hdr(path)
    assert is_shot(path)
    with pytest.raises(UserError, match=r"Cannot read .* more than"):
        read_hdr(path)


@pytest.mark.parametrize("name", ["", "ITUR_2100_PQ_FULL"])
def test_heif_may_say_by_a_profile_that_it_is_hdr(name: str) -> None:
    nits = chart()
    plain = made_light.heif(nits, PQ)
    wanted = decode_hdr(plain, "a")
    stated = profile(name=name) if name else profile(PQ)
    said = made_light.heif(nits, PQ, icc_profile=stated)
    assert b"colrprof" in said
    assert b"nclx" not in said
    found = decode_hdr(said, "a")
    assert (found.kind, found.white_nits) == (wanted.kind, wanted.white_nits)
    assert np.allclose(found.light, wanted.light, rtol=0.02, atol=0.01)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_jpeg_xr_of_integers_is_sdr(kind: Any) -> None:
    data = bytes(made_light.codecs().jpegxr_encode(scene(3, kind), level=1.0))
    assert not is_hdr(data)
    with pytest.raises(UserError, match="is not HDR"):
        decode_hdr(data, "a.jxr")


def test_jpeg_xr_of_fixed_point_is_named() -> None:
    data = bytearray(made_light.jpeg_xr(chart() / 80))
    data[data.index(jpegxr.PIXEL_FORMATS) + 15] = 0x1D
    assert is_hdr(bytes(data))
    with pytest.raises(UserError, match="not floating-point"):
        decode_hdr(bytes(data), "a.jxr")


def test_light_beyond_white_and_outside_of_the_gamut_is_kept() -> None:
    light = np.full((16, 16, 3), 125.0)  # 10,000 cd/m2
    light[8:] = (1.5, -0.25, 0.5)
    found = decode_hdr(made_light.jpeg_xr(light), "a.jxr")
    assert np.allclose(found.light, light * 80 / 203, rtol=1e-3)
    assert found.notes == ("50.00% of its pixels have colours outside of Rec. 709",)


class TestOpenEXR:
    light = (chart() / WHITE).astype(np.float32)

    def parts(self, prefix: str = "", scale: float = 1.0) -> dict[str, Any]:
        return {
            prefix + name: np.ascontiguousarray(self.light[..., at] * np.float32(scale))
            for at, name in enumerate("RGB")
        }

    def test_the_layer_without_a_name_is_taken(self) -> None:
        data = made_light.exr(self.parts("diffuse.", 5) | self.parts())
        assert np.array_equal(decode_hdr(data, "a").light, self.light)

    @pytest.mark.parametrize("others", ["Diffuse.", "View.Depth."])
    def test_of_named_layers_the_whole_picture_is_taken(self, others: str) -> None:
        data = made_light.exr(self.parts(others, 5) | self.parts("View.Combined."))
        found = decode_hdr(data, "a")
        assert np.array_equal(found.light, self.light)
        assert found.notes == ("its layer View.Combined taken, of 2",)

    def test_of_several_parts_one_is_taken(self) -> None:
        data = made_light.exr([{"Z": self.light[..., 0].copy()}, self.parts()])
        assert np.array_equal(decode_hdr(data, "a").light, self.light)

    def test_grey_and_transparency(self) -> None:
        grey = {"Y": self.light[..., 0].copy(), "A": np.full(self.light.shape[:2], 0.5, "f")}
        found = decode_hdr(made_light.exr(grey), "a")
        assert np.array_equal(found.light, self.light[..., :1].repeat(3, axis=2))
        assert found.notes == ("its transparency left out: what is transparent is dark",)

    @pytest.mark.parametrize(
        ("channels", "words"),
        [
            (("Y", "RY", "BY"), r"luminance and chroma \(channels Y, RY and BY\)"),
            (("Z",), "no channels R, G and B"),
            (("R", "G"), "no channels R, G and B"),
        ],
    )
    def test_what_is_no_rgb_is_named(self, channels: tuple[str, ...], words: str) -> None:
        data = made_light.exr(dict.fromkeys(channels, self.light[..., 0].copy()))
        with pytest.raises(UserError, match=words):
            decode_hdr(data, "a")

    def test_whole_numbers_are_no_light(self) -> None:
        data = made_light.exr(dict.fromkeys("RGB", np.ones((8, 8), np.uint32)))
        with pytest.raises(UserError, match="are whole numbers"):
            decode_hdr(data, "a")

    def test_the_display_window_is_the_picture(self) -> None:
        height, width = self.light.shape[:2]
        window = (np.array([2, 1], "i"), np.array([width + 3, height - 2], "i"))
        found = decode_hdr(made_light.exr(self.parts(), displayWindow=window), "a")
        assert found.light.shape == (height - 2, width + 2, 3)
        assert np.array_equal(found.light[:, : width - 2], self.light[1 : height - 1, 2:])
        assert not found.light[:, width - 2 :].any()
        assert found.notes == ("what lies outside of its display window left out",)


class TestRadiance:
    light = chart() / WHITE

    def test_lines_of_single_pixels_and_of_runs_are_the_same(self) -> None:
        runs = decode_hdr(made_light.radiance(self.light), "a").light
        assert np.array_equal(
            decode_hdr(made_light.radiance(self.light, runs=False), "a").light, runs
        )

    def test_the_old_kind_of_runs(self) -> None:
        pixels = bytes([128, 64, 32, 129]) + bytes([1, 1, 1, 3]) + bytes([0, 128, 0, 130])
        head = b"#?RADIANCE\n\n-Y 1 +X 5\n"
        found = decode_hdr(head + pixels, "a").light[0]
        assert found.tolist() == 4 * [[1.0, 0.5, 0.25]] + [[0.0, 2.0, 0.0]]

    def test_exposures_are_taken_back(self) -> None:
        plain = decode_hdr(made_light.radiance(self.light), "a").light
        fields = b"EXPOSURE=2\nEXPOSURE= 4\nCOLORCORR=1 2 0.5\n"
        found = decode_hdr(made_light.radiance(self.light, fields=fields), "a").light
        assert np.allclose(found, plain / [8, 16, 4])

    def test_primaries_are_used(self) -> None:
        fields = b"PRIMARIES=.708 .292 .170 .797 .131 .046 .3127 .3290\n"
        wide = self.light @ np.linalg.inv(made_light.to_rec709(made_light.PRIMARIES[BT2020])).T
        found = decode_hdr(made_light.radiance(wide, fields=fields), "a").light
        assert np.allclose(found, self.light, atol=0.02 * self.light.max())

    @pytest.mark.parametrize(
        ("sides", "orientation"),
        [(b"+Y 2 +X 3", 4), (b"-Y 2 -X 3", 2), (b"+Y 2 -X 3", 3), (b"+X 2 -Y 3", 5)],
    )
    def test_it_is_turned_as_its_sizes_say(self, sides: bytes, orientation: int) -> None:
        pixels = np.random.default_rng(1).integers(20, 99, (2, 3, 4), np.uint8)
        plain = decode_hdr(b"#?RGBE\n\n-Y 2 +X 3\n" + pixels.tobytes(), "a").light
        found = decode_hdr(b"#?RGBE\n\n" + sides + b"\n" + pixels.tobytes(), "a").light
        assert np.array_equal(found, turn(plain, orientation))


class TestTIFF:
    light = (chart() / WHITE).astype(np.float32)

    def test_without_a_profile_the_user_is_told(self) -> None:
        (note,) = decode_hdr(tiff(self.light, photometric="rgb"), "a").notes
        assert "taken as linear" in note

    def test_a_profile_says_what_its_numbers_are(self) -> None:
        made_light.codecs()
        tags = [(34675, 7, len(SRGB), SRGB), (274, 3, 1, 6), (700, 7, len(XMP), XMP)]
        found = decode_hdr(tiff(self.light, photometric="rgb", extratags=tags), "a")
        size = self.light.shape[1::-1]
        assert (found.size, found.notes) == (size[::-1], ())
        white = np.argwhere(np.isclose(self.light, 1).all(axis=2))[0]
        assert np.allclose(turn(found.light, 8)[tuple(white)], 1, atol=2e-3)
        half = np.full((8, 8, 3), 0.5, np.float32)
        found = decode_hdr(tiff(half, photometric="rgb", extratags=tags[:1]), "a")
        assert np.allclose(found.light, 0.21404, atol=1e-3)

    def test_a_big_endian_bigtiff_is_named(self) -> None:
        data = tiff(self.light, photometric="rgb", bigtiff=True, byteorder=">")
        with pytest.raises(UserError, match="BigTIFF in big-endian order"):
            decode_hdr(data, "a")

    @pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("how", [{}, {"compression": "zlib", "predictor": True}])
    def test_every_layout(self, kind: Any, how: dict[str, Any]) -> None:
        made_light.codecs()
        whole = self.light.astype(kind)
        for data in (
            tiff(whole, photometric="rgb", **how),
            tiff(whole, photometric="rgb", tile=(16, 16), **how),
            tiff(np.moveaxis(whole, 2, 0), photometric="rgb", planarconfig="separate", **how),
        ):
            assert np.array_equal(decode_hdr(data, "a").light, whole.astype(np.float32))


class TestGainMap:
    @pytest.mark.parametrize("gamma", [1.0, 2.2])
    @pytest.mark.parametrize("iso", [False, True])
    def test_numbers_of_the_map_are_used(self, gamma: float, iso: bool) -> None:
        nits = chart(800)
        gains = made_light.Gains(stops=2.5, gamma=gamma, offset=0.05)
        found = decode_hdr(made_light.gain_map_jpeg(nits, gains, iso), "a").light * WHITE
        grey = found[4, 4 :: made_light.SIDE]
        assert np.allclose(grey, nits[4, 4 :: made_light.SIDE], rtol=0.06, atol=1)

    @pytest.mark.parametrize("orientation", [1, 6])
    def test_map_and_picture_are_turned_together(self, orientation: int) -> None:
        nits, block = chart(800), exif(orientation)
        upright = decode_hdr(made_light.gain_map_jpeg(nits), "a").light
        found = decode_hdr(made_light.gain_map_jpeg(nits, exif=b"Exif\0\0" + block), "a")
        assert np.allclose(found.light, turn(upright, orientation), atol=1e-5)
        assert facts(found.metadata.exif)[271] == "Maker"

    def test_how_the_map_itself_is_turned_does_not_count(self) -> None:
        """Ultra HDR image format 1.1: orientation metadata in the stored gain map is not used."""
        data = made_light.gain_map_jpeg(chart(800))
        at = data.rindex(b"\xff\xd8\xff") + 2
        block = b"Exif\0\0" + exif(6)
        segment = struct.pack(">BBH", 0xFF, 0xE1, len(block) + 2) + block
        turned_map = data[:at] + segment + data[at:]
        assert np.array_equal(decode_hdr(turned_map, "a").light, decode_hdr(data, "a").light)

    def test_words_of_iso_count_before_those_of_apple(self) -> None:
        data = made_light.apple_jpeg(None, headroom=b"8")
        at = data.rindex(b"\xff\xd8\xff") + 2
        segment = made_light._iso(made_light.Gains(stops=1, offset=0))
        both = data[:at] + struct.pack(">BBH", 0xFF, 0xE2, len(segment) + 2) + segment + data[at:]
        assert decode_hdr(data, "a").light[4, 4, 1] == pytest.approx(8, rel=0.01)
        assert decode_hdr(both, "a").light[4, 4, 1] == pytest.approx(2, rel=0.01)

    def test_a_map_that_makes_sdr_of_hdr_is_refused(self) -> None:
        data = made_light.gain_map_jpeg(chart(800), iso=True)
        below = 1 << 16
        stated = struct.pack(">4I", 0, 1, 3 * below, below)
        assert data.count(stated) == 1
        hdr_base = data.replace(stated, struct.pack(">4I", 3 * below, below, 0, 1))
        with pytest.raises(UserError, match="makes SDR of HDR"):
            decode_hdr(hdr_base, "a")

    def test_it_is_sdr_for_those_who_do_not_ask_for_its_light(self, tmp_path: Path) -> None:
        data = made_light.gain_map_jpeg(chart(800))
        assert not is_hdr(data)
        (tmp_path / "a.jpg").write_bytes(data)
        assert read_picture(tmp_path / "a.jpg").pixels.max() == 1.0

    @pytest.mark.parametrize(("gamut", "primaries"), [(0, BT709), (1, P3), (2, BT2020)])
    def test_a_file_of_libultrahdr_is_read_as_libultrahdr_reads_it(
        self, gamut: int, primaries: int
    ) -> None:
        """Of BT.2020, the map is in a space of its own."""
        codecs = made_light.codecs()
        light = np.ones((64, 96, 4), np.float16)
        light[..., 0], light[..., 1] = np.linspace(0.1, 4, 96), np.linspace(0.1, 2, 64)[:, None]
        data = codecs.ultrahdr_encode(light, level=98, gamut=gamut)
        theirs = codecs.ultrahdr_decode(data)[..., :3].astype(np.float32)
        ours = in_rec709(theirs, to_rec709(PRIMARIES[primaries]))
        assert np.allclose(decode_hdr(data, "a").light, ours, rtol=0.02, atol=0.05)

    def test_lists_of_three_are_read(self) -> None:
        xmp = b"<hdrgm:GainMapMax><rdf:Seq>" + b"".join(
            b"<rdf:li>%d</rdf:li>" % each for each in (1, 2, 3)
        )
        found = read_gain_map(b"", xmp + b"</rdf:Seq></hdrgm:GainMapMax>")
        assert found.most.tolist() == [1, 2, 3]
        assert found.offset_sdr.tolist() == 3 * [1 / 64]

    @pytest.mark.parametrize(
        ("xmp", "words"),
        [
            (HDRGM, "damaged"),
            (b'hdrgm:GainMapMax="1" hdrgm:BaseRenditionIsHDR="True"', "SDR of HDR"),
            (b'hdrgm:GainMapMax="99"', "no sense"),
            (b'hdrgm:GainMapMax="1" hdrgm:Gamma="0"', "no sense"),
            (b'hdrgm:GainMapMax="1e999"', "no sense"),
        ],
    )
    def test_maps_that_cannot_be_applied_are_refused(self, xmp: bytes, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            read_gain_map(b"", xmp)

    @pytest.mark.parametrize(
        ("numbers", "headroom"),
        [((0.5, 0.005), 2**1.7), ((0.5, 1.0), 2**1.5), ((1.01, 0.0), 8), ((1.5, 1.0), 4)],
    )
    def test_apples_formula(self, numbers: tuple[float, float], headroom: float) -> None:
        found = decode_hdr(made_light.apple_jpeg(numbers), "a.jpg")
        bright, dark = found.light[:8].max(), found.light[-8:]
        assert np.isclose(bright, headroom, rtol=1e-3)
        assert np.allclose(dark, 1, rtol=1e-3)
        assert found.kind == "JPEG with a gain map"

    def test_apples_headroom_in_xmp_comes_first(self) -> None:
        found = decode_hdr(made_light.apple_jpeg((0.5, 1.0), b"5.5"), "a.jpg")
        assert np.isclose(found.light.max(), 5.5, rtol=1e-3)

    def test_apples_map_without_headroom_is_refused(self) -> None:
        with pytest.raises(UserError, match="does not say how bright"):
            decode_hdr(made_light.apple_jpeg(None), "a.jpg")

    def test_a_map_that_is_missing_is_said(self) -> None:
        data = made_light.gain_map_jpeg(chart(800))
        with pytest.raises(UserError, match="gain map is missing"):
            decode_hdr(data[: data.index(b"\xff\xd8\xff", 100)], "a.jpg")


def test_metadata_of_boxes_are_kept() -> None:
    block = exif(1)
    data = saved(scene(), "AVIF", exif=block, xmp=XMP)
    stated = read_stated(data)
    assert facts(stated.exif) == facts(block)
    assert stated.xmp == XMP
    assert (stated.size, stated.depth) == ((36, 24), 8)


def test_metadata_of_heif_are_kept() -> None:
    found = decode_hdr(made_light.heif(chart(), PQ, exif=exif(1), xmp=XMP), "a").metadata
    assert facts(found.exif)[271] == "Maker"
    assert found.xmp is not None
    assert b"tiff:Orientation" in found.xmp


def test_metadata_of_jpeg_xl_are_kept() -> None:
    data = CASES["JPEG XL, PQ, 16 bits"].write(chart())  # a container
    for kind, content in ((b"Exif", bytes(4) + exif(6)), (b"xml ", XMP)):
        data += struct.pack(">I4s", 8 + len(content), kind) + content
    found = decode_hdr(data, "a").metadata
    assert facts(found.exif)[271] == "Maker"
    assert orientation_of(found.exif) == 1  # its header says how it is turned
    assert found.xmp is not None


def test_metadata_of_jpeg_xr_are_kept() -> None:
    plain = made_light.jpeg_xr(chart() / 80)
    begin = struct.unpack_from("<I", plain, 4)[0]
    count = struct.unpack_from("<H", plain, begin)[0]
    entries = plain[begin + 2 : begin + 2 + 12 * count]
    texts = {272: b"A game\0", 700: XMP, 305: b"Game Bar\0"}
    at = len(plain) + 2 + 12 * (count + len(texts)) + 4
    more, rest = [], b""
    for tag, text in texts.items():
        more.append(struct.pack("<HHII", tag, 7 if tag == 700 else 2, len(text), at + len(rest)))
        rest += text
    table = b"".join(
        sorted([*more, *(entries[n : n + 12] for n in range(0, 12 * count, 12))], key=_tag)
    )
    directory = struct.pack("<H", count + len(texts)) + table + bytes(4)
    data = plain[:4] + struct.pack("<I", len(plain)) + plain[8:] + directory + rest
    found = decode_hdr(data, "a").metadata
    assert (facts(found.exif)[272], facts(found.exif)[305]) == ("A game", "Game Bar")
    assert found.xmp is not None
    assert found.dpi == (96, 96)


def _tag(entry: bytes) -> int:
    return int.from_bytes(entry[:2], "little")


@pytest.mark.parametrize(
    ("turns", "mirror", "orientation"),
    [(1, None, 8), (2, None, 3), (3, None, 6), (None, 0, 4), (None, 1, 2), (1, 0, 5), (3, 0, 7)],
)
def test_avif_is_turned_by_its_boxes(
    turns: int | None, mirror: int | None, orientation: int
) -> None:
    plain = made_light.avif(chart(), PQ, 10)
    upright = decode_hdr(plain, "a").light
    found = decode_hdr(with_properties(plain, turned_by(turns, mirror)), "a").light
    assert np.array_equal(found, turn(upright, orientation))


def test_profiles_by_name_and_by_tag_are_read_alike() -> None:
    tag = saved(scene(), "TIFF", icc_profile=profile(PQ))
    name = saved(scene(), "TIFF", icc_profile=profile(name="ITUR_2100_PQ_FULL"))
    assert np.array_equal(decode_hdr(tag, "a").light, decode_hdr(name, "a").light)


def test_the_limits_of_the_table_are_those_of_the_samples() -> None:
    """Half the step of 8 bits of PQ is 2 to 4 % of the light, of 10 bits 1 %."""
    case = replace(CASES["PNG, PQ, 16 bits"], write=lambda n: made_light.png(n, PQ, 8))
    assert largest_error(case) > case.error


@pytest.mark.parametrize("sampling", [(2, 1), (1, 2)])
def test_exr_channels_of_fewer_samples_make_no_layer(sampling: tuple[int, int]) -> None:
    whole, part = (SimpleNamespace(xSampling=x, ySampling=y) for x, y in ((1, 1), sampling))
    assert hdr_exr._layers({"R": whole, "G": whole, "B": whole}) == [""]
    assert hdr_exr._layers({"R": whole, "G": whole, "B": part}) == []
    assert hdr_exr._layers({"Y": part}) == []
