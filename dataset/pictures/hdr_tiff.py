"""TIFF of floating-point samples -> light of a scene, by the package imagecodecs.

Half, single and double floats, grey and RGB. Without a profile they are taken as linear, of Rec.
709's primaries, which the user is told; a profile says otherwise. TIFF of PQ or HLG is read by
``hdr_signals.py``.

References
----------
.. [1] Adobe: TIFF revision 6.0, 1992; Technical Note 3, 2005 (floating-point samples).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dataset.pictures import tiff
from dataset.pictures.accepted import check_single
from dataset.pictures.colour_profile import is_linear, linearized, matrix_of
from dataset.pictures.exif import ORIENTATION, swaps_sides
from dataset.pictures.hdr_limits import check_size, package
from dataset.pictures.hdr_picture import HdrPicture, turned
from dataset.pictures.hdr_signals import alpha_notes, read_signals
from dataset.pictures.headers import FLOAT, LOG_LUV, read_header, tiff_profile
from dataset.pictures.hushed import hushed
from dataset.pictures.light import Light, in_rec709
from dataset.pictures.metadata import Metadata

INCH, CENTIMETRE = 2, 3  # units of resolution
BLACK_IS_0, RGB = 1, 2  # photometric interpretations
MOST_TILE = 1 << 22  # pixels
ASSUMED = "its light is taken as linear, of Rec. 709's primaries: it has no colour profile"


def read_tiff(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    header = read_header(data)
    if header is None:
        raise ValueError("its header is damaged or cut off")
    if not header.floating:
        return read_signals(data, path)
    check_size("TIFF", *header.size, path)
    check_single(path, header.pages, "pages")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tags = tiff.directory_of(data)
        _check_kind(tags, header.size)
        tiff.check_whole(tags, data)
        exif = _exif(data)
    samples = _decoded(data, path)
    if tags.get(284) == tiff.SEPARATE and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, 2)
    width, height = header.size
    if samples.shape[:2] != (height, width) or samples.dtype.kind != "f":
        raise ValueError("its pixels are not what it states")
    samples = samples.reshape(height, width, -1)
    colour = samples[..., [0, 0, 0]] if samples.shape[2] < 3 else samples[..., :3]
    light, notes = _by_profile(colour, tiff_profile(data))
    turns = tags.get(ORIENTATION, 1)
    turns = turns if turns in range(1, 9) else 1
    about = Metadata(exif=exif, xmp=_xmp(tags), dpi=_dpi(tags, turns))
    notes += alpha_notes(samples, 1)
    return turned(HdrPicture(light, None, "TIFF (floating-point)", about, notes), turns)


def _check_kind(tags: ImageFileDirectory_v2, size: tuple[int, int]) -> None:
    """Raises ``ValueError`` for samples that are not plain light."""
    if (tags.get(256), tags.get(257)) != size:
        raise ValueError("it states two different sizes")
    if tags.get(262) in LOG_LUV:
        raise ValueError("its pixels are LogLuv, which is not supported")
    if set(tags.get(339, ())) != {FLOAT} or tags.get(262) not in (BLACK_IS_0, RGB):
        raise ValueError("its samples are not floating-point grey or RGB")
    channels, tile = tags.get(277, 1), (tags.get(322, 1), tags.get(323, 1))
    if not 1 <= channels <= 4:
        raise ValueError(f"it has {channels} channels")
    if tile[0] * tile[1] > max(size[0] * size[1], MOST_TILE):
        raise ValueError("its tiles are larger than its picture")


def _decoded(data: bytes, path: Path) -> Any:
    codecs = package("imagecodecs", "imagecodecs", path, "floating-point TIFF")
    try:
        with hushed():
            return codecs.tiff_decode(data)
    except RuntimeError as error:
        raise ValueError("it is damaged, cut off, or compressed in a rare way") from error


def _by_profile(colour: Any, profile: bytes) -> tuple[Light, tuple[str, ...]]:
    if not profile:
        return np.asarray(colour, np.float32), (ASSUMED,)
    if not is_linear(profile):
        colour = linearized(colour, profile)
    return in_rec709(np.asarray(colour, np.float32), matrix_of(profile)), ()


def _exif(data: bytes) -> bytes | None:
    try:
        found = Image.Exif()
        found.load(data)
        return tiff.subject_of(found)
    except tiff.DAMAGED:
        return None


def _xmp(tags: ImageFileDirectory_v2) -> bytes | None:
    found: Any = tags.get(700)
    found = b"".join(found) if isinstance(found, tuple) and isinstance(found[0], bytes) else found
    return found if isinstance(found, bytes) and found else None


def _dpi(tags: ImageFileDirectory_v2, turns: int) -> tuple[float, float] | None:
    unit = {INCH: 1.0, CENTIMETRE: 2.54}.get(tags.get(296, INCH))
    if unit is None or 282 not in tags or 283 not in tags:
        return None
    across, down = (float(tags[tag]) * unit for tag in (282, 283))
    if not (1 <= across <= 65_535 and 1 <= down <= 65_535):
        return None
    return (down, across) if swaps_sides(turns) else (across, down)
