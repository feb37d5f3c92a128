"""HDR pictures of known light in every format that is read, written by other means than ours.

Curves are worked out here from the standards' own direction, light to signal.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataset.pictures.hdr import decode_hdr
from dataset.pictures.light import (
    BT709,
    BT2020,
    D65,
    E_WHITE,
    P3,
    PRIMARIES,
    adaptation,
    rgb_to_xyz,
    to_rec709,
)
from dataset.pictures.png import chunk, encode_samples
from tests.helpers.made_hdr import HLG, PQ
from tests.helpers.made_pictures import tiff

LINEAR = 8
WHITE = 203.0  # cd/m2
SIDE = 8  # pixels of a patch, a block of most codecs


def chart(most: float = 4000.0) -> Any:
    """Patches (24, W, 3) in cd/m2: a grey ramp, primaries and mixed colours of Rec. 709."""
    greys = np.geomspace(1, most, 16)[:, None].repeat(3, axis=1)
    colours = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1)])
    bright = np.concatenate([100 * colours, 400 * colours, [(203, 203, 203)], 4 * [(80, 40, 20)]])
    dim = np.concatenate([colours, 10 * colours + 1, [(0, 0, 0)], 4 * [(300, 500, 200)]])
    rows = [greys, bright[:16], dim[:16]]
    return np.minimum(np.stack(rows), most).repeat(SIDE, 0).repeat(SIDE, 1).astype(np.float64)


def pq(nits: Any) -> Any:
    """The inverse EOTF of BT.2100's table 4."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (np.clip(nits, 0, 1e4) / 1e4) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg(nits: Any, weights: Any) -> Any:
    """The inverse OOTF for 1000 cd/m2, then the OETF of BT.2100's table 5."""
    display = np.clip(nits, 0, None) / 1000
    luminance = (display @ weights)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        scene = np.where(luminance > 0, display * luminance ** (1 / 1.2 - 1), 0)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    with np.errstate(divide="ignore", invalid="ignore"):
        bent = a * np.log(12 * scene - b) + c
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bent)


def signal(nits: Any, curve: int, primaries: int) -> Any:
    """Light of Rec. 709 -> a signal of other primaries; colours outside are cut at 0."""
    light = np.clip(nits @ np.linalg.inv(to_rec709(PRIMARIES[primaries])).T, 0, None)
    if curve == PQ:
        return pq(light)
    return hlg(light, rgb_to_xyz(PRIMARIES[primaries])[1])


def levels(values: Any, bits: int) -> Any:
    kind: Any = np.uint8 if bits == 8 else np.uint16
    return np.rint(np.clip(values, 0, 1) * ((1 << bits) - 1)).astype(kind)


def png(nits: Any, curve: int, bits: int, primaries: int = BT2020) -> bytes:
    plain = encode_samples(levels(signal(nits, curve, primaries), bits))
    return plain[:33] + chunk(b"cICP", bytes([primaries, curve, 0, 1])) + plain[33:]


def codecs() -> Any:
    return pytest.importorskip("imagecodecs", reason="the extra hdr is not installed")


def avif(nits: Any, curve: int, bits: int, primaries: int = BT2020, **how: Any) -> bytes:
    how = {"level": 100, "pixelformat": "yuv444", "matrix": 0} | how
    picture = levels(signal(nits, curve, primaries), bits)
    return bytes(
        codecs().avif_encode(
            picture, bitspersample=bits, primaries=primaries, transfer=curve, **how
        )
    )


def heif(nits: Any, curve: int, primaries: int = BT2020, **how: Any) -> bytes:
    package = pytest.importorskip("pillow_heif", reason="the extra hdr is not installed")
    picture = levels(signal(nits, curve, primaries), 16)
    image = package.from_bytes("RGB;16", picture.shape[1::-1], picture.tobytes())
    file = io.BytesIO()
    meaning = {
        "color_primaries": primaries,
        "transfer_characteristics": curve,
        "matrix_coefficients": 9,
        "full_range_flag": 1,
    }
    image.save(file, quality=-1, chroma=444, **meaning, **how)
    return file.getvalue()


def jpeg_xl(nits: Any, curve: int, bits: int, primaries: int = BT2020) -> bytes:
    codecs()
    from tests.helpers import made_jpegxl

    if curve == LINEAR:
        light = nits @ np.linalg.inv(to_rec709(PRIMARIES[primaries])).T
        return made_jpegxl.jpeg_xl((light / 1000).astype(np.float32), LINEAR, primaries, 1000.0)
    return made_jpegxl.jpeg_xl(levels(signal(nits, curve, primaries), bits), curve, primaries)


def jpeg_xr(light: Any, kind: Any = np.float16) -> bytes:
    """Of scRGB; with alpha, as Game Bar writes it, for its encoder has no RGB of 32 bits."""
    alpha = np.ones((*light.shape[:2], 1))
    return bytes(codecs().jpegxr_encode(np.concatenate([light, alpha], 2).astype(kind), level=1.0))


def exr(parts: dict[str, Any] | list[dict[str, Any]], **header: Any) -> bytes:
    """Channels by name, of one part or several; attributes in words."""
    package = pytest.importorskip("OpenEXR", reason="the extra hdr is not installed")
    from tempfile import TemporaryDirectory

    usual = {"compression": package.ZIP_COMPRESSION, "type": package.scanlineimage}
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.exr")
        if isinstance(parts, dict):
            package.File(usual | header, parts).write(str(path))
        else:
            named = [
                package.Part(usual | {"name": f"p{n}"}, channels)
                for n, channels in enumerate(parts)
            ]
            package.File(named).write(str(path))
        return path.read_bytes()


def radiance(light: Any, kind: bytes = b"rgbe", fields: bytes = b"", runs: bool = True) -> bytes:
    """New runs or plain pixels."""
    most = np.maximum(light.max(axis=2), 1e-38)
    exponent = np.frexp(most)[1]
    mantissas = np.clip(
        np.floor(np.maximum(light, 0) * np.ldexp(256.0, -exponent)[..., None]), 0, 255
    )
    pixels = np.concatenate([mantissas, (exponent + 128)[..., None]], 2).astype(np.uint8)
    height, width = light.shape[:2]
    head = b"#?RADIANCE\n" + fields + b"FORMAT=32-bit_rle_" + kind + b"\n\n"
    head += f"-Y {height} +X {width}\n".encode()
    if not runs:
        return head + pixels.tobytes()
    rows = []
    for row in pixels:
        rows.append(b"\2\2" + struct.pack(">H", width))
        rows += [_runs(bytes(row[:, channel].tobytes())) for channel in range(4)]
    return head + b"".join(rows)


def _runs(row: bytes) -> bytes:
    """Of 100 values each: of equal ones a run, else all of them."""
    parts = [row[at : at + 100] for at in range(0, len(row), 100)]
    return b"".join(
        bytes([128 + len(part), part[0]])
        if part.count(part[0]) == len(part)
        else bytes([len(part)]) + part
        for part in parts
    )


@dataclass(frozen=True)
class Gains:
    """What a gain map says; stops of the largest gain."""

    stops: float = 3.0
    gamma: float = 1.0
    offset: float = 1 / 64


def gain_map_jpeg(nits: Any, gains: Gains | None = None, iso: bool = False, **how: Any) -> bytes:
    """An SDR picture that is cut at white, and the map of what was cut, at full size."""
    about = gains or Gains()
    light = nits / WHITE
    base = _jpeg(_srgb(np.clip(light, 0, 1)), **how)
    sdr = _linear(np.asarray(Image.open(io.BytesIO(base)).convert("RGB")) / 255)
    boost = np.log2((light + about.offset) / (sdr + about.offset))
    coded = np.clip(boost / about.stops, 0, 1) ** about.gamma
    small = _jpeg(coded)
    segment = _iso(about) if iso else _xmp(about)
    mark = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0" if iso else _adobe(b'hdrgm:Version="1.0"')
    return _with(base, 0xE2 if iso else 0xE1, mark) + _with(small, 0xE2 if iso else 0xE1, segment)


Numbers = tuple[float | None, float | None]  # of Apple's maker note: headroom and gain


def apple_exif(numbers: Numbers | None) -> bytes:
    """With a maker note of the numbers that there are."""
    block = Image.Exif()
    if numbers is not None:
        stated = [
            (tag, each) for tag, each in zip((33, 48), numbers, strict=True) if each is not None
        ]
        note, at = struct.pack(">H", len(stated)), 16 + 12 * len(stated) + 4
        for place, (tag, _) in enumerate(stated):
            note += struct.pack(">HHII", tag, 10, 1, at + 8 * place)
        values = b"".join(struct.pack(">ii", round(each * 1e4), 10_000) for _, each in stated)
        block[34665] = {37500: b"Apple iOS\0\0\1MM" + note + bytes(4) + values}
    return bytes(block.tobytes())


def apple_jpeg(numbers: Numbers | None, headroom: bytes = b"") -> bytes:
    """White, whose upper half has all of Apple's gain; by a maker note, and by XMP."""
    base = _jpeg(np.ones((32, 32, 3)), exif=apple_exif(numbers))
    gains = np.zeros((32, 32))
    gains[:16] = 1
    words = b"HDRGainMap:HDRGainMapVersion='65536'"
    words += b" HDRGainMap:HDRGainMapHeadroom='" + headroom + b"'" if headroom else b""
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x " + words + b"/>"
    mark = _with(base, 0xE2, b"MPF\0")
    return mark + _with(_jpeg(gains), 0xE1, xmp)


def _srgb(light: Any) -> Any:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _linear(levels_: Any) -> Any:
    return np.where(levels_ <= 0.04045, levels_ / 12.92, ((levels_ + 0.055) / 1.055) ** 2.4)


def _jpeg(values: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    image.save(file, "JPEG", quality=100, subsampling=0, **how)
    return file.getvalue()


def _with(data: bytes, marker: int, content: bytes) -> bytes:
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + data[2:]


def _adobe(words: bytes) -> bytes:
    return (
        b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description "
        b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" ' + words + b"/></x:xmpmeta>"
    )


def _xmp(about: Gains) -> bytes:
    words = (
        f'hdrgm:Version="1.0" hdrgm:GainMapMin="0" hdrgm:GainMapMax="{about.stops}" '
        f'hdrgm:Gamma="{about.gamma}" hdrgm:OffsetSDR="{about.offset}" '
        f'hdrgm:OffsetHDR="{about.offset}" hdrgm:HDRCapacityMax="{about.stops}"'
    )
    return _adobe(words.encode())


def _iso(about: Gains) -> bytes:
    below = 1 << 16
    numbers = [0, about.stops, about.gamma, about.offset, about.offset]
    rows = b"".join(
        struct.pack(">II" if each == 2 else ">iI", round(number * below), below)
        for each, number in enumerate(numbers)
    )
    headroom = struct.pack(">4I", 0, 1, round(about.stops * below), below)
    return b"urn:iso:std:iso:ts:21496:-1\0" + struct.pack(">HHB", 0, 0, 0x40) + headroom + rows


@dataclass(frozen=True)
class Case:
    """How a picture of known light is written, and how far what is read may be from it."""

    write: Callable[[Any], bytes]
    kind: str
    most: float = 4000.0  # cd/m2 of the chart
    error: float = 0.001  # the largest, as a share of a pixel's most light and 1 cd/m2
    absolute: bool = True  # 1.0 is diffuse white of 203 cd/m2; else it is the light's own


CASES = {
    "PNG, PQ, 16 bits": Case(lambda n: png(n, PQ, 16), "PNG (PQ)"),
    "PNG, PQ, 8 bits": Case(lambda n: png(n, PQ, 8), "PNG (PQ)", error=0.045),
    "PNG, PQ, 16 bits, P3": Case(lambda n: png(n, PQ, 16, P3), "PNG (PQ)"),
    "PNG, HLG, 16 bits": Case(lambda n: png(n, HLG, 16), "PNG (HLG)", 1000),
    "PNG, HLG, 8 bits": Case(lambda n: png(n, HLG, 8), "PNG (HLG)", 1000, 0.04),
    "AVIF, PQ, 10 bits": Case(lambda n: avif(n, PQ, 10), "AVIF (PQ)", error=0.015),
    "AVIF, PQ, 12 bits": Case(lambda n: avif(n, PQ, 12), "AVIF (PQ)", error=0.004),
    "AVIF, HLG, 10 bits": Case(lambda n: avif(n, HLG, 10), "AVIF (HLG)", 1000, 0.015),
    "AVIF, HLG, 12 bits, P3": Case(lambda n: avif(n, HLG, 12, P3), "AVIF (HLG)", 1000, 0.004),
    "HEIF, PQ, 10 bits": Case(lambda n: heif(n, PQ), "HEIF (PQ)", error=0.03),
    "HEIF, HLG, 10 bits": Case(lambda n: heif(n, HLG), "HEIF (HLG)", 1000, 0.03),
    "JPEG XL, PQ, 16 bits": Case(lambda n: jpeg_xl(n, PQ, 16), "JPEG XL (PQ)"),
    "JPEG XL, HLG, 16 bits": Case(lambda n: jpeg_xl(n, HLG, 16), "JPEG XL (HLG)", 1000),
    "JPEG XL, PQ, 8 bits": Case(lambda n: jpeg_xl(n, PQ, 8), "JPEG XL (PQ)", error=0.045),
    "JPEG XL, linear floats": Case(lambda n: jpeg_xl(n, LINEAR, 32), "JPEG XL (linear)"),
    "JPEG XR, half floats": Case(lambda n: jpeg_xr(n / 80), "JPEG XR", error=0.0006),
    "JPEG XR, 32-bit floats": Case(lambda n: jpeg_xr(n / 80, np.float32), "JPEG XR", error=0.0006),
    "OpenEXR, half": Case(
        lambda n: exr({"RGB": (n / WHITE).astype(np.float16)}), "OpenEXR", absolute=False
    ),
    "OpenEXR, float, Rec. 2020": Case(
        lambda n: exr({"RGB": _in(n, BT2020)}, chromaticities=PRIMARIES[BT2020]),
        "OpenEXR",
        absolute=False,
    ),
    "Radiance HDR, RGBE": Case(
        lambda n: radiance(n / WHITE), "Radiance HDR (RGBE)", error=0.008, absolute=False
    ),
    "Radiance HDR, XYZE": Case(
        lambda n: radiance(_xyz(n), b"xyze"), "Radiance HDR (XYZE)", error=0.025, absolute=False
    ),
    "TIFF, 32-bit floats": Case(
        lambda n: tiff((n / WHITE).astype(np.float32), photometric="rgb"),
        "TIFF (floating-point)",
        absolute=False,
    ),
    "TIFF, half floats": Case(
        lambda n: tiff((n / WHITE).astype(np.float16), photometric="rgb"),
        "TIFF (floating-point)",
        absolute=False,
    ),
    "JPEG, gain map of Adobe": Case(gain_map_jpeg, "JPEG with a gain map", 1600, 0.06),
    "JPEG, gain map of ISO 21496-1": Case(
        lambda n: gain_map_jpeg(n, iso=True), "JPEG with a gain map", 1600, 0.06
    ),
    "HEIF, gain map of Apple": Case(
        lambda n: _mapped("Apple", n), "HEIF with a gain map", 1600, 0.02
    ),
    "HEIF, gain map of ISO 21496-1": Case(
        lambda n: _mapped("HEIC", n), "HEIF with a gain map", 1600, 0.015
    ),
    "AVIF, gain map of ISO 21496-1": Case(
        lambda n: _mapped("AVIF", n), "AVIF with a gain map", 1600, 0.015
    ),
    "JPEG XL, gain map of ISO 21496-1": Case(
        lambda n: _mapped("JPEG XL", n), "JPEG XL with a gain map", 1600, 0.015
    ),
}


def _mapped(form: str, nits: Any) -> bytes:
    codecs()
    from tests.helpers import made_gain_maps

    return made_gain_maps.MAKERS[form](nits)


def _in(nits: Any, primaries: int) -> Any:
    return (nits / WHITE @ np.linalg.inv(to_rec709(PRIMARIES[primaries])).T).astype(np.float32)


def _xyz(nits: Any) -> Any:
    """Of Rec. 709 and D65, to XYZ with white at (1, 1, 1), as Radiance's XYZE has it."""
    matrix = adaptation(D65, E_WHITE) @ rgb_to_xyz(PRIMARIES[BT709])
    return nits / WHITE @ matrix.T


def largest_error(case: Case) -> float:
    """Of what is read: its distance from the chart, as a share of its pixel's most light."""
    nits = chart(case.most)
    found = decode_hdr(case.write(nits), "a")
    assert (found.kind, found.white_nits) == (case.kind, WHITE if case.absolute else None)
    distance = np.abs(found.light * WHITE - nits)
    return float((distance / (nits.max(axis=2, keepdims=True) + 1)).max())


def small_files() -> list[bytes]:
    """A small picture in each format that can be written here."""
    nits, found = chart(800)[::SIDE, ::SIDE], []
    for case in CASES.values():
        with suppress(pytest.skip.Exception):
            found.append(case.write(nits))
    return found
