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

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.pictures.apple_gain_map import apply_apples, headroom_of, is_apples
from dataset.pictures.colour_profile import linearized, matrix_of
from dataset.pictures.decoding import open_checked, read_samples
from dataset.pictures.dynamic_range import APP1, APP2, profile_of
from dataset.pictures.exif import turn
from dataset.pictures.gain_map import ISO, LONGEST_MARK, apply, read_gain_map
from dataset.pictures.hdr_limits import check_size
from dataset.pictures.hdr_picture import HdrPicture
from dataset.pictures.headers import START_OF_SCAN, jpeg_markers, read_header
from dataset.pictures.light import (
    WHITE_NITS,
    Light,
    Matrix,
    by_matrix,
    in_rec709,
    srgb_to_linear,
)
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
    gains = cv2.resize(gains, samples.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    gains = gains.reshape(*samples.shape[:2], -1)
    light, matrix = _linear(samples, profile_of(data))
    if is_apples(xmp) and len(iso) <= LONGEST_MARK:  # ISO's words say more
        light = apply_apples(light, gains, headroom_of(xmp, image.info.get("exif")))
    else:
        gain_map = read_gain_map(iso, xmp)
        if gain_map.in_own_space:
            light, matrix = _in_space_of(profile_of(behind), light, matrix)
        light = apply(light, gains, gain_map)
    about = stated.upright_xmp
    return HdrPicture(
        in_rec709(light, matrix),
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


def _levels(data: bytes, path: Path) -> Light:
    """The map, grey or RGB, in [0, 1]; how it says that it is turned does not count [1]_."""
    header = read_header(data)
    if header is None or header.cmyk:
        raise ValueError("its gain map is damaged or cut off")
    check_size("JPEG", *header.size, path)
    samples = read_samples(open_checked(data, path, header), data)
    return np.divide(samples, np.float32(255), dtype=np.float32)


def _in_space_of(profile: bytes, light: Light, matrix: Matrix) -> tuple[Light, Matrix]:
    """Light of other primaries in those of a profile, and their matrix to Rec. 709."""
    own = matrix_of(profile)
    return by_matrix(light, np.linalg.inv(own) @ matrix), own


def _linear(samples: NDArray[Any], profile: bytes) -> tuple[Light, Matrix]:
    """Light of the SDR picture in its own primaries, and their matrix to Rec. 709."""
    levels = (np.arange(256) / 255)[None, :, None].repeat(3, axis=2)
    curves = linearized(levels, profile) if profile else srgb_to_linear(levels)
    colour = samples[..., [0, 0, 0]] if samples.shape[2] < 3 else samples
    light = np.stack([curves[0, :, at][colour[..., at]] for at in range(3)], axis=2)
    return light, matrix_of(profile) if profile else np.eye(3)
