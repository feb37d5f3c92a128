"""Pictures as files of every kind, made on the spot for the tests of reading and writing them."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms

from dataset.pictures.exif import PREFIX
from dataset.pictures.picture import Picture, read_picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
NOTE = b"maker's note " * 4


def scene(channels: int = 3, kind: Any = np.uint8, height: int = 24, width: int = 36) -> Any:
    """Slopes that differ along each axis and in each channel: (H, W) or (H, W, C)."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [rows * 7 + columns * 2, columns * 6, rows * 3 + columns * 4, 255 - rows * 5]
    picture = np.stack([waves[at] % 256 for at in range(channels)], axis=2).astype(kind)
    picture = picture * kind(257) + kind(5) if kind is np.uint16 else picture
    return picture[..., 0] if channels == 1 else picture


def saved(picture: Any, name: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, name, **how)
    return file.getvalue()


def tiff(picture: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, picture, metadata=None, **how)
    return file.getvalue()


def exif(orientation: int = 1, thumbnail: bytes = b"") -> bytes:
    """A block with a maker's note, a place, and the sides of the picture."""
    block = Image.Exif()
    block[271], block[274], block[305] = "Maker", orientation, "Program"
    block[34665] = {36867: "2024:05:06 07:08:09", 37500: NOTE, 40962: 36, 40963: 24, 33434: 0.004}
    block[34853] = {1: "N", 2: (37.0, 33.0, 59.0)}
    data = bytearray(block.tobytes().removeprefix(PREFIX))
    if thumbnail:
        order = "<" if data[:2] == b"II" else ">"
        (first,) = struct.unpack_from(order + "4xI", data)
        (count,) = struct.unpack_from(order + "H", data, first)
        struct.pack_into(order + "I", data, first + 2 + 12 * count, len(data))
        place = len(data) + 2 + 2 * 12 + 4
        tags = ((513, 4, 1, place), (514, 4, 1, len(thumbnail)))
        data += struct.pack(order + "H", 2)
        data += b"".join(struct.pack(order + "HHII", *tag) for tag in tags) + bytes(4) + thumbnail
    return bytes(data)


def facts(block: bytes | None) -> dict[Any, Any]:
    """All values of a block but its orientation, as Pillow reads them."""
    read = Image.Exif()
    read.load(block or b"")
    found = {tag: read[tag] for tag in read if tag not in (274, 34665, 34853)}
    return found | dict(read.get_ifd(34665)) | dict(read.get_ifd(34853))


def read(data: bytes, folder: Path) -> Picture:
    path = folder / "picture.bin"
    path.write_bytes(data)
    return read_picture(path)


def whole(pixels: Any, kind: Any = np.uint8) -> Any:
    """Pixels as the whole numbers that they came from."""
    return np.rint(pixels * np.iinfo(kind).max).astype(kind)
