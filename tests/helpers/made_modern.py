"""SDR pictures as AVIF, HEIF and JPEG XL, without loss, in every way that is read."""

from __future__ import annotations

import io
import struct
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from dataset.pictures.boxes import boxes_of
from dataset.pictures.exif import PREFIX
from tests.helpers import made_light
from tests.helpers.made_pictures import SRGB, XMP, exif, saved

SRGB_CURVE, P3 = 13, 12


def levels(channels: int = 3, bits: int = 8, height: int = 24, width: int = 36) -> Any:
    """Slopes and noise of all levels, the smallest and the largest among them: (H, W, C)."""
    shape = (height, width, channels)
    found = np.random.default_rng(bits).integers(0, 1 << bits, shape)
    found[0, 0], found[0, 1] = 0, (1 << bits) - 1
    return found.astype(np.uint8 if bits == 8 else np.uint16)


def avif(samples: Any, bits: int = 8, curve: int = SRGB_CURVE, primaries: int = 1) -> bytes:
    how = {"bitspersample": bits, "primaries": primaries, "transfer": curve, "level": 100}
    grey = samples.shape[2] < 3
    matrix = {} if grey else {"pixelformat": "yuv444", "matrix": 0}
    picture = samples[..., 0] if samples.shape[2] == 1 else samples
    return bytes(made_light.codecs().avif_encode(picture, **how, **matrix))


def heif(
    samples: Any, bits: int = 8, curve: int = SRGB_CURVE, primaries: int = 1, **how: Any
) -> bytes:
    package = pytest.importorskip("pillow_heif", reason="the extra hdr is not installed")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[samples.shape[2]]
    if bits > 8:
        mode = {"L": "I;16"}.get(mode, f"{mode};16")
        samples = samples << (16 - bits)
    package.options.SAVE_HDR_TO_12_BIT = bits == 12
    file = io.BytesIO()
    meaning = {"color_primaries": primaries, "transfer_characteristics": curve}
    package.from_bytes(mode, samples.shape[1::-1], samples.tobytes()).save(
        file,
        quality=-1,
        chroma=444,
        matrix_coefficients=0,
        full_range_flag=1,
        **meaning,
        **how,
    )
    return file.getvalue()


def jpeg_xl(samples: Any, bits: int = 8, curve: int = SRGB_CURVE, primaries: int = 1) -> bytes:
    codecs = made_light.codecs()
    from tests.helpers import made_jpegxl

    if samples.shape[2] == 3:
        return made_jpegxl.jpeg_xl(samples, curve, {12: 11}.get(primaries, primaries), bits=bits)
    picture = samples[..., 0] if samples.shape[2] == 1 else samples
    return bytes(codecs.jpegxl_encode(picture, lossless=True, bitspersample=bits))


def with_boxes(jpegxl: bytes, *boxes: tuple[bytes, bytes]) -> bytes:
    """A JPEG XL with more boxes behind its picture."""
    if jpegxl.startswith(b"\xff\x0a"):
        jpegxl = (
            b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "
            + struct.pack(">I4s", 8 + len(jpegxl), b"jxlc")
            + jpegxl
        )
    return jpegxl + b"".join(
        struct.pack(">I4s", 8 + len(each), kind) + each for kind, each in boxes
    )


def with_properties(data: bytes, boxes: list[bytes], used: bool = True) -> bytes:
    """An AVIF of one item with more properties: essential ones of it, or of no item."""
    uses = len(boxes) if used else 0
    grown = sum(map(len, boxes)) + uses
    at = data.index(b"ipma") - 4
    length = struct.unpack_from(">I", data, at)[0]
    ipma = bytearray(data[at : at + length])
    known = ipma[18]
    ipma[18] += uses
    properties = data[data.index(b"ipco") + 4 : at]
    count = len(list(boxes_of(properties)))
    ipma += bytes(0x80 | (count + 1 + each) for each in range(uses))
    ipma[:4] = struct.pack(">I", len(ipma))
    assert known == count
    made = bytearray(data[:at] + b"".join(boxes) + bytes(ipma) + data[at + length :])
    for name in (b"meta", b"iprp", b"ipco"):
        place = made.index(name) - 4
        more = grown - (uses if name == b"ipco" else 0)
        struct.pack_into(">I", made, place, struct.unpack_from(">I", made, place)[0] + more)
    place = made.index(b"iloc")  # where the pixels are has moved
    at = made.index(struct.pack(">I", data.index(b"mdat") + 4), place)
    struct.pack_into(">I", made, at, data.index(b"mdat") + 4 + grown)
    return bytes(made)


def turned_by(turns: int | None, mirror: int | None) -> list[bytes]:
    """The properties irot and imir."""
    stated = ((b"irot", turns), (b"imir", mirror))
    return [struct.pack(">I4sB", 9, kind, value) for kind, value in stated if value is not None]


MAKERS = {"AVIF": avif, "HEIC": heif, "JPEG XL": jpeg_xl}


def small_files() -> list[bytes]:
    """Some of each format; none without the packages of the extra hdr."""
    if not all(map(find_spec, ("imagecodecs", "pillow_heif"))):
        return []
    kinds = ((3, 8), (3, 10), (4, 8), (1, 8))
    found = [make(levels(*kind), kind[1]) for make in MAKERS.values() for kind in kinds]
    jpeg = saved(levels(), "JPEG", exif=PREFIX + exif(6), icc_profile=SRGB)
    found.append(bytes(made_light.codecs().jpegxl_encode_jpeg(jpeg, usecontainer=True)))
    found.append(heif(levels(), exif=exif(6), xmp=XMP, icc_profile=SRGB))
    found.append(with_properties(avif(levels()), turned_by(1, 0)))
    return found
