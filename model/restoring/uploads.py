"""A picture that the page of ``cli restore --serve`` was sent, and what the page takes of them."""

from __future__ import annotations

import json
import threading
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from dataset.errors import UserError
from dataset.pictures import formats
from dataset.pictures.hdr import is_hdr
from dataset.pictures.picture import read_size
from model.options import RestoreOptions
from model.restoring.by_light import ByLight, open_by_light

LONGEST_UPLOAD_NAME = 120  # characters


@dataclass(frozen=True)
class ServeLimits:
    """How much the page takes."""

    upload_bytes: int = 64_000_000  # of one file
    pixels: int = 64_000_000  # of one picture, by its header
    uploads: int = 8  # at a time, of all browser windows together


@dataclass
class Upload:
    """A picture being restored, and the messages still to be sent to its browser."""

    name: str  # without folders, safe to show and to download
    data: bytes  # the file
    way: str | None = None  # one of `WAYS`; None: its browser has not been sent the original yet
    strength: float | None = None  # share of the correction, of a file that is only downloaded
    outgoing: SimpleQueue[bytes] = field(default_factory=SimpleQueue)  # an empty one ends it
    cancelled: threading.Event = field(default_factory=threading.Event)

    def tell(self, **message: Any) -> None:
        self.outgoing.put(json.dumps(message, ensure_ascii=False).encode() + b"\n")

    def send(self, part: str, data: bytes, kind: str, **more: Any) -> None:
        """A part of the answer: ``thumbnail``, ``before``, ``result`` or ``after``."""
        self.tell(part=part, type=formats.media_type(kind), bytes=len(data), **more)
        self.outgoing.put(data)


def open_light(upload: Upload, limits: ServeLimits, options: RestoreOptions) -> ByLight | None:
    """An upload that is HDR, ready to be restored; None: it is SDR. Refuses what is too large."""
    if not is_hdr(upload.data):
        check_upload(upload, limits)
    light = open_by_light(upload.data, upload.name, options)
    if light is not None:
        check_area(upload, light.picture.size, limits)
    return light


def check_upload(upload: Upload, limits: ServeLimits) -> None:
    """Refuse a file that is not an SDR picture, or too large a one, by its header."""
    check_area(upload, read_size(upload.data, upload.name), limits)


def check_area(upload: Upload, size: tuple[int, int], limits: ServeLimits) -> None:
    """Refuse a picture of more pixels than the page takes."""
    width, height = size
    if width * height > limits.pixels:
        raise UserError(
            f"{upload.name} has {width}x{height} pixels, over the {limits.pixels / 1e6:.3g} "
            "million that this page takes. Make it smaller, or restore it with: cli restore "
            f"{upload.name}"
        )


def clean_name(name: str) -> str:
    """A file's name without folders and without what cannot be seen; never empty.

    Examples
    --------
    >>> clean_name("../../etc/x.png"), clean_name("C:\\\\a\\\\b.jpg"), clean_name("..")
    ('x.png', 'b.jpg', 'picture')
    """
    last = name.replace("\\", "/").split("/")[-1]
    seen = "".join(each for each in last if unicodedata.category(each)[0] != "C")
    path = Path(seen.strip(" ."))
    return path.stem[:LONGEST_UPLOAD_NAME] + path.suffix[:LONGEST_UPLOAD_NAME] or "picture"
