"""An HDR picture file -> `HdrPicture`: linear light of Rec. 709's primaries, 1.0 at diffuse white.

Absolute formats (PQ, scRGB) have diffuse white at `WHITE_NITS`; HLG is shown on its nominal display
of 1000 cd/m2, where 75 % is diffuse white. OpenEXR and Radiance HDR are light of a scene: their 1.0
is theirs. Each format has its reader; nothing is decoded before its size is known to be allowed.
Nothing here shows HDR on a screen or writes it. SDR pictures are read by ``picture.py``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dataset.errors import UserError
from dataset.gate import MOST_PICTURE, is_regular, open_regular, read_regular
from dataset.pictures.boxes import boxes_of
from dataset.pictures.decoding import decoding
from dataset.pictures.dynamic_range import MOST_BOX, has_gain_map, hdr_curve
from dataset.pictures.formats import HEAD, MOST_VIDEO, first_bytes, format_of
from dataset.pictures.hdr_exr import read_exr
from dataset.pictures.hdr_heif import read_avif, read_heif
from dataset.pictures.hdr_jpeg import read_jpeg
from dataset.pictures.hdr_jpegxl import read_jpegxl
from dataset.pictures.hdr_jpegxr import read_jpegxr
from dataset.pictures.hdr_mapped import read_mapped
from dataset.pictures.hdr_picture import HdrPicture, finished
from dataset.pictures.hdr_radiance import read_radiance
from dataset.pictures.hdr_signals import read_signals
from dataset.pictures.hdr_tiff import read_tiff
from dataset.pictures.headers import read_header
from dataset.pictures.light import WHITE_NITS, in_gamut

__all__ = ["WHITE_NITS", "HdrPicture", "decode_hdr", "in_gamut", "is_hdr", "read_hdr"]

Reader = Callable[[bytes, Path], HdrPicture]
READERS: dict[str, Reader] = {  # by formats.SIGNATURES
    **dict.fromkeys(("PNG", "JPEG", "WebP", "BMP"), read_signals),
    "TIFF": read_tiff,
    "AVIF": read_avif,
    "HEIC": read_heif,
    "JPEG XL": read_jpegxl,
    "JPEG XR": read_jpegxr,
    "OpenEXR": read_exr,
    "Radiance HDR": read_radiance,
}

BOXED = ("AVIF", "HEIC")
OF_MAPS: dict[str, Reader] = {  # of SDR pictures with a gain map
    "JPEG": read_jpeg,
    **dict.fromkeys(("AVIF", "HEIC", "JPEG XL"), read_mapped),
}

SAID_FIRST = ("OpenEXR", "Radiance HDR", *BOXED)  # the beginning says it


def is_hdr(source: str | Path | bytes) -> bool:
    """Whether a file, or its bytes, is HDR and cannot be read as SDR; one that is not read is not.

    A picture with a gain map is SDR, although `read_hdr` reads it.
    """
    if not isinstance(source, bytes):
        try:
            source = _enough_of(Path(source))
        except OSError:
            return False
    return bool(hdr_curve(source, read_header(source)))


def _enough_of(path: Path) -> bytes:
    """The part of a file that says whether it is HDR; empty if it is of no format that is read."""
    head = first_bytes(path)
    kind = format_of(head[:HEAD])
    if kind not in READERS:
        return b""
    is_near = kind == "JPEG XR" and int.from_bytes(head[4:8], "little") < MOST_BOX // 2
    if kind in SAID_FIRST or is_near:  # the directory of a JPEG XR may lie anywhere
        with open_regular(path, MOST_VIDEO) as file:  # reading it refuses what is too large
            begin = file.read(MOST_BOX)
        if kind not in BOXED or any(each == b"meta" for each, _, _ in boxes_of(begin)):
            return begin  # else its pixels come before what says it, as in Samsung's
    return read_regular(path, MOST_PICTURE)


def read_hdr(path: str | Path) -> HdrPicture:
    """Read an HDR picture file, upright.

    Raises
    ------
    UserError
        It cannot be read, is not HDR, is of no HDR format that is read, is damaged, cut off, over
        a limit of ``limits.py`` or over the free memory, or a package is missing that reads it.
    """
    path = Path(path)
    try:
        data = read_regular(path, MOST_PICTURE)
    except OSError as error:
        if os.path.exists(path) and not is_regular(path):
            raise UserError(f"{path} is not a file. Name a picture.", 1) from error
        raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error
    return decode_hdr(data, path)


def decode_hdr(data: bytes, name: str | Path) -> HdrPicture:
    """Decode a file's bytes; raises as `read_hdr`. ``name`` is what errors call it."""
    path, kind = Path(name), format_of(data[:HEAD]) or ""
    curve = hdr_curve(data, read_header(data))
    if not curve and not has_gain_map(data):
        raise UserError(
            f"{path} is not HDR, or is damaged.",
            1,
            remedy="SDR pictures are for `cli restore` and `cli import`.",
        )
    reader = (READERS if curve else OF_MAPS).get(kind)
    if reader is None:
        raise UserError(
            f"{path} is HDR {kind} ({curve}), which is not read.",
            1,
            remedy="Save it as PNG with PQ, or as OpenEXR.",
        )
    with decoding(path, "save it as OpenEXR"):
        return finished(reader(data, path))
