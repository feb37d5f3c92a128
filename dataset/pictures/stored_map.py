"""The gain map in an AVIF, HEIF or JPEG XL: where it is, and by which formula it is applied.

An AVIF or HEIF has it as a picture beside the primary one: of a tone-mapped picture (tmap) that is
made of both, or as the auxiliary one of a maker: Apple's, or Samsung's, whose metadata are Adobe's.
Where both are, ISO's words count. A JPEG XL has a box.

References
----------
.. [1] ISO/IEC 23008-12: HEIF, tmap. ISO 21496-1:2025, annex C. ISO/IEC 18181-2: jhgm.
"""

from __future__ import annotations

from dataclasses import dataclass

from dataset.pictures.apple_gain_map import headroom_of
from dataset.pictures.boxes import (
    Items,
    colour_of,
    is_gain_map,
    orientation_by,
    profile_in,
    read_items,
    xmp_about,
)
from dataset.pictures.colour_profile import matrix_of
from dataset.pictures.gain_map import read_gain_map
from dataset.pictures.jpegxl import read_colour
from dataset.pictures.light import PRIMARIES, Matrix, to_rec709
from dataset.pictures.mapped_light import Formula, in_own_space
from dataset.pictures.one_item import alone

UNSTATED = 2  # code point of primaries
NONE_KNOWN = "its gain map is missing, or of an unknown kind"
DAMAGED = "the metadata of its gain map are damaged"


@dataclass(frozen=True, eq=False)
class StoredMap:
    """A gain map."""

    picture: bytes  # a file of its own
    formula: Formula
    own: Matrix | None = None  # to Rec. 709, from the primaries of which its gains are
    orientation: int = 1  # that it has beside its own


def map_in_boxes(data: bytes, exif: bytes | None) -> StoredMap:
    """Of an AVIF or HEIF with this EXIF.

    Raises
    ------
    ValueError
        It is missing, damaged, or asks for what is not supported.
    """
    items = read_items(data)
    for item, kind in items.kinds.items():
        made_of = items.referred(b"dimg", item) if kind == b"tmap" else ()
        if len(made_of) == 2 and made_of[0] == items.primary:
            return _of_iso(items, item, made_of[1])
    for item in items.referring(b"auxl", items.primary):
        if is_gain_map(data, items.properties_of(item)):
            xmp = xmp_about(items, item) or b""
            is_adobes = b"hdrgm:" in xmp
            return _stored(
                items, item, read_gain_map(b"", xmp) if is_adobes else headroom_of(xmp, exif)
            )
    raise ValueError(NONE_KNOWN)


def map_of_jpegxl(content: bytes) -> StoredMap:
    """Of the content of a box jhgm; raises as `map_in_boxes`."""
    if not content:
        raise ValueError(NONE_KNOWN)
    if content[0]:
        raise ValueError("its gain map is of a later version of JPEG XL")
    metadata, at = _counted(content, 1, 2)
    colour, at = _counted(content, at, 1)
    profile, at = _counted(content, at, 4)
    formula = read_gain_map(metadata, b"")
    own = None
    if in_own_space(formula) and colour:
        own = to_rec709(read_colour(colour))
    elif in_own_space(formula) and profile:
        raise ValueError("its gain map is in the space of a profile, which is not read in JPEG XL")
    return StoredMap(content[at:], formula, own)


def _of_iso(items: Items, item: int, picture: int) -> StoredMap:
    content = items.content_of(item)
    if content[0]:
        raise ValueError("its gain map is of a later version of ISO 21496-1")
    formula = read_gain_map(content[1:], b"")
    own = _space_of(items, item) if in_own_space(formula) else None
    return _stored(items, picture, formula, own)


def _stored(items: Items, item: int, formula: Formula, own: Matrix | None = None) -> StoredMap:
    """A map that does not say how it is turned is stored as its picture is: Samsung's."""
    picture = alone(items, item)
    is_turned = orientation_by(items.data, items.properties_of(item)) is not None
    base = orientation_by(items.data, items.properties_of(items.primary)) or 1
    return StoredMap(picture, formula, own, 1 if is_turned else base)


def _space_of(items: Items, item: int) -> Matrix | None:
    """The matrix to Rec. 709 from what a picture states; None: it states nothing."""
    used = items.properties_of(item)
    profile, numbers = profile_in(items.data, used), colour_of(items.data, used)
    if profile:
        return matrix_of(profile)
    if numbers is None or numbers[0] == UNSTATED:
        return None
    if numbers[0] not in PRIMARIES:
        raise ValueError(f"the primaries of its gain map are number {numbers[0]}, not supported")
    return to_rec709(PRIMARIES[numbers[0]])


def _counted(content: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Bytes whose number, of this size, precedes them, and where they end."""
    begin = at + size
    end = begin + int.from_bytes(content[at:begin], "big")
    if end > len(content):
        raise ValueError(DAMAGED)
    return content[begin:end], end
