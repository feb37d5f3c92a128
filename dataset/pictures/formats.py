"""The formats of pictures and videos: one list for import, restore, evaluate and the pages.

A file's format is recognized by its first bytes, never by its name. Decodes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from dataset.errors import UserError
from dataset.gate import open_regular

SUFFIXES = {  # of the picture formats that are read and written; the first is the usual one
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "WebP": (".webp",),
    "TIFF": (".tiff", ".tif"),
    "BMP": (".bmp",),
}
PICTURES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
HDR_PICTURES = (  # usual suffixes of formats that are read as HDR only
    *(".jxr", ".wdp", ".hdp", ".exr", ".hdr", ".avif", ".heic", ".heif", ".hif", ".jxl"),
)
VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".flv", ".m4v", ".ts", ".m2ts", ".mts")
WRITTEN_VIDEOS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}  # FFmpeg's names

SIGNATURES = {  # how files begin, also of formats that are not read
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WebP": rb"RIFF....WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "GIF": rb"GIF8",
    "AVIF": rb"....ftypavi[fs]",
    "HEIC": rb"....ftyp(hei|hev|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|....JXL ",
    "JPEG XR": rb"II\xbc[\0\1]",
    "JPEG 2000": rb"....jP  |\xff\x4f\xff\x51",
    "OpenEXR": rb"v/1\x01",
    "Radiance HDR": rb"#\?R(ADIANCE|GBE)",
    "Photoshop": rb"8BPS",
    "PDF": rb"%PDF",
    "BMP": rb"BM....\0\0\0\0",  # a length, then two reserved numbers
}
VIDEO_SIGNATURES = (  # of what `VIDEOS` stand for, unless it is a picture
    rb"\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|....(ftyp|moov|mdat|wide|free|skip)"
    rb"|(....)?G.{187}(....)?G"  # of MPEG transport streams, each packet of 188 bytes
)
HEAD = 16  # first bytes, enough to recognize a format
VIDEO_HEAD = 512
MOST_KINDS = 8  # that are named
MOST_VIDEO = 1 << 50  # bytes: no limit, as a video is read piece by piece


def format_of(head: bytes) -> str | None:
    """The format of a file by its first `HEAD` bytes: a key of `SIGNATURES`; None: no picture.

    Examples
    --------
    >>> format_of(b"GIF89a")
    'GIF'
    """
    found = (name for name, pattern in SIGNATURES.items() if re.match(pattern, head, re.DOTALL))
    return next(found, None)


def readable_format(head: bytes, name: str | Path) -> str:
    """The format of a file by its first `HEAD` bytes: a key of `SUFFIXES`.

    Raises
    ------
    UserError
        It is of another format, or no picture. ``name`` is what the message calls the file.
    """
    found = format_of(head)
    if found in SUFFIXES:
        return found
    what = f"is {found}" if found else "is not a picture" if head else "is empty (0 bytes)"
    raise UserError(
        f"{name} {what}.",
        1,
        remedy=f"Readable are {', '.join(SUFFIXES)}: convert it to PNG, or leave it out.",
    )


def format_for(suffix: str) -> str | None:
    """The picture format that a suffix stands for, in any case; None: none that is written.

    Examples
    --------
    >>> format_for(".JPG")
    'JPEG'
    """
    return next((name for name, all_ in SUFFIXES.items() if suffix.lower() in all_), None)


def media_type(name: str) -> str:
    """The MIME type of a key of `SUFFIXES`.

    Examples
    --------
    >>> media_type("WebP")
    'image/webp'
    """
    return f"image/{name.lower()}"


def is_video(path: Path) -> bool:
    """Whether a file is a video: by its first bytes, or its suffix where those say nothing."""
    head = first_bytes(path)
    if format_of(head) is not None:
        return False
    if re.match(VIDEO_SIGNATURES, head, re.DOTALL):
        return True
    return path.suffix.lower() in VIDEOS


def first_bytes(path: Path) -> bytes:
    """The first `VIDEO_HEAD` bytes; none of a file that cannot be read, which shows later."""
    try:
        with open_regular(path, MOST_VIDEO) as file:
            return file.read(VIDEO_HEAD)
    except OSError:
        return b""


def left_out(paths: Iterable[Path]) -> str:
    """How many files of which formats were left out, in words; empty if none.

    Those of no known format go by their suffix.
    """
    counts = sorted(Counter(map(_kind, paths)).items(), key=lambda each: (-each[1], each[0]))
    named = [f"{count:,} {kind}" for kind, count in counts[:MOST_KINDS]]
    others = sum(count for _, count in counts[MOST_KINDS:])
    return ", ".join([*named, *([f"{others:,} more"] if others else [])])


def _kind(path: Path) -> str:
    found = format_of(first_bytes(path))
    return found if found and found not in SUFFIXES else path.suffix.lower() or "without a suffix"


def is_readable(path: Path) -> bool:
    """Whether a file found in a folder is a picture or a video by its suffix.

    TypeScript has a suffix of MPEG transport streams: such files are looked into.
    """
    suffix = path.suffix.lower()
    return suffix in PICTURES + VIDEOS and not (suffix == ".ts" and _is_typescript(path))


def _is_typescript(path: Path) -> bool:
    """Whether a ``.ts`` lacks the first byte of an MPEG transport stream."""
    return first_bytes(path)[:1] not in (b"G", b"")
