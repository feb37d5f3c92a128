"""Pictures of common formats whose levels are PQ or HLG -> light: by cICP, or by their profile.

PNG of 8 and 16 bits has a chunk for it; of any format, a profile may say it.

References
----------
.. [1] W3C: Portable Network Graphics (PNG) Specification, third edition, 2025: cICP.
.. [2] ICC.1:2022, 9.2.17: cicpTag.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.colour_profile import matrix_of
from dataset.pictures.decoding import open_checked
from dataset.pictures.dynamic_range import CURVES, curve_of_profile, profile_of, tags_of
from dataset.pictures.formats import HEAD, format_of
from dataset.pictures.hdr_limits import check_size
from dataset.pictures.hdr_picture import HdrPicture
from dataset.pictures.headers import png_chunks, read_header
from dataset.pictures.light import (
    BT2020,
    HLG,
    PQ,
    PRIMARIES,
    WHITE_NITS,
    Chromaticities,
    Light,
    Matrix,
    by_table,
    hlg_to_scene,
    in_rec709,
    pq_to_nits,
    scene_to_nits,
    to_rec709,
)
from dataset.pictures.metadata import Metadata
from dataset.pictures.picture import dpi_of, upright_samples


@dataclass(frozen=True)
class CodePoints:
    """What numbers of a picture mean, by ITU-T H.273."""

    primaries: int
    curve: int  # PQ or HLG
    matrix: int = 0  # 0: they are RGB
    full: bool = True  # range
    corners: Chromaticities = ()  # where primaries are stated as numbers

    @property
    def chromaticities(self) -> Chromaticities:
        """Raises ``ValueError`` for primaries that are not known."""
        if self.corners:
            return self.corners
        if self.primaries not in PRIMARIES:
            raise ValueError(f"its primaries are number {self.primaries}, which are not supported")
        return PRIMARIES[self.primaries]


def read_signals(data: bytes, path: Path) -> HdrPicture:
    """Read a PNG, JPEG, WebP, TIFF or BMP; raises as the readers of ``hdr.py`` do."""
    header = read_header(data)
    name = format_of(data[:HEAD]) or ""
    if header is not None:
        check_size(name, *header.size, path)
        if header.frames > 1:
            raise ValueError("it is an animation, of which only one frame would be taken")
    image = open_checked(data, path, header)
    samples, stated = upright_samples(image, data)
    points, matrix = _meaning(data)
    about = Metadata(
        exif=stated.exif, xmp=stated.upright_xmp, dpi=dpi_of(image, stated.orientation)
    )
    notes = (*stated.notes, *alpha_notes(samples, np.iinfo(samples.dtype).max))
    return HdrPicture(
        in_rec709(to_light(samples, *_ends(samples, points.full), points), matrix),
        WHITE_NITS,
        f"{name} ({CURVES[points.curve]})",
        about,
        notes,
    )


def to_light(samples: NDArray[Any], black: float, white: float, points: CodePoints) -> Light:
    """Grey or RGB, with alpha or not -> light of the same primaries, 1.0 at diffuse white.

    Parameters
    ----------
    samples : (H, W, C)
        Integers, or floats.
    black, white : float
        The samples whose signals are 0 and 1.
    """
    colour = samples[..., [0, 0, 0]] if samples.shape[2] < 3 else samples[..., :3]
    if points.curve == PQ:
        light = by_table(pq_to_nits, colour, black, white)
    elif points.curve == HLG:
        scene = by_table(hlg_to_scene, colour, black, white)
        light = scene_to_nits(scene, points.chromaticities)
    else:
        raise ValueError(f"its curve is number {points.curve}, which is not PQ or HLG")
    light *= np.float32(1 / WHITE_NITS)
    return light


def _meaning(data: bytes) -> tuple[CodePoints, Matrix]:
    """What the numbers mean, and the matrix to Rec. 709; raises ``ValueError``."""
    stated = [bytes(content) for kind, content in png_chunks(data) if kind == b"cICP"]
    stated = stated if data.startswith(b"\x89PNG") else []
    if not stated or len(stated[0]) != 4:
        return by_profile(profile_of(data))
    return _by_points(stated[0])


def by_profile(profile: bytes) -> tuple[CodePoints, Matrix]:
    """What numbers mean by a profile that says PQ or HLG, and the matrix to Rec. 709.

    Raises
    ------
    ValueError
        It says neither, or in a way that is not supported.
    """
    tag = dict(tags_of(profile)).get(b"cicp", b"")
    if len(tag) >= 12:
        return _by_points(tag[8:12])
    named = curve_of_profile(profile)  # only its name says that it is HDR
    curve = next((code for code, name in CURVES.items() if name == named), None)
    if curve is None:
        raise ValueError("its colour profile does not say that it is HDR")
    return CodePoints(BT2020, curve), _matrix_of_named(profile)


def _by_points(four: bytes) -> tuple[CodePoints, Matrix]:
    points = CodePoints(four[0], four[1], four[2], bool(four[3]))
    if points.matrix != 0:
        raise ValueError("its cICP says that it is not RGB")
    return points, to_rec709(points.chromaticities)


def _matrix_of_named(profile: bytes) -> Matrix:
    """Of a profile whose name says PQ or HLG: by its name, or by its primaries."""
    name = dict(tags_of(profile)).get(b"desc", b"").replace(b"\0", b"")
    if b"2100" in name or b"2020" in name:  # its tables map to a screen, and are not light
        return to_rec709(PRIMARIES[BT2020])
    return matrix_of(profile)


def _ends(samples: NDArray[Any], full: bool) -> tuple[float, float]:
    """Black and white; of narrow range they are at 16 and 235 of 255."""
    if full:
        return 0, float(np.iinfo(samples.dtype).max)
    unit = 1 << (8 * samples.itemsize - 8)
    return 16 * unit, 235 * unit


def alpha_notes(samples: NDArray[Any], most: int) -> tuple[str, ...]:
    """What is said of transparency, which is left out; ``most`` is opaque."""
    if samples.shape[2] in (1, 3) or samples[..., -1].min() >= most:
        return ()
    return ("its transparency left out",)
