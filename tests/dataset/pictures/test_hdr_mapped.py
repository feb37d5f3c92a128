"""Gain maps of AVIF, HEIF and JPEG XL: worked-out numbers, what is odd, what is hostile."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.errors import UserError
from dataset.options import ExposeOptions
from dataset.pictures.dynamic_range import has_gain_map
from dataset.pictures.hdr import decode_hdr, is_hdr
from dataset.pictures.jpegxl import read_colour
from dataset.pictures.light import BT2020, P3, PRIMARIES
from dataset.pictures.limits import TooLarge
from dataset.pictures.one_item import alone
from dataset.pictures.picture import read_picture
from dataset.sessions.exposed import expose_files
from dataset.sessions.finding import is_shot
from dataset.sessions.imports import import_files
from model.options import RestoreOptions
from model.restoring.restore import restore_files
from model.restoring.uploads import ServeLimits, Upload, open_light
from tests.helpers import made_gain_maps, made_light, made_modern
from tests.helpers.made_gain_maps import (
    BASE,
    MAP,
    TONE_MAPPED,
    XMP,
    Item,
    Made,
    Shot,
    apples,
    box,
    full_box,
    in_grid,
    muxed,
    tone_mapped,
    with_property,
)
from tests.helpers.made_hdr import PQ
from tests.helpers.made_light import Gains, chart

pytest.importorskip("pillow_heif", reason="the extra hdr is not installed")
pytest.importorskip("imagecodecs", reason="the extra hdr is not installed")

FORMS = ("HEIC", "AVIF")
HUGE = 60_000
HALF = 188  # a level of sRGB whose light is 0.503
LEFT, RIGHT = np.s_[:, :28], np.s_[:, 36:]  # of 64 columns, away from the middle
ONE = Gains(stops=1, offset=0)


def flat(level: int, channels: int = 3, height: int = 64, width: int = 64) -> Any:
    return np.full((height, width, channels), level, np.uint8)


def halves(channels: int = 1, side: int = 64) -> Any:
    """A map without gain on the left and with all of it on the right."""
    found = flat(0, channels, side, side)
    found[:, side // 2 :] = 255
    return found


def doubled(gains: Any, form: str = "HEIC", metadata: bytes = b"", base: Any = None) -> Made:
    """A picture of level `HALF`, and a map of one stop."""
    picture = flat(HALF) if base is None else base
    made = tone_mapped(np.full(picture.shape, 203.0), Shot(form, gains=ONE))
    made[BASE] = made_gain_maps.coded(picture, form)
    made[MAP] = made_gain_maps.coded(gains, form)
    if metadata:
        made[TONE_MAPPED] = replace(made[TONE_MAPPED], content=b"\0" + metadata)
    return made


def light_of(made: Made, form: str = "HEIC") -> Any:
    return decode_hdr(muxed(made, form), "a.bin").light


def half_light() -> float:
    return float(made_light._linear(HALF / 255))


def outside_of_middle(light: Any) -> tuple[Any, Any]:
    return light[LEFT], light[RIGHT]


class TestToneMapped:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("side", [8, 32, 64, 128])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_a_map_of_any_size_is_fitted(self, form: str, side: int, channels: int) -> None:
        if form == "HEIC" and side == 8:
            side = 16
        light = light_of(doubled(halves(channels, side), form), form)
        dark, bright = outside_of_middle(light)
        assert light.shape == (64, 64, 3)
        assert np.allclose(dark, half_light(), rtol=0.005)
        assert np.allclose(bright, 2 * half_light(), rtol=0.005)
        middle = light[:, 31:33].mean()  # the map's edge is in the middle
        wanted = 2**0.5 if side < 64 else 1.5
        assert middle == pytest.approx(wanted * half_light(), rel=0.05)

    @pytest.mark.parametrize("form", FORMS)
    def test_each_channel_has_gains_of_its_own(self, form: str) -> None:
        gains = flat(0)
        gains[..., 0], gains[..., 1] = 255, 128
        light = light_of(doubled(gains, form), form)
        wanted = half_light() * 2.0 ** np.array([1, 128 / 255, 0])
        assert np.allclose(light, wanted, rtol=0.005)

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("bits", [10, 12])
    def test_deep_pictures_and_maps(self, form: str, bits: int) -> None:
        nits = chart(1600)
        made = tone_mapped(nits, Shot(form, bits=bits, map_bits=bits))
        error = np.abs(light_of(made, form) * 203 - nits) / (nits.max(axis=2, keepdims=True) + 1)
        assert error.max() < 0.006

    @pytest.mark.parametrize("form", FORMS)
    def test_a_deep_map_need_not_say_what_its_levels_mean(self, form: str) -> None:
        made = tone_mapped(chart(1600), Shot(form, map_bits=10))
        wanted = light_of(made, form)
        made[MAP] = with_property(made[MAP], without=b"colr")
        assert np.allclose(light_of(made, form), wanted, rtol=0.02, atol=0.01)

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(("primaries", "own"), [(P3, None), (1, BT2020), (P3, BT2020)])
    def test_gains_are_of_the_primaries_that_the_file_says(
        self, form: str, primaries: int, own: int | None
    ) -> None:
        nits = chart(1600)
        made = tone_mapped(
            nits, Shot(form, bits=10, map_bits=10, primaries=primaries, gains_of=own)
        )
        error = np.abs(light_of(made, form) * 203 - nits) / (nits.max(axis=2, keepdims=True) + 1)
        assert error.max() < 0.01
        item = made[TONE_MAPPED]
        flags = (0x40,) if own else (0,)
        content = item.content[:5] + bytes(flags) + item.content[6:]
        made[TONE_MAPPED] = with_property(replace(item, content=content), without=b"colr")
        if own:  # of the picture's, they are others
            error = np.abs(light_of(made, form) * 203 - nits) / (nits.max(axis=2)[..., None] + 1)
            assert error.max() > 0.05
        else:  # nothing says what they are
            assert np.abs(light_of(made, form) * 203 - nits).max() < 0.01 * nits.max()

    def test_primaries_may_be_those_of_a_profile(self) -> None:
        from dataset.pictures.profile_making import profile_by_numbers

        nits = chart(1600)
        made = tone_mapped(nits, Shot(bits=10, map_bits=10, primaries=P3, gains_of=BT2020))
        wanted = light_of(made)
        for number, primaries in ((BASE, P3), (TONE_MAPPED, BT2020)):
            profile = profile_by_numbers(primaries, 13, grey=False)
            colour = made_gain_maps.box(b"colr", b"prof" + profile)
            made[number] = with_property(made[number], colour, without=b"colr")
        assert np.allclose(light_of(made), wanted, rtol=0.01, atol=0.02)

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("turns", range(4))
    @pytest.mark.parametrize("mirror", [None, 0, 1])
    def test_picture_and_map_are_turned_as_each_says(
        self, form: str, turns: int, mirror: int | None
    ) -> None:
        if turns == 0 and mirror is None:
            return
        made = tone_mapped(_uneven(), Shot(form))
        upright = light_of(made, form)
        transforms = made_modern.turned_by(turns or None, mirror)
        both = made | {each: with_property(made[each], *transforms) for each in (BASE, MAP)}
        found = light_of(both, form)
        assert np.allclose(found, shown(upright, turns, mirror), atol=1e-5)
        silent = both | {MAP: made[MAP]}  # a map that says nothing is stored as its picture is
        assert np.array_equal(light_of(silent, form), found)
        base = shown(_levels(), turns, mirror)  # and one that says nothing is not turned
        size = full_box(b"ispe", struct.pack(">II", *base.shape[1::-1]))
        of_both = with_property(made[TONE_MAPPED], size, without=b"ispe")
        other = both | {BASE: made_gain_maps.coded(base, form), TONE_MAPPED: of_both}
        assert np.allclose(light_of(other, form), found, atol=1e-5)

    @pytest.mark.parametrize("form", FORMS)
    def test_a_map_of_another_shape_is_refused(self, form: str) -> None:
        made = tone_mapped(_uneven(), Shot(form))
        made[MAP] = with_property(made[MAP], *made_modern.turned_by(1, None))
        with pytest.raises(UserError, match="another shape than its picture"):
            light_of(made, form)

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("number", [BASE, MAP])
    def test_pictures_in_parts(self, form: str, number: int) -> None:
        rows, columns = np.mgrid[:150, :200]
        picture = np.stack([rows, columns, rows + columns], axis=2).astype(np.uint8) // 2 + 60
        gains = np.ascontiguousarray(picture[..., :1])
        whole = doubled(gains, form, base=picture)
        parts = in_grid(picture if number == BASE else gains, 20, form)
        made = whole | {number: parts.pop(0)} | parts
        assert np.array_equal(light_of(made, form), light_of(whole, form))

    def test_parts_may_share_their_bytes(self) -> None:
        made = doubled(flat(255, 1, 64, 128), base=flat(HALF, 3, 64, 128))
        parts = in_grid(flat(255, 1, 64, 128), 20)
        grid = replace(parts[0], references=((b"dimg", (20, 20)),))
        found = light_of(made | {MAP: grid, 20: parts[20]})
        assert np.allclose(found, 2 * half_light(), rtol=0.005)

    def test_grey_of_narrow_range_is_widened(self) -> None:
        gains = flat(16, 1)
        gains[:, 32:] = 235
        made = doubled(gains)
        narrow = made_gain_maps.box(b"colr", b"nclx" + struct.pack(">HHHB", 2, 2, 2, 0))
        made[MAP] = with_property(made[MAP], narrow, without=b"colr")
        dark, bright = outside_of_middle(light_of(made))
        assert np.allclose(dark, half_light(), rtol=0.001)
        assert np.allclose(bright, 2 * half_light(), rtol=0.001)

    @pytest.mark.parametrize("form", FORMS)
    def test_a_map_that_makes_sdr_of_hdr_is_refused(self, form: str) -> None:
        metadata = made_gain_maps.iso_metadata(ONE, base=3.0, other=0.0)
        with pytest.raises(UserError, match="makes SDR of HDR"):
            light_of(doubled(halves(), form, metadata), form)

    @pytest.mark.parametrize("form", FORMS)
    def test_hdr_with_a_map_that_makes_sdr_of_it_is_hdr(self, form: str) -> None:
        made = doubled(halves(), form, made_gain_maps.iso_metadata(ONE, base=3.0, other=0.0))
        colour = made_gain_maps.colour(BT2020, PQ)
        made[BASE] = with_property(made[BASE], colour, without=b"colr")
        data = muxed(made, form)
        assert is_hdr(data)
        assert decode_hdr(data, "a").kind in ("HEIF (PQ)", "AVIF (PQ)")

    @pytest.mark.parametrize("form", FORMS)
    def test_a_picture_made_of_both_that_is_pq_makes_no_hdr_of_the_sdr_one(self, form: str) -> None:
        data = muxed(tone_mapped(chart(800), Shot(form)), form)
        assert b"nclx\0\1\0\x10" in data
        assert not is_hdr(data)
        assert has_gain_map(data)

    def test_transparency_is_left_out_and_said(self) -> None:
        made = tone_mapped(chart(800), Shot("AVIF"))
        clear = full_box(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
        alpha = with_property(made_gain_maps.coded(flat(99, 1, 24, 128), "AVIF"), clear)
        made[9] = replace(alpha, references=((b"auxl", (BASE,)),))
        found = decode_hdr(muxed(made, "AVIF"), "a")
        assert found.notes == ("its transparency left out",)


def _uneven() -> Any:
    """Light in which no turn is like another: (72, 96, 3) in cd/m2."""
    found = np.full((72, 96, 3), 60.0)
    found[:24, :48] = 900
    found[48:, 80:] = 400
    found[60:, :10, 0] = 200
    return found


def _levels() -> Any:
    return made_gain_maps.sdr_levels(_uneven(), Shot())


def shown(stored: Any, turns: int, mirror: int | None) -> Any:
    """By irot, which turns anticlockwise, then imir: 0 swaps top and bottom, 1 left and right."""
    found = np.rot90(stored, turns)
    found = {None: found, 0: found[::-1], 1: found[:, ::-1]}[mirror]
    return np.ascontiguousarray(found)


class TestApples:
    @pytest.mark.parametrize(("headroom", "wanted"), [(b"5.5", 5.5), (b"1.0", 1.0)])
    def test_the_maps_xmp_says_how_bright_it_is(self, headroom: bytes, wanted: float) -> None:
        dark, bright = outside_of_middle(light_of(apples(flat(255), halves(1, 32), headroom)))
        assert np.allclose(dark, 1, rtol=1e-3)
        assert np.allclose(bright, wanted, rtol=1e-3)

    @pytest.mark.parametrize(
        ("numbers", "headroom"),
        [
            *[((0.5, 0.005), 2**1.7), ((0.5, 1.0), 2**1.5), ((1.01, 0.0), 8), ((1.5, 1.0), 4)],
            *[((0.88, None), 2**1.8), ((1.2, None), 8), ((None, 1.0), 2**1.5)],
        ],
    )
    def test_or_the_makers_note(self, numbers: made_light.Numbers, headroom: float) -> None:
        found = decode_hdr(muxed(apples(flat(255), halves(), numbers=numbers)), "a.heic")
        dark, bright = outside_of_middle(found.light)
        assert np.allclose(dark, 1, rtol=1e-3)
        assert np.allclose(bright, headroom, rtol=1e-3)
        assert (found.kind, found.knows_white) == ("HEIF with a gain map", True)

    def test_the_map_is_bent_by_the_curve_of_rec_709(self) -> None:
        found = light_of(apples(flat(HALF), flat(128, 1), b"3"))
        linear = ((128 / 255 + 0.099) / 1.099) ** (1 / 0.45)
        assert np.allclose(found, half_light() * (1 + 2 * linear), rtol=1e-3)

    def test_xmp_about_the_picture_is_no_word_on_the_map(self) -> None:
        made = apples(flat(255), halves(), b"4")
        words = b'<x tiff:Orientation="1" HDRGainMap:HDRGainMapHeadroom="7"/>'
        found = decode_hdr(muxed(made | {9: made_gain_maps.text_about(BASE, words)}), "a")
        assert found.light.max() == pytest.approx(4, rel=1e-3)
        assert found.metadata.xmp == words
        made[XMP] = replace(made[XMP], references=((b"cdsc", (BASE,)),))
        with pytest.raises(UserError, match="does not say how bright"):
            light_of(made)

    def test_exif_of_the_picture_is_kept(self) -> None:
        found = decode_hdr(muxed(apples(flat(255), halves(), numbers=(1.5, 1.0))), "a").metadata
        assert found.exif is not None
        assert b"Apple iOS" in found.exif

    def test_words_of_iso_count_before_those_of_apple(self) -> None:
        made = apples(flat(HALF), halves(), b"8")
        both = doubled(halves())
        assert light_of(made).max() == pytest.approx(8 * half_light(), rel=1e-3)
        made[TONE_MAPPED] = both[TONE_MAPPED]
        made[MAP] = replace(made[MAP], references=((b"auxl", (TONE_MAPPED, BASE)),))
        assert light_of(made).max() == pytest.approx(2 * half_light(), rel=1e-3)

    @pytest.mark.parametrize("turns", [1, 2, 3])
    def test_turned(self, turns: int) -> None:
        base = flat(HALF, 3, 64, 96)
        gains = flat(0, 1, 32, 48)
        gains[:10, :20] = 255
        made = apples(base, gains, b"4")
        upright = light_of(made)
        for each in (BASE, MAP):
            made[each] = with_property(made[each], *made_modern.turned_by(turns, None))
        found = light_of(made)
        assert np.allclose(found, shown(upright, turns, None), atol=1e-5)
        assert not np.allclose(found.mean(), found)

    def test_a_map_in_parts(self) -> None:
        gains = (np.mgrid[:96, :128].sum(axis=0) // 2)[..., None].astype(np.uint8)
        base = flat(HALF, 3, 192, 256)
        whole = apples(base, gains, b"4")
        parts = in_grid(gains, 20)
        grid = parts.pop(0)
        kind = full_box(b"auxC", made_gain_maps.APPLES + b"\0")
        references = (*grid.references, (b"auxl", (BASE,)))
        made = whole | parts | {MAP: with_property(replace(grid, references=references), kind)}
        assert np.array_equal(light_of(made), light_of(whole))

    def test_samsungs_has_adobes_words(self) -> None:
        made = apples(flat(HALF, 3, 64, 96), flat(0, 1, 32, 48), b"4")
        gains = flat(0, 1, 32, 48)
        gains[:, :20] = 255
        samsungs = b"urn:com:samsung:photo:2024:aux:hdrgainmap\0"
        kind = with_property(made_gain_maps.coded(gains), full_box(b"auxC", samsungs))
        made[MAP] = replace(kind, references=((b"auxl", (BASE,)),))
        words = b'hdrgm:GainMapMin="0" hdrgm:GainMapMax="2.3" hdrgm:OffsetSDR="0" '
        words += b'hdrgm:OffsetHDR="0"'
        made[XMP] = made_gain_maps.text_about(MAP, b"<x " + words + b"/>")
        upright = light_of(made)
        assert np.allclose(upright[:, :36], 2**2.3 * half_light(), rtol=1e-3)
        assert np.allclose(upright[:, 44:], half_light(), rtol=1e-3)
        made[BASE] = with_property(made[BASE], *made_modern.turned_by(3, None))
        assert np.allclose(light_of(made), shown(upright, 3, None), atol=1e-5)

    def test_another_auxiliary_picture_is_no_gain_map(self) -> None:
        made = apples(flat(255), halves(), b"4")
        other = full_box(b"auxC", made_gain_maps.APPLES.replace(b"hdrgainmap", b"skymatte") + b"\0")
        made[MAP] = with_property(made[MAP], other, without=b"auxC")
        data = muxed(made)
        assert not has_gain_map(data)
        with pytest.raises(UserError, match="is not HDR"):
            decode_hdr(data, "a.heic")


class TestJpegXL:
    def test_gains_of_other_primaries(self) -> None:
        nits = chart(1600)
        shot = Shot("JPEG XL", gains_of=BT2020)
        colour = b"\x90\x47\x0b"
        assert read_colour(colour) == PRIMARIES[BT2020]
        for data, most in (
            (made_gain_maps.jpeg_xl(nits, shot, colour), 0.015),
            (made_gain_maps.jpeg_xl(nits, Shot("JPEG XL", primaries=P3)), 0.02),
        ):
            found = decode_hdr(data, "a.jxl").light * 203
            assert (np.abs(found - nits) / (nits.max(axis=2, keepdims=True) + 1)).max() < most

    def test_the_colours_that_libjxl_writes(self) -> None:
        """From its test of a bundle: linear sRGB."""
        assert read_colour(b"\x50\xb4\x00") == PRIMARIES[1]

    def test_a_box_that_is_compressed(self) -> None:
        plain = made_gain_maps.jpeg_xl(chart(800))
        at = plain.index(b"jhgm") - 4
        packed = b"jhgm" + made_light.codecs().brotli_encode(plain[at + 8 :])
        data = made_modern.with_boxes(plain[:at], (b"brob", packed))
        assert has_gain_map(data)
        assert np.array_equal(decode_hdr(data, "a").light, decode_hdr(plain, "a").light)

    def test_what_is_odd_is_named(self) -> None:
        plain = made_gain_maps.jpeg_xl(chart(800))
        at = plain.index(b"jhgm") + 4
        later = plain[:at] + b"\1" + plain[at + 1 :]
        for data, words in (
            (later, "later version of JPEG XL"),
            (plain[: at + 1] + b"\xff\xff" + plain[at + 3 :], "metadata of its gain map"),
            (made_modern.with_boxes(plain[: at - 8], (b"jhgm", b"")), "gain map is missing"),
        ):
            with pytest.raises(UserError, match=words):
                decode_hdr(data, "a.jxl")


FILES: dict[str, Callable[[], bytes]] = {
    name: lambda form=form: made_gain_maps.MAKERS[form](chart(800))  # type: ignore[misc]
    for name, form in {
        "a.heic": "Apple",
        "iso.heic": "HEIC",
        "a.avif": "AVIF",
        "a.jxl": "JPEG XL",
    }.items()
}


@pytest.mark.parametrize("name", FILES)
def test_every_command_reads_such_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name]())
    assert is_shot(path)
    assert read_picture(path).notes == (
        "its gain map, which makes it HDR, left out: the SDR picture was restored",
    )
    (done,) = restore_files([path], RestoreOptions(method="cielab"))
    assert done.by_light
    shown = open_light(Upload(name, path.read_bytes()), ServeLimits(), RestoreOptions())
    assert shown is not None
    assert not shown.is_cut_off
    imported = import_files([path], tmp_path / "captures")
    assert expose_files([tmp_path], ExposeOptions(tmp_path / "captures", "s")).shots == 1
    assert imported.notes == ("1 of 1 pictures: a gain map (HDR) left out, the SDR picture taken",)


@pytest.mark.parametrize("form", FORMS)
def test_pixels_may_come_before_all_that_is_said_of_them(form: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (384, 512, 3), np.uint8)
    colour = made_gain_maps.colour(BT2020, PQ)
    hdr = with_property(made_gain_maps.coded(noise, form), colour, without=b"colr")
    (tmp_path / "hdr").write_bytes(muxed({BASE: hdr}, form, data_first=True))
    assert (tmp_path / "hdr").stat().st_size > 1 << 18
    assert is_hdr(tmp_path / "hdr")
    assert is_shot(tmp_path / "hdr")
    made = doubled(flat(255, 1, 384, 512), form, base=noise)
    (tmp_path / "map").write_bytes(muxed(made, form, data_first=True))
    assert is_shot(tmp_path / "map")
    assert np.array_equal(
        decode_hdr((tmp_path / "map").read_bytes(), "a").light, light_of(made, form)
    )


def _without(made: Made, *numbers: int) -> Made:
    return {number: item for number, item in made.items() if number not in numbers}


def _patched(made: Made, number: int, **how: Any) -> Made:
    return made | {number: replace(made[number], **how)}


def _metadata(at: int, content: bytes) -> Made:
    made = doubled(halves())
    whole = bytearray(made[TONE_MAPPED].content)
    whole[at : at + len(content)] = content
    return _patched(made, TONE_MAPPED, content=bytes(whole))


def _sized(number: int) -> Made:
    made = doubled(halves())
    size = full_box(b"ispe", struct.pack(">II", HUGE, HUGE))
    return made | {number: with_property(made[number], size, without=b"ispe")}


def _grid(*parts: int) -> Item:
    size = full_box(b"ispe", struct.pack(">II", 64, 64))
    content = struct.pack(">BBBBHH", 0, 0, 0, len(parts) - 1, 64, 64)
    return Item(b"grid", content, (size,), ((b"dimg", parts),))


HOSTILE: dict[str, tuple[Callable[[], Made], str]] = {
    "a map that is nowhere": (lambda: _without(doubled(halves()), MAP), "of a kind that is not"),
    "made of one": (
        lambda: _patched(doubled(halves()), TONE_MAPPED, references=((b"dimg", (BASE,)),)),
        "gain map is missing",
    ),
    "of another picture": (
        lambda: _patched(doubled(halves()), TONE_MAPPED, references=((b"dimg", (MAP, BASE)),)),
        "gain map is missing",
    ),
    "made of itself": (
        lambda: _patched(doubled(halves()), TONE_MAPPED, references=((b"dimg", (BASE, 3)),)),
        "of a kind that is not read",
    ),
    "a grid of itself": (
        lambda: doubled(halves()) | {MAP: _grid(MAP, MAP)},
        "of a kind that is not read",
    ),
    "a grid of grids": (
        lambda: doubled(halves()) | {MAP: _grid(8), 8: _grid(9), 9: _grid(8)},
        "of a kind that is not read",
    ),
    "a grid of nothing": (lambda: doubled(halves()) | {MAP: _grid(77)}, "of a kind that is not"),
    "of no references": (
        lambda: _patched(doubled(halves()), TONE_MAPPED, references=()),
        "gain map is missing",
    ),
    "a denominator of 0": (lambda: _metadata(10, bytes(4)), "metadata of its gain map"),
    "a gamma of 0": (lambda: _metadata(38, bytes(4)), "make no sense"),
    "gains beyond all": (lambda: _metadata(30, b"\x7f\xff\xff\xff\0\0\0\1"), "make no sense"),
    "a later version": (lambda: _metadata(1, b"\0\1"), "later version"),
    "a later box": (lambda: _metadata(0, b"\1"), "later version"),
    "short metadata": (
        lambda: _patched(doubled(halves()), TONE_MAPPED, content=b"\0\0\0\0\0\x40"),
        "metadata of its gain map are damaged",
    ),
    "no metadata": (
        lambda: _patched(doubled(halves()), TONE_MAPPED, content=b""),
        "damaged or cut off",
    ),
    "no pixels": (lambda: _patched(doubled(halves()), MAP, content=b""), "damaged or cut off"),
    "other pixels": (lambda: _patched(doubled(halves()), MAP, content=bytes(99)), "damaged"),
    "a codec that is not known": (lambda: _patched(doubled(halves()), MAP, kind=b"j2k1"), "kind"),
    "Apple's, of no number": (lambda: apples(flat(255), halves(), b"nan"), "does not say how"),
    "Apple's, beyond all": (lambda: apples(flat(255), halves(), b"9" * 20), "make no sense"),
    "Apple's, below 1": (lambda: apples(flat(255), halves(), b"0.5"), "make no sense"),
    "Apple's, of no picture": (
        lambda: (
            _patched(apples(flat(255), halves(), b"4"), MAP, references=((b"auxl", (9,)),))
            | {9: made_gain_maps.coded(flat(9))}
        ),
        "gain map is missing",
    ),
    "Apple's, that says nothing": (lambda: apples(flat(255), halves()), "does not say how"),
}


@pytest.mark.parametrize(("make", "words"), HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_applied_is_named_and_is_sdr(make: Callable[[], Made], words: str) -> None:
    data = muxed(make())
    assert has_gain_map(data)
    with pytest.raises(UserError, match=words):
        decode_hdr(data, "a.heic")
    assert open_light(Upload("a.heic", data), ServeLimits(), RestoreOptions()) is None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", [BASE, MAP])
def test_a_size_that_is_too_large_is_refused_before_decoding(form: str, number: int) -> None:
    with pytest.raises(TooLarge, match="over 400 million"):
        decode_hdr(muxed(_sized(number), form), "a.bin")


def test_a_map_of_jpeg_xl_that_is_too_large_is_refused() -> None:
    plain = made_gain_maps.jpeg_xl(chart(800))
    at = plain.index(b"\xff\x0a", plain.index(b"jhgm"))
    bits = int.from_bytes(plain[at + 2 : at + 20], "little") | (HUGE << 3) | (HUGE << 38)
    data = plain[: at + 2] + bits.to_bytes(18, "little") + plain[at + 20 :]
    with pytest.raises(TooLarge, match="over 400 million"):
        decode_hdr(data, "a.jxl")


def test_parts_that_share_bytes_to_become_many_are_refused() -> None:
    made = doubled(halves())
    tile = made_gain_maps.coded(halves())
    parts = {number: tile for number in range(20, 60)}
    data = bytearray(muxed(made | {MAP: _grid(*parts)} | parts))
    begin = data.index(b"mdat") + 4
    whole = len(data) - begin
    for number in parts:  # each is all of the rest of the file
        at = data.index(struct.pack(">HHH", number, 0, 1), data.index(b"iloc")) + 6
        struct.pack_into(">II", data, at, begin + number, whole - number)
    with pytest.raises(UserError, match="its gain map is damaged"):
        decode_hdr(bytes(data), "a.heic")


def test_parts_that_take_no_bytes_are_not_counted_for_ever() -> None:
    from dataset.pictures.boxes import MOST_BOXES, read_stated

    def of_parts(parts: int) -> bytes:
        size = full_box(b"ispe", struct.pack(">II", 64, 64))
        of_primary = full_box(b"ipma", struct.pack(">IHBB", 1, 1, 1, 1))
        places = struct.pack(">HH", 0, 3) + b"".join(
            struct.pack(">HHH", number, 0, parts) for number in (1, 2, 3)
        )
        meta = full_box(b"pitm", struct.pack(">H", 1)) + full_box(b"iinf", bytes(2))
        meta += box(b"iprp", box(b"ipco", size), of_primary) + full_box(b"iloc", places)
        return box(b"ftyp", b"heic", bytes(4)) + full_box(b"meta", meta)

    assert read_stated(of_parts(1)).size == (64, 64)
    with pytest.raises(ValueError, match="its header is damaged"):
        read_stated(of_parts(MOST_BOXES))


def test_an_item_alone_is_the_item() -> None:
    from dataset.pictures.boxes import read_items, read_stated

    gains = halves()
    found = alone(read_items(muxed(apples(flat(255), gains, b"4"))), MAP)
    assert read_stated(found).size == (64, 64)
    assert b"hdrgainmap" not in found
