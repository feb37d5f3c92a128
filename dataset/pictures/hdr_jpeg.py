"""JPEG with a gain map -> light: the SDR picture, made linear, times the gains of the map.

Diffuse white is the white of the SDR picture. The map is a JPEG of its own behind the picture, as
in Ultra HDR, Adobe's and ISO 21496-1's files; Apple's has a formula of its own.

References
----------
.. [1] Google: Ultra HDR image format 1.1. CIPA DC-007: Multi-Picture Format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dataset.pictures.apple_gain_map import headroom_of, is_apples
from dataset.pictures.colour_profile import matrix_of
from dataset.pictures.decoding import open_checked, read_samples
from dataset.pictures.dynamic_range import APP1, APP2, profile_of
from dataset.pictures.exif import turn
from dataset.pictures.gain_map import ISO, LONGEST_MARK, read_gain_map
from dataset.pictures.hdr_limits import check_size
from dataset.pictures.hdr_picture import HdrPicture
from dataset.pictures.headers import START_OF_SCAN, jpeg_markers, read_header
from dataset.pictures.light import WHITE_NITS
from dataset.pictures.mapped_light import Formula, in_own_space, with_gains
from dataset.pictures.metadata import Metadata, without_gain_map
from dataset.pictures.picture import dpi_of, upright_samples

XMP = b"http://ns.adobe.com/xap/1.0/\0"
MOST_PICTURES = 16  # in a file


def read_jpeg(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    header = read_header(data)
    if header is None:
        raise ValueError("its header is damaged or cut off")
    check_size("JPEG", *header.size, path)
    iso, xmp, behind = _map_of(data)
    image = open_checked(data, path, header)
    samples, stated = upright_samples(image, data)
    gains = turn(_levels(behind, path), stated.orientation)
    if is_apples(xmp) and len(iso) <= LONGEST_MARK:  # ISO's words say more
        formula: Formula = headroom_of(xmp, image.info.get("exif"))
    else:
        formula = read_gain_map(iso, xmp)
    own = matrix_of(profile_of(behind)) if in_own_space(formula) else None
    light = with_gains(samples, profile_of(data), gains, formula, own)
    about = stated.upright_xmp
    return HdrPicture(
        light,
        WHITE_NITS,
        "JPEG with a gain map",
        Metadata(
            exif=stated.exif,
            xmp=without_gain_map(about) if about else None,
            dpi=dpi_of(image, stated.orientation),
        ),
        stated.notes,
        knows_white=True,
    )


def _map_of(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The gain map's metadata, ISO's and XMP, and its JPEG; raises ``ValueError``."""
    for begin in _pictures(data):
        behind = data[begin:]
        iso, xmp = _stated(behind, APP2, ISO), _stated(behind, APP1, XMP)
        if len(iso) > LONGEST_MARK or b"hdrgm:" in xmp or is_apples(xmp):
            return iso, xmp, behind
    raise ValueError("its gain map is missing, or of an unknown kind")


def _pictures(data: bytes) -> Iterator[int]:
    """Where the JPEGs behind the first one begin."""
    at = _end(data, 0)
    for _ in range(MOST_PICTURES):
        at = data.find(b"\xff\xd8\xff", at)
        if at < 0:
            return
        yield at
        at = max(_end(data, at), at + 3)


def _end(data: bytes, begin: int) -> int:
    """Behind the last marker of the JPEG that begins there."""
    last, view = 2, data[begin:]
    try:
        for _, at in jpeg_markers(view):
            last = at
    except struct.error:
        return len(data)
    found = view.find(b"\xff\xd9", last)
    return len(data) if found < 0 else begin + found + 2


def _stated(data: bytes, marker: int, name: bytes) -> bytes:
    """The content of the first such segment of a JPEG."""
    try:
        for kind, at in jpeg_markers(data):
            if kind == START_OF_SCAN:
                return b""
            length = struct.unpack_from(">H", data, at)[0]
            if kind == marker and data.startswith(name, at + 2):
                return data[at + 2 + len(name) : at + length]
    except struct.error:
        pass
    return b""


def _levels(data: bytes, path: Path) -> NDArray[Any]:
    """The map, grey or RGB; how it says that it is turned does not count [1]_."""
    header = read_header(data)
    if header is None or header.cmyk:
        raise ValueError("its gain map is damaged or cut off")
    check_size("JPEG", *header.size, path)
    return read_samples(open_checked(data, path, header), data)
