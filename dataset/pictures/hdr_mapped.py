"""AVIF, HEIF and JPEG XL with a gain map -> light: the SDR picture, made linear, times the gains.

The map is cropped by what is said of itself, and turned by that, or else as the picture is. It must
then have the picture's shape.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.accepted import check_picture
from dataset.pictures.exif import turn
from dataset.pictures.extra_decoding import unpacked_boxes
from dataset.pictures.formats import HEAD, format_of
from dataset.pictures.hdr_limits import check_size
from dataset.pictures.hdr_picture import HdrPicture
from dataset.pictures.hdr_signals import alpha_notes
from dataset.pictures.light import WHITE_NITS
from dataset.pictures.mapped_light import with_gains
from dataset.pictures.metadata import Metadata, without_gain_map
from dataset.pictures.modern import read_levels, read_modern, size_of_modern
from dataset.pictures.stored_map import StoredMap, map_in_boxes, map_of_jpegxl

NAMES = {"AVIF": "AVIF", "HEIC": "HEIF", "JPEG XL": "JPEG XL"}
MOST_ASKEW = 0.1  # of a side of the map; sides of maps are rounded


def read_mapped(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    kind = format_of(data[:HEAD]) or ""
    check_size(kind, *size_of_modern(check_picture(data, path)), path)
    base = read_modern(data, path)
    about, samples = base.metadata, base.samples
    found = _found(kind, data, about.exif, path)
    levels = turn(read_levels(found.picture, path), found.orientation)
    _check_shape(levels, samples)
    return HdrPicture(
        with_gains(samples, about.icc or b"", levels, found.formula, found.own),
        WHITE_NITS,
        f"{NAMES[kind]} with a gain map",
        _without_map(about),
        base.notes + alpha_notes(samples, np.iinfo(samples.dtype).max),
        knows_white=True,
    )


def _found(kind: str, data: bytes, exif: bytes | None, path: Path) -> StoredMap:
    if kind == "JPEG XL":
        boxes = unpacked_boxes(data, path, b"jhgm")
        return map_of_jpegxl(boxes.get(b"jhgm", b""))
    return map_in_boxes(data, exif)


def _check_shape(levels: NDArray[Any], samples: NDArray[Any]) -> None:
    """Refuse a map that was turned or cropped otherwise than its picture."""
    down, across = levels.shape[:2]
    wanted = across * samples.shape[0] / samples.shape[1]
    if abs(down - wanted) > max(2, MOST_ASKEW * wanted):
        raise ValueError("its gain map has another shape than its picture")


def _without_map(about: Metadata) -> Metadata:
    xmp = without_gain_map(about.xmp) if about.xmp else None
    return replace(about, icc=None, xmp=xmp)
