"""How a gain map makes HDR of an SDR picture: what its metadata say, and the published formula.

Adobe's and Google's (XMP), and ISO 21496-1's (binary). The map is applied in full, as on a display
with all the headroom that the picture was made for.

References
----------
.. [1] Adobe: Gain map 1.0, 2023. Google: Ultra HDR image format 1.1. ISO 21496-1:2025, annex C.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.light import Light

ISO = b"urn:iso:std:iso:ts:21496:-1\0"
LONGEST_MARK = 4  # bytes of ISO's: versions alone are of the picture that a map belongs to
MULTICHANNEL, BASE_SPACE, BACKWARD, COMMON = 0x80, 0x40, 0x04, 0x08  # flags of ISO's
MOST_STOPS = 32.0
Three = NDArray[np.float64]  # one number for each of RGB


@dataclass(frozen=True)
class GainMap:
    """What the metadata of a gain map say, for each channel; gains are in stops (log2)."""

    least: Three
    most: Three
    gamma: Three
    offset_sdr: Three
    offset_hdr: Three
    in_own_space: bool = field(default=False, kw_only=True)  # applied in that of the map's profile

    def __post_init__(self) -> None:
        values = np.stack([self.least, self.most, self.gamma, self.offset_sdr, self.offset_hdr])
        if (
            not np.isfinite(values).all()
            or (self.gamma <= 0).any()
            or (self.most < self.least).any()
        ):
            raise ValueError("the numbers of its gain map make no sense")
        if np.abs(values[:2]).max() > MOST_STOPS or np.abs(values[3:]).max() > 1:
            raise ValueError("the numbers of its gain map make no sense")


def read_gain_map(iso: bytes, xmp: bytes) -> GainMap:
    """From either kind of metadata of the map's own picture, ISO's first.

    Raises
    ------
    ValueError
        They are damaged, or ask for what is not supported.
    """
    if len(iso) > LONGEST_MARK:
        return _of_iso(iso)
    if b"hdrgm:" in xmp:
        return _of_xmp(xmp)
    raise ValueError("its gain map has no metadata that are known")


def apply(sdr: Light, gains: NDArray[Any], about: GainMap) -> Light:
    """Light of the SDR picture, and the map's levels in [0, 1] of the same size -> HDR light."""
    levels = np.broadcast_to(gains, sdr.shape)
    found = np.empty_like(sdr)
    for at in range(3):  # one at a time, which takes a third of the memory
        share = np.clip(levels[..., at], 0, 1) ** np.float32(1 / about.gamma[at])
        share *= np.float32(about.most[at] - about.least[at])
        bright = np.exp2(share + np.float32(about.least[at]))
        bright *= sdr[..., at] + np.float32(about.offset_sdr[at])
        found[..., at] = bright - np.float32(about.offset_hdr[at])
    return np.maximum(found, 0, out=found)


def _of_iso(data: bytes) -> GainMap:
    try:
        minimum, _, flags = struct.unpack_from(">HHB", data)
        if minimum:
            raise ValueError("its gain map is of a later version of ISO 21496-1")
        if flags & BACKWARD:
            raise ValueError("its gain map makes SDR of HDR, which is not supported")
        channels = 3 if flags & MULTICHANNEL else 1
        common = bool(flags & COMMON)
        base, other = _headrooms(data, 5, common)
        numbers = _fractions(data, 5, channels, common)
    except (struct.error, ZeroDivisionError) as error:
        raise ValueError("the metadata of its gain map are damaged") from error
    if base > other:
        raise ValueError("its gain map makes SDR of HDR, which is not supported")
    stated = np.broadcast_to(np.array(numbers).T, (5, 3))
    return GainMap(*stated, in_own_space=not flags & BASE_SPACE)


def _headrooms(data: bytes, at: int, common: bool) -> tuple[float, float]:
    """Of the picture, and of what the map makes of it, in stops."""
    if common:
        below, base, other = struct.unpack_from(">3I", data, at)
        return base / below, other / below
    base, base_below, other, other_below = struct.unpack_from(">4I", data, at)
    return base / base_below, other / other_below


def _fractions(data: bytes, at: int, channels: int, common: bool) -> list[list[float]]:
    """Least, most, gamma and both offsets of each channel."""
    kinds = "iiIii"
    if common:
        (below,) = struct.unpack_from(">I", data, at)
        rows = [struct.unpack_from(f">{kinds}", data, at + 12 + 20 * n) for n in range(channels)]
        return [[each / below for each in row] for row in rows]
    layout = ">" + "".join(each + "I" for each in kinds)
    pairs = [struct.unpack_from(layout, data, at + 16 + 40 * n) for n in range(channels)]
    return [[row[n] / row[n + 1] for n in range(0, 10, 2)] for row in pairs]


def _of_xmp(xmp: bytes) -> GainMap:
    if re.search(rb"BaseRenditionIsHDR\s*(=\s*[\"']|>)\s*true", xmp, re.IGNORECASE):
        raise ValueError("its gain map makes SDR of HDR, which is not supported")
    if not _values(xmp, b"GainMapMax"):
        raise ValueError("the metadata of its gain map are damaged")
    defaults = {
        b"GainMapMin": 0.0,
        b"GainMapMax": 1.0,
        b"Gamma": 1.0,
        b"OffsetSDR": 1 / 64,
        b"OffsetHDR": 1 / 64,
    }
    found = [np.array(_values(xmp, name) or [usual]) for name, usual in defaults.items()]
    if any(len(each) not in (1, 3) for each in found):
        raise ValueError("the metadata of its gain map are damaged")
    return GainMap(*(np.broadcast_to(each, 3) for each in found))


def _values(xmp: bytes, name: bytes) -> list[float]:
    """The numbers of a property: an attribute, an element, or a list of elements."""
    number = rb"[-+.\deE]{1,40}"
    alone = re.search(rb"hdrgm:" + name + rb"\s*=\s*[\"']\s*(" + number + rb")\s*[\"']", xmp)
    if alone:
        return [float(alone[1])]
    element = re.search(
        rb"<hdrgm:" + name + rb">(.{0,2000}?)</hdrgm:" + name + rb">", xmp, re.DOTALL
    )
    if not element:
        return []
    listed = re.findall(rb"<rdf:li>\s*(" + number + rb")\s*</rdf:li>", element[1])
    return [float(each) for each in listed or [element[1]]]
