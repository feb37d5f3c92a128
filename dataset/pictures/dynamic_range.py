"""Whether a picture is HDR, by what its file says. Decodes nothing, and reads no HDR.

The levels of an SDR picture are those of a screen: the highest is where light was clipped. Levels
by PQ or HLG, and floating-point samples, mean light itself, far beyond that; read as if they were
SDR, nothing would count as over-exposed. A picture with a gain map is SDR: the map is not.

References
----------
.. [1] ITU-T H.273: code points of transfer curves.
.. [2] ICC.1:2022, 9.2.17: cicpTag.
.. [3] ISO 21496-1:2025: gain maps; Adobe: Gain map 1.0; Google: Ultra HDR image format 1.1.
.. [4] ISO/IEC 18477-3: JPEG XT, boxes in APP11.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from dataset.errors import UserError
from dataset.gate import MOST_PICTURE, open_regular
from dataset.pictures.boxes import boxes_of, read_stated
from dataset.pictures.formats import HEAD, first_bytes, format_of
from dataset.pictures.headers import (
    START_OF_SCAN,
    Header,
    jpeg_markers,
    png_chunks,
    read_header,
    tiff_profile,
)
from dataset.pictures.jpegxl import DEFAULT_NITS, LINEAR, read_codestream
from dataset.pictures.jpegxr import is_sdr
from dataset.pictures.profile_making import EXPONENTS, make_profile, profile_by_numbers

CURVES = {16: "PQ", 18: "HLG"}  # code points of HDR curves
LIGHT = "floating-point light"
LINEAR_FORMATS = ("OpenEXR", "Radiance HDR", "JPEG XR")  # the last is what Windows' HDR shots are
MOST_PROFILE = 1 << 24  # bytes
BEGINNING = 1 << 16  # bytes of a file that say what it is
MOST_BOX = 1 << 18  # bytes of an AVIF or HEIF that are looked at
MADE = re.compile(rb"ST ?2084|(?<![A-Za-z])PQ(?![A-Za-z])|HLG|Hybrid Log", re.IGNORECASE)
GAIN_MAP = re.compile(
    rb"http://ns\.adobe\.com/hdr-gain-map/|urn:iso:std:iso:ts:21496:-1"
    rb"|urn:com:apple:photo:2020:aux:hdrgainmap|HDRGainMapVersion"
)
APP1, APP2, APP11 = 0xE1, 0xE2, 0xEB
ICC_IN_JPEG = b"ICC_PROFILE\0"
PROFILE_OF_BMP = 0x4D424544  # "MBED": the profile is in the file

WAYS_OF_HDR = "`cli restore` makes SDR pictures of it, `cli expose` frames of many exposures."


class HighDynamicRange(UserError):
    """A picture or recording is HDR."""


def hdr_fault(name: str | Path, what: str, curve: str) -> HighDynamicRange:
    """What is said of an HDR picture or recording, ``what``, where SDR is needed."""
    is_still = what == "picture"
    way_out = f": {WAYS_OF_HDR}" if is_still else "."
    more = "" if is_still else " Record with HDR off, or export it as SDR first."
    return HighDynamicRange(
        f"{name} is an HDR {what} ({curve}){way_out}",
        1,
        remedy="Its levels do not mean what they mean on an SDR screen: nothing in it would count "
        f"as over-exposed.{more}",
    )


def hdr_among(paths: Iterable[Path]) -> str:
    """What to do with HDR files among those that are left out; empty where there are none."""
    found = any(_begins_as_hdr(path) for path in paths)
    return f" HDR: {WAYS_OF_HDR}" if found else ""


def _begins_as_hdr(path: Path) -> bool:
    if format_of(first_bytes(path)[:HEAD]) is None:
        return False
    with suppress(OSError), open_regular(path, MOST_PICTURE) as file:
        data = file.read(BEGINNING)
        return bool(hdr_curve(data, read_header(data)))
    return False


def hdr_curve(data: bytes, header: Header | None = None) -> str:
    """What makes a picture HDR: PQ, HLG, `LIGHT` or a format of HDR only; empty if it is not."""
    kind = format_of(data[:HEAD]) or ""
    if kind in LINEAR_FORMATS:
        return "" if kind == "JPEG XR" and is_sdr(data) else kind
    if header is not None and header.floating:
        return LIGHT
    if kind == "JPEG XL":
        return _curve_of_jpegxl(data)
    if kind in ("AVIF", "HEIC"):
        return _curve_of_boxes(data)
    if kind == "PNG":
        stated = next((bytes(each) for name, each in png_chunks(data) if name == b"cICP"), b"")
        if len(stated) == 4:  # counts before any profile
            return CURVES.get(stated[1], "")
    return curve_of_profile(profile_of(data))


def has_gain_map(data: bytes) -> bool:
    """Whether a picture comes with a map that makes an HDR picture of it."""
    kind = format_of(data[:HEAD])
    if kind in ("AVIF", "HEIC"):
        with suppress(ValueError):
            return read_stated(data).has_gain_map
    if kind == "JPEG XL":
        found = (data[at : at + 4] if each == b"brob" else each for each, at, _ in boxes_of(data))
        return b"jhgm" in found
    if kind != "JPEG":
        return False
    if any(GAIN_MAP.search(data, at, end) for at, end in _segments(data, APP1, APP2)):
        return True
    # Apple says so in the second picture only, which follows the first.
    return b"MPF\0" in data[: 1 << 18] and b"HDRGainMap" in data


def has_residual(data: bytes) -> bool:
    """Whether a JPEG is a JPEG XT: beside its SDR picture is what makes HDR of it."""
    if format_of(data[:HEAD]) != "JPEG":
        return False
    parts = (data[at : at + 16] for at, _ in _segments(data, APP11))
    return any(part[:2] == b"JP" and part[12:16] in (b"RESI", b"SPEC") for part in parts)


def profile_of(data: bytes) -> bytes:
    """The colour profile in a picture's file, or its first part; empty if there is none."""
    reader = PROFILES.get(format_of(data[:HEAD]) or "")
    with suppress(struct.error, zlib.error, ValueError):
        return reader(data) if reader else b""
    return b""


def curve_of_profile(profile: bytes) -> str:
    """The HDR curve that an ICC profile states, by its cicp tag or its name."""
    tags = dict(tags_of(profile))
    stated = tags.get(b"cicp", b"")
    if len(stated) >= 12:
        return CURVES.get(stated[9], "")
    named = MADE.search(tags.get(b"desc", b"").replace(b"\0", b""))
    if not named:
        return ""
    return "HLG" if named.group().upper().startswith((b"HLG", b"HYBRID")) else "PQ"


def tags_of(profile: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Signature and content of each tag of an ICC profile; none of one that is damaged."""
    with suppress(struct.error):
        (count,) = struct.unpack_from(">I", profile, 128)
        for place in range(132, 132 + 12 * min(count, 200), 12):
            tag, at, length = struct.unpack_from(">4sII", profile, place)
            yield tag, profile[at : at + length]


def _curve_of_jpegxl(data: bytes) -> str:
    stated = read_codestream(data)
    if stated is None:
        return ""
    if stated.curve == LINEAR:
        is_beyond = stated.peak_nits is not None and stated.peak_nits > DEFAULT_NITS
        return LIGHT if stated.floating or is_beyond else ""
    return CURVES.get(stated.curve, "")


def _curve_of_boxes(data: bytes) -> str:
    """Of AVIF and HEIF: the curve in a colour box, by its number or its profile.

    That of the primary picture; of all where it is not known which is whose.
    """
    with suppress(ValueError):
        stated = read_stated(data)
        by_number = CURVES.get(stated.colour[1], "") if stated.colour else ""
        return by_number or curve_of_profile(stated.profile)
    for found in re.finditer(rb"colr(nclx..(..)|prof|rICC)", data[:MOST_BOX], re.DOTALL):
        number = found.group(2)
        if number:
            curve = CURVES.get(int.from_bytes(number, "big"), "")
        else:
            curve = curve_of_profile(data[found.end() : found.end() + MOST_BOX])
        if curve:
            return curve
    return ""


def _segments(data: bytes, *wanted: int) -> Iterator[tuple[int, int]]:
    """Where the contents of a JPEG's segments of some markers begin and end, before its pixels."""
    with suppress(struct.error):
        for marker, at in jpeg_markers(data):
            if marker == START_OF_SCAN:
                return
            if marker in wanted:
                yield at + 2, at + struct.unpack_from(">H", data, at)[0]


def _of_png(data: bytes) -> bytes:
    for kind, content in png_chunks(data):
        if kind == b"iCCP":
            _, _, packed = bytes(content).partition(b"\0")
            return zlib.decompressobj().decompress(packed[1:], MOST_PROFILE)
    return b""


def _of_jpeg(data: bytes) -> bytes:
    parts = [data[at:end] for at, end in _segments(data, APP2) if data.startswith(ICC_IN_JPEG, at)]
    return b"".join(part[len(ICC_IN_JPEG) + 2 :] for part in sorted(parts))


def _of_webp(data: bytes) -> bytes:
    if data[12:16] != b"VP8X" or data[30:34] != b"ICCP":  # which comes first
        return b""
    (length,) = struct.unpack_from("<I", data, 34)
    return data[38 : 38 + length]


def _of_bmp(data: bytes) -> bytes:
    size, kind = struct.unpack_from("<I", data, 14)[0], struct.unpack_from("<I", data, 70)[0]
    if size < 124 or kind != PROFILE_OF_BMP:
        return b""
    at, length = struct.unpack_from("<II", data, 126)
    return data[14 + at : 14 + at + length]


def _of_boxes(data: bytes) -> bytes:
    """The one that the file holds, else one of what it states by numbers."""
    stated = read_stated(data)
    primaries, curve = stated.colour[:2] if stated.colour else (0, 0)
    return stated.profile or profile_by_numbers(primaries, curve, stated.grey)


def _of_jpegxl(data: bytes) -> bytes:
    """One of what the file states; the one that it holds is compressed, and is not read."""
    stated = read_codestream(data)
    if stated is None or stated.by_profile:
        return b""
    exponent = EXPONENTS.get(stated.curve) if stated.exponent is None else stated.exponent
    return make_profile(stated.primaries, exponent, stated.grey)


PROFILES = {
    "PNG": _of_png,
    "JPEG": _of_jpeg,
    "WebP": _of_webp,
    "TIFF": tiff_profile,
    "BMP": _of_bmp,
    "AVIF": _of_boxes,
    "HEIC": _of_boxes,
    "JPEG XL": _of_jpegxl,
}
