"""TIFF files: what one says of its picture, and an encoder for 8 and 16 bits that keeps it.

Pillow reads TIFF and arranges its tags, but writes no more than 8 bits of a colour picture.

References
----------
.. [1] Adobe: TIFF revision 6.0, 1992, and Supplement 2, 2002 (deflate).
"""

from __future__ import annotations

import io
import struct
import warnings
from itertools import accumulate, zip_longest
from typing import Any

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from dataset.pictures.exif import ORIENTATION, PREFIX
from dataset.pictures.png import deflate
from dataset.pictures.pngs import Samples

# Tags that speak of the subject. The others describe the file, or point into it.
DIRECTORIES = (34665, 34853)  # EXIF, GPS
KEPT = (
    *(269, 270, 271, 272, 305, 306, 315, 316),  # document, description, make … artist, host
    *(18246, 33432, 33723),  # rating, copyright, IPTC
    *(40091, 40092, 40093, 40094, 40095),  # Windows' title, comment, author, keywords, subject
)
REDUCED = 1  # bit of NewSubfileType: a smaller version of another page
PARTS = ((273, 279), (324, 325))  # places and lengths of strips, and of tiles
DAMAGED = (  # what Pillow raises on tags that are
    *(ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, struct.error),
)
STORED, DEFLATE, DIFFERENCES = 1, 8, 2  # compression, predictor
SEPARATE, YCBCR = 2, 6  # of channels, and of colours
LONG = 4
CLASSIC = 42  # the version of files with places of 32 bits
STRIP = 1 << 20  # bytes before compression
LEVEL = 2  # of deflate


def pages_of(image: TiffImageFile) -> int:
    """Pages that are pictures of their own; the first is current afterwards."""
    count = 0
    for page in range(image.n_frames):
        image.seek(page)
        count += not image.tag_v2.get(254, 0) & REDUCED
    image.seek(0)
    return count


def check_whole(image: TiffImageFile, data: bytes) -> None:
    """Find a file cut off before libtiff does, which would tell so on the terminal.

    Raises
    ------
    ValueError
        The tags or a part of the picture lie beyond the end of the file, or are not there at all.
    """
    check_tags(data)
    tags = image.tag_v2
    _check_parts(tags, len(data))
    for places, lengths in PARTS:
        ends = map(sum, zip_longest(tags.get(places, ()), tags.get(lengths, ()), fillvalue=0))
        if max(ends, default=0) > len(data):
            raise ValueError("it ends too early")


def _check_parts(tags: ImageFileDirectory_v2, size: int) -> None:
    """Refuse a picture that states more rows than the file has: Pillow leaves them black."""
    width, height, samples = tags[256], tags[257], tags.get(277, 1)
    planes = samples if tags.get(284, 1) == SEPARATE else 1
    if 322 in tags:  # tiles
        needed, there = -(-width // tags[322]) * -(-height // tags[323]), len(tags.get(324, ()))
    else:
        needed, there = -(-height // min(tags.get(278, height), height)), len(tags.get(273, ()))
    bits = sum(tags.get(258, (1,)))
    stored = tags.get(259, 1) == STORED and tags.get(262) != YCBCR  # whose colour may be halved
    if there < needed * planes or (stored and width * height * bits // 8 > size):
        raise ValueError("a part of its picture is not there")


def check_tags(data: bytes) -> None:
    """Raise ``ValueError`` where the tags of the first page are cut off; not of BigTIFF."""
    order = ">" if data[:2] == b"MM" else "<"
    version, first = struct.unpack_from(order + "2xHI", data)
    if version == CLASSIC:
        (count,) = struct.unpack_from(order + "H", data, first)
        if first + 2 + 12 * count + 4 > len(data):
            raise ValueError("it ends within its tags")


def exif_of(image: TiffImageFile) -> bytes | None:
    """What the current page tells of its subject, as a block of EXIF; None: nothing."""
    found, block = image.getexif(), Image.Exif()
    for tag in KEPT:
        if tag in found:
            block[tag] = found[tag]
    for tag in DIRECTORIES:
        if tag in found:
            block[tag] = dict(found.get_ifd(tag))
    return block.tobytes().removeprefix(PREFIX) if len(block) else None


def encode(
    samples: Samples,
    icc: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    dpi: tuple[float, float] | None = None,
) -> bytes:
    """Encode losslessly as TIFF, compressed by deflate.

    Parameters
    ----------
    samples : (H, W, C) uint8 or uint16
        Grey, grey and alpha, RGB, or RGB and alpha.
    """
    rows = max(1, STRIP // samples[0].nbytes)
    strips = [_strip(samples[top : top + rows]) for top in range(0, len(samples), rows)]
    tags = ImageFileDirectory_v2()
    for tag, value in _layout(samples, rows).items():
        tags[tag] = value
    for tag, value in _subject(icc, exif, xmp, dpi).items():
        tags[tag] = value
    lengths = [len(strip) for strip in strips]
    for tag, values in ((273, [0, *accumulate(lengths)][:-1]), (279, lengths)):
        tags.tagtype[tag] = LONG
        tags[tag] = tuple(values)
    file = io.BytesIO()
    tags.save(file)  # makes the strips' places count from the end of the tags
    return file.getvalue() + b"".join(strips)


def _layout(samples: Samples, rows: int) -> dict[int, Any]:
    """The tags by which a file is decoded, but for its strips' places."""
    height, width, channels = samples.shape
    alpha = channels in (2, 4)
    tags: dict[int, Any] = {
        256: width,
        257: height,
        258: (8 * samples.itemsize,) * channels,
        259: DEFLATE,
        262: 2 if channels >= 3 else 1,  # RGB, or grey with 0 for black
        277: channels,
        278: rows,
        284: 1,  # the channels of a pixel lie together
        317: DIFFERENCES,
    }
    return tags | ({338: 2} if alpha else {})  # 2: alpha by which nothing was multiplied


def _subject(
    icc: bytes | None, exif: bytes | None, xmp: bytes | None, dpi: tuple[float, float] | None
) -> dict[int, Any]:
    tags: dict[int, Any] = {ORIENTATION: 1}
    if dpi:
        tags |= {282: dpi[0], 283: dpi[1], 296: 2}  # 2: inches
    if icc:
        tags[34675] = icc
    if xmp:
        tags[700] = xmp
    return tags | (_tags_of(exif) if exif else {})


def _tags_of(exif: bytes) -> dict[int, Any]:
    """The tags of a block that tell of the subject, but for damaged ones."""
    block = Image.Exif()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            block.load(exif)
            tags = {tag: block[tag] for tag in KEPT if tag in block}
            for tag in DIRECTORIES:
                if tag in block:
                    tags[tag] = _writable(dict(block.get_ifd(tag)), tag)
        except DAMAGED:
            return {}
        return _writable(tags)


def _writable(tags: dict[int, Any], group: int | None = None) -> dict[int, Any]:
    """The tags whose values are of a type that TIFF has for them."""

    def is_fine(tag: int) -> bool:
        alone = ImageFileDirectory_v2(group=group)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of more values than the tag has room for
                alone[tag] = tags[tag]
                return bool(alone.tobytes())
        except (*DAMAGED, Warning):
            return False

    return {tag: value for tag, value in tags.items() if is_fine(tag)}


def _strip(samples: Samples) -> bytes:
    """Some rows: each sample less that of the pixel to the left, compressed, low byte first."""
    rows = samples.copy()
    rows[:, 1:] -= samples[:, :-1]
    little = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
    return bytes(deflate.compress(np.ascontiguousarray(little), LEVEL))
