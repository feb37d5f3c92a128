"""When a picture was taken or a recording begun: by its EXIF, else by its name. Decodes nothing.

The time of a file says when it was written, which copying and unzipping change, so it is asked
last, elsewhere. Times without a zone are those of this machine's.

References
----------
.. [1] CIPA DC-008: Exchangeable image file format for digital still cameras, Exif 2.32, 2019.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from datetime import datetime

from dataset.pictures.boxes import exif_of_jpegxl, read_stated
from dataset.pictures.exif import PREFIX, date_texts
from dataset.pictures.formats import HEAD, format_of
from dataset.pictures.headers import START_OF_SCAN, jpeg_markers, png_chunks

FIRST_YEAR = 1990  # before it, a clock that was never set
APP1 = 0xE1
EXIF_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
NAMED = re.compile(  # 20240131123456_1, 2024-01-31 at 1.34.56 PM, 2024.01.31 - 12.34.56.78
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<by>[-._ ]?)(?P<month>\d\d)(?P=by)(?P<day>\d\d)"
    r"(?P<between>\D{0,12}?)"
    r"(?P<hour>\d\d?(?=[-.:_h ])|\d\d)(?P<of>[-.:_h ]?)(?P<minute>\d\d)(?P=of)(?P<second>\d\d)"
    r"(?:[-._,]?(?P<fraction>\d{2,3}))?(?!\d)"
    r"(?P<after>\s?[ap]\.?m\b)?",
    re.IGNORECASE,
)
MORNING = ("am", "오전", "上午", "午前")
EVENING = ("pm", "오후", "下午", "午後")


def taken_ns(data: bytes, name: str) -> tuple[int, str] | None:
    """Nanoseconds since 1970 at which a picture was taken, and what says so: exif or name.

    Parameters
    ----------
    data : bytes
        The encoded file.
    name : str
        Its name.
    """
    if (stated := _stated_ns(data)) is not None:
        return stated, "exif"
    named = named_ns(name)
    return None if named is None else (named, "name")


def named_ns(name: str) -> int | None:
    """Nanoseconds since 1970 of the date and time in a file's name; None if it has none.

    Examples
    --------
    >>> at = named_ns("20240131123456_1.png")
    >>> named_ns("Screenshot 2024-01-31 at 12.34.56.png") == at
    True
    >>> named_ns("2024-01-31.png") is None
    True
    """
    found = NAMED.search(name)
    if found is None:
        return None
    parts = [int(found[part]) for part in ("year", "month", "day", "hour", "minute", "second")]
    word = (found["between"] + (found["after"] or "")).lower().replace(".", "")
    if any(each in word for each in EVENING) and parts[3] < 12:
        parts[3] += 12
    elif any(each in word for each in MORNING) and parts[3] == 12:
        parts[3] = 0
    return _nanoseconds(parts, found["fraction"] or "")


def _stated_ns(data: bytes) -> int | None:
    """When its EXIF says that a picture was taken."""
    with suppress(struct.error):
        date, fraction, zone = date_texts(_exif_of(data))
        if found := EXIF_DATE.match(date):
            return _nanoseconds([int(each) for each in found.groups()], fraction, zone)
    return None


def _nanoseconds(parts: list[int], fraction: str, zone: str = "") -> int | None:
    """Of year, month, day, hour, minute, second, and the digits behind the second's point."""
    digits = re.match(r"\d*", fraction.strip())
    try:
        moment = datetime(*parts)  # type: ignore[arg-type]  # six of them
        if re.fullmatch(r"[+-]\d\d:\d\d", zone):
            moment = datetime.fromisoformat(f"{moment.isoformat()}{zone}")
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError, OSError):
        return None
    if moment.year < FIRST_YEAR:
        return None
    return seconds * 10**9 + int((digits[0] if digits else "")[:9].ljust(9, "0"))


def _exif_of(data: bytes) -> bytes:
    """The block of EXIF in a picture's file, from its byte order on; empty if there is none."""
    kind = format_of(data[:HEAD])
    if kind == "TIFF":
        return data
    if kind == "PNG":
        return next((bytes(each) for name, each in png_chunks(data) if name == b"eXIf"), b"")
    if kind == "WebP":
        return _of_webp(data)
    if kind in ("AVIF", "HEIC"):
        with suppress(ValueError):
            return read_stated(data).exif or b""
    if kind == "JPEG XL":
        return exif_of_jpegxl(data)
    return _of_jpeg(data) if kind == "JPEG" else b""


def _of_jpeg(data: bytes) -> bytes:
    for marker, at in jpeg_markers(data):
        if marker == START_OF_SCAN:
            break
        if marker == APP1 and data.startswith(PREFIX, at + 2):
            (length,) = struct.unpack_from(">H", data, at)
            return data[at + 2 + len(PREFIX) : at + length]
    return b""


def _of_webp(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            return data[at + 8 : at + 8 + length].removeprefix(PREFIX)
        at += 8 + length + length % 2
    return b""
