"""TIFF: its EXIF, whether a file is whole, and an encoder for 8 and 16 bits with metadata.

Pillow reads TIFF and arranges tags, but writes colour in 8 bits only; ``decoding.py`` decodes.

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
from dataset.pictures.metadata import Metadata
from dataset.pictures.png import Samples, deflate

# Tags that describe the subject. The others describe the file, or point into it.
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
STRIP = 1 << 20  # bytes before compression
LEVEL = 2  # of deflate


def pages_of(image: TiffImageFile) -> int:
    """Number of pages, without reduced copies; seeks to the first."""
    count = 0
    for page in range(image.n_frames):
        image.seek(page)
        count += not image.tag_v2.get(254, 0) & REDUCED
    image.seek(0)
    return count


def check_order(data: bytes) -> None:
    """Refuse what Pillow takes for damage; raises ``ValueError``."""
    if data.startswith(b"MM\0+"):
        raise ValueError("it is a BigTIFF in big-endian order, which is not supported")


def directory_of(data: bytes) -> ImageFileDirectory_v2:
    """The tags of the first page, also of a picture that Pillow does not read; raises `DAMAGED`."""
    check_order(data)
    file = io.BytesIO(data)
    head = file.read(16 if 43 in data[2:4] else 8)  # BigTIFF's is longer
    tags = ImageFileDirectory_v2(head)
    file.seek(tags.next)
    tags.load(file)
    return tags


def check_whole(tags: ImageFileDirectory_v2, data: bytes) -> None:
    """Detect a cut-off file before libtiff does, which would print to the terminal.

    Raises
    ------
    ValueError
        A part of the picture is missing, or beyond the end of the file.
    """
    _check_parts(tags, len(data))
    for places, lengths in PARTS:
        ends = map(sum, zip_longest(tags.get(places, ()), tags.get(lengths, ()), fillvalue=0))
        if max(ends, default=0) > len(data):
            raise ValueError("it ends too early")


def _check_parts(tags: ImageFileDirectory_v2, size: int) -> None:
    """Refuse a file with fewer rows than it states: Pillow would leave the others black."""
    width, height, samples = tags[256], tags[257], tags.get(277, 1)
    planes = samples if tags.get(284, 1) == SEPARATE else 1
    if 322 in tags:  # tiles
        needed, there = -(-width // tags[322]) * -(-height // tags[323]), len(tags.get(324, ()))
    else:
        needed, there = -(-height // min(tags.get(278, height), height)), len(tags.get(273, ()))
    bits = sum(tags.get(258, (1,)))
    stored = tags.get(259, 1) == STORED and tags.get(262) != YCBCR  # whose colour may be halved
    if there < needed * planes or (stored and width * height * bits // 8 > size):
        raise ValueError("part of its picture is missing")


def exif_of(image: TiffImageFile) -> bytes | None:
    """The EXIF of the current page as a block of its own; None where it has none."""
    return subject_of(image.getexif())


def subject_of(found: Image.Exif) -> bytes | None:
    """What the tags of a TIFF say of the subject, as a block of EXIF; None: nothing."""
    block = Image.Exif()
    for tag in KEPT:
        if tag in found:
            block[tag] = found[tag]
    for tag in DIRECTORIES:
        if tag in found:
            block[tag] = dict(found.get_ifd(tag))
    return block.tobytes().removeprefix(PREFIX) if len(block) else None


def encode(samples: Samples, about: Metadata) -> bytes:
    """Encode losslessly as TIFF, compressed by deflate.

    Parameters
    ----------
    samples : (H, W, C) uint8 or uint16
        Grey, grey and alpha, RGB, or RGB and alpha.
    about : Metadata
    """
    rows = max(1, STRIP // samples[0].nbytes)
    strips = [_strip(samples[top : top + rows]) for top in range(0, len(samples), rows)]
    tags = ImageFileDirectory_v2()
    for tag, value in (_layout(samples, rows) | _subject(about)).items():
        tags[tag] = value
    lengths = [len(strip) for strip in strips]
    for tag, values in ((273, [0, *accumulate(lengths)][:-1]), (279, lengths)):
        tags.tagtype[tag] = LONG
        tags[tag] = tuple(values)
    file = io.BytesIO()
    tags.save(file)  # makes the strips' places count from the end of the tags
    return file.getvalue() + b"".join(strips)


def _layout(samples: Samples, rows: int) -> dict[int, Any]:
    """The tags needed to decode, without the places of the strips."""
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
        284: 1,  # the channels of a pixel are adjacent
        317: DIFFERENCES,
    }
    return tags | ({338: 2} if alpha else {})  # 2: alpha by which nothing was multiplied


def _subject(about: Metadata) -> dict[int, Any]:
    """The tags that hold metadata."""
    tags: dict[int, Any] = {ORIENTATION: 1}
    if about.dpi:
        tags |= {282: about.dpi[0], 283: about.dpi[1], 296: 2}  # 2: inches
    if about.icc:
        tags[34675] = about.icc
    if about.xmp:
        tags[700] = about.xmp
    return tags | (_tags_of(about.exif) if about.exif else {})


def _tags_of(exif: bytes) -> dict[int, Any]:
    """The tags of EXIF that describe the subject, without damaged ones."""
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
    """The tags whose values have a type that TIFF allows."""

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
    """Rows as differences to the pixel on the left, low byte first, compressed."""
    rows = samples.copy()
    rows[:, 1:] -= samples[:, :-1]
    little = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
    return bytes(deflate.compress(np.ascontiguousarray(little), LEVEL))
