"""What a picture's header states: size, pages, depth, transparency; whether it is cut. No decoding.

Every number comes from the file, which may be damaged or hostile: one that makes no sense counts
as not stated, and the decoder reports what is wrong.

References
----------
.. [1] W3C: Portable Network Graphics (PNG) Specification, third edition, 2025.
.. [2] ITU-T T.81: JPEG, 1992, annex B (markers).
.. [3] Adobe: TIFF revision 6.0, 1992; and the BigTIFF design of 2004.
.. [4] Google: WebP container specification, and RFC 9649.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dataset.pictures.boxes import frames_of, read_stated
from dataset.pictures.formats import HEAD, format_of
from dataset.pictures.jpegxl import read_codestream

MOST_DIRECTORIES = 1000  # of a TIFF that are counted
# Tags of TIFF, and types of their values.
SUBFILE, WIDTH, LENGTH, BITS, PHOTOMETRIC, CHANNELS, BELOW, EXTRA, KINDS, PROFILE, DNG = (
    *(254, 256, 257, 258, 262, 277, 330, 338, 339),
    *(34675, 50706),
)
CODES = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}  # for struct, by type
READ_TAGS = (
    *(SUBFILE, WIDTH, LENGTH, BITS, PHOTOMETRIC, CHANNELS, BELOW, EXTRA, KINDS, PROFILE, DNG),
)
MOST_VALUES = 1 << 24  # of a tag
BLACK_IS_0, WHITE_IS_0, CMYK = 1, 0, 5  # photometric interpretations
FLOAT = 3  # kind of sample
LOG_LUV = (32844, 32845)
SENSOR = (32803, 34892)  # photometric interpretations: colour filter array, linear raw
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG with a size
ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without content
START_OF_SCAN, END = 0xDA, 0xD9
UNCOUNTED = 0  # frames


@dataclass(frozen=True)
class Header:
    """What a picture's header states."""

    format: str  # a key of formats.READ
    size: tuple[int, int]  # width and height, pixels
    pages: int = 1  # whole directories of a TIFF, up to `MOST_DIRECTORIES`
    scans: int = 1  # of a JPEG
    depth: int = 8  # bits of a channel, the most that the file stores; of a palette 8
    grey: bool = False
    alpha: bool = False  # transparency of any kind
    cmyk: bool = False
    frames: int = 1  # of an animation; `UNCOUNTED` where only decoding would tell
    floating: bool = False  # samples are light, not levels
    camera_raw: bool = False  # a TIFF of a camera, whose first picture may be a thumbnail


def read_header(data: bytes) -> Header | None:
    """What a picture's header states; None: nothing, or the format is not read.

    Examples
    --------
    >>> read_header(b"BM" + bytes(16) + struct.pack("<iiHH", 4, -3, 1, 24)).size
    (4, 3)
    """
    name = format_of(data[:HEAD])
    reader = READERS.get(name or "")
    try:
        return reader(data) if reader else None
    except (struct.error, LookupError, ValueError):  # it ends too early, or is damaged
        return None


def is_cut(data: bytes, header: Header) -> bool:
    """Whether a file is too short for what it states; decoders make room for all of it first.

    A JPEG takes at least one bit for each block of 8x8 pixels; a PNG states the length of each
    chunk; a TIFF without a whole directory has no pages.

    Examples
    --------
    >>> is_cut(bytes(1900), Header("JPEG", (56_560, 6_894)))
    True
    >>> is_cut(bytes(8) + struct.pack(">I4s", 1 << 31, b"IDAT"), Header("PNG", (8, 8)))
    True
    """
    width, height = header.size
    if header.format == "JPEG":
        return width * height > 64 * 8 * len(data)
    if header.format == "PNG":
        return _is_cut_png(data)
    return header.pages == 0


def _is_cut_png(data: bytes) -> bool:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return False
        at += 12 + length
    return at > len(data)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of the chunks of a PNG before its pixels; checksums are not looked at."""
    view, at = memoryview(data), 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"IDAT", b"IEND"):
            return
        yield kind, view[at + 8 : at + 8 + length]
        at += 12 + length


def _png(data: bytes) -> Header:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    kinds = {kind: content for kind, content in png_chunks(data) if kind in (b"tRNS", b"acTL")}
    return Header(
        "PNG",
        (width, height),
        depth=max(depth, 8) if colour != 3 else 8,
        grey=colour in (0, 4),
        alpha=colour in (4, 6) or b"tRNS" in kinds,
        frames=max(1, int.from_bytes(kinds.get(b"acTL", b"")[:4], "big")),
    )


def _bmp(data: bytes) -> Header:
    if len(data) > 17 and data[14:18] == b"\x0c\0\0\0":  # OS/2's first header has 16 bits
        width, height = struct.unpack_from("<HH", data, 18)
        return Header("BMP", (width, height))
    width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    clear = bits == 32 and data[30:31] in (b"\x03", b"\x06") and any(data[66:70])  # a mask of alpha
    return Header("BMP", (abs(width), abs(height)), alpha=clear)  # negative: from the top row down


def _webp(data: bytes) -> Header | None:
    kind, alpha, frames = data[12:16], False, 1
    if kind == b"VP8X":
        sides = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        alpha = bool(data[20] & 0x10)
        frames = _webp_frames(data) if data[20] & 0x02 else 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        sides = ((bits >> shift & 0x3FFF) + 1 for shift in (0, 14))
        alpha = bool(bits >> 28 & 1)
    elif kind == b"VP8 ":
        sides = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        return None
    width, height = sides
    return Header("WebP", (width, height), alpha=alpha, frames=frames)


def _webp_frames(data: bytes) -> int:
    at, frames = 12, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        frames += kind == b"ANMF"
        at += 8 + length + length % 2
    return max(1, frames)


def _jpeg(data: bytes) -> Header | None:
    """Size by the first frame header; scans up to the end of the first picture."""
    header, scans = None, 0
    for marker, at in jpeg_markers(data):
        if marker in START_OF_FRAME and header is None:
            depth, height, width, count = struct.unpack_from(">BHHB", data, at + 2)
            header = Header("JPEG", (width, height), depth=depth, grey=count == 1, cmyk=count == 4)
        scans += marker == START_OF_SCAN
    return replace(header, scans=scans) if header else None


def jpeg_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Markers of a JPEG and where their contents begin, without those within coded data."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return
        marker = data[at + 1]
        if marker == END:
            return
        if marker in (0x00, 0xFF) or marker in ALONE:  # an escaped 255, padding, a restart
            at += 1 if marker == 0xFF else 2
            continue
        at += 2
        yield marker, at
        (length,) = struct.unpack_from(">H", data, at)
        at += max(2, length)
        if marker == START_OF_SCAN:
            at = _end_of_scan(data, at)


NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)


def _end_of_scan(data: bytes, at: int) -> int:
    found = NEXT_MARKER.search(data, at)
    return found.start() if found else len(data)


def _tiff(data: bytes) -> Header:
    order, big = (">" if data[:2] == b"MM" else "<"), data[2:4] in (b"+\0", b"\0+")
    first: Tags = {}
    pages, seen = 0, set[int]()
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    while at and at not in seen and pages <= MOST_DIRECTORIES:
        seen.add(at)
        try:
            tags, at = _directory(data, order, big, at, READ_TAGS if not pages else ())
        except struct.error:
            break
        first = first or tags
        pages += 1
    return _stated_by(first, pages)


def _stated_by(tags: Tags, pages: int) -> Header:
    """What the first directory of a TIFF says."""
    width, height, light = (tags.get(tag, (0,))[:1] for tag in (WIDTH, LENGTH, PHOTOMETRIC))
    is_raw = _is_raw(tags)
    return Header(
        "TIFF",
        (sum(width), sum(height)),
        pages=pages,
        depth=max(8, *tags.get(BITS, (8,))),
        grey=bool(light) and light[0] in (WHITE_IS_0, BLACK_IS_0) and PHOTOMETRIC in tags,
        alpha=any(each in (1, 2) for each in tags.get(EXTRA, ())),
        cmyk=light == (CMYK,),
        floating=not is_raw
        and (FLOAT in tags.get(KINDS, ()) or light[:1] in [(each,) for each in LOG_LUV]),
        camera_raw=is_raw,
    )


def _is_raw(tags: Tags) -> bool:
    """A DNG, samples of a sensor, or a small copy with other pictures below it (NEF, ARW)."""
    is_small = bool(tags.get(SUBFILE, (0,))[0] & 1) and BELOW in tags
    return DNG in tags or is_small or tags.get(PHOTOMETRIC, (0,))[0] in SENSOR


def tiff_profile(data: bytes) -> bytes:
    """The colour profile of a TIFF's first page; empty if it has none."""
    order, big = (">" if data[:2] == b"MM" else "<"), data[2:4] in (b"+\0", b"\0+")
    try:
        (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        tags, _ = _directory(data, order, big, at, (PROFILE,))
    except struct.error:
        return b""
    return bytes(tags.get(PROFILE, ()))


Tags = dict[int, tuple[int, ...]]  # values of tags of a TIFF, each of which has one at least


def _directory(
    data: bytes, order: str, big: bool, at: int, wanted: tuple[int, ...]
) -> tuple[Tags, int]:
    """Some tags of a directory of TIFF, and where the next one is."""
    head, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    (count,) = struct.unpack_from(order + head, data, at)
    at += struct.calcsize(order + head)
    (after,) = struct.unpack_from(order + link, data, at + entry * count)
    tags = {}
    for place in range(at, at + entry * count, entry):
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if tag in wanted:
            tags[tag] = _values(data, order + link, kind, place + 4) or (0,)
        if tag > max(wanted, default=0):  # they are in ascending order
            break
    return tags, after


def _values(data: bytes, order: str, kind: int, at: int) -> tuple[int, ...]:
    """The numbers of a tag: in their place if they fit, else where that place says."""
    (count,) = struct.unpack_from(order, data, at)
    at += struct.calcsize(order)
    code = CODES.get(kind)
    if code is None or not 0 < count <= MOST_VALUES:
        return ()
    if struct.calcsize(f"={count}{code}") > struct.calcsize(order):
        (at,) = struct.unpack_from(order, data, at)
    return struct.unpack_from(f"{order[0]}{count}{code}", data, at)


def _boxed(data: bytes) -> Header:
    """Of AVIF and HEIF."""
    stated = read_stated(data)
    name = format_of(data[:HEAD]) or ""
    return Header(
        name,
        stated.size,
        depth=stated.depth or 8,
        grey=stated.grey,
        alpha=stated.alpha,
        frames=frames_of(data),
    )


def _jpegxl(data: bytes) -> Header | None:
    stated = read_codestream(data)
    if stated is None:
        return None
    return Header(
        "JPEG XL",
        stated.size,
        depth=max(8, stated.depth),
        grey=stated.grey,
        alpha=stated.alpha,
        frames=UNCOUNTED if stated.animated else 1,
    )


READERS = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WebP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "AVIF": _boxed,
    "HEIC": _boxed,
    "JPEG XL": _jpegxl,
}
