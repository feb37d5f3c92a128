"""Limits: the largest picture and recording read, and how much is decoded at once.

Checked by the header, before anything is decoded: a file of a few kilobytes can state more pixels
than a machine has memory for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import UserError
from dataset.pictures.headers import Header

MOST_PIXELS = 400_000_000  # of a picture: 5 GB once they are float32
MOST_FRAME_PIXELS = 1 << 27  # of a frame of a session, 134 million: several are measured at once
MOST_FILM_PIXELS = 1 << 26  # of a frame of a recording, 67 million; 8K has 33
MOST_PAGES = 100  # directories of a TIFF: more than one picture is refused anyway
MOST_SCANS = 200  # of a JPEG; encoders make 1 to 20
MOST_SCANNED = 4_000_000_000  # pixels times scans of a JPEG: half a minute
MOST_IN_FLIGHT = 200_000_000  # pixels decoded at once by the threads of an import; or one picture


class TooLarge(UserError):
    """The picture is over a limit, or over the free memory. It may be whole."""


def check_header(header: Header | None, name: str | Path) -> None:
    """Raise `TooLarge` where a header is over a limit. None passes."""
    if header is None:
        return
    width, height = header.size
    if width * height > MOST_PIXELS:
        raise TooLarge(
            f"{name} has {width}x{height} pixels, over {MOST_PIXELS // 10**6} million. "
            "Cut it into parts, or make it smaller.",
            1,
        )
    if header.pages > MOST_PAGES:
        raise TooLarge(
            f"{name} holds over {MOST_PAGES} pages. Save the one you need as a single picture.",
            1,
        )
    if header.scans > MOST_SCANS or header.scans * width * height > MOST_SCANNED:
        raise TooLarge(
            f"{name} is a JPEG of {header.scans} scans, which would take minutes. "
            "Save it again, or convert it to PNG.",
            1,
        )


class InFlight:
    """Bounds the pixels decoded at once by several threads. A larger picture is decoded alone.

    Parameters
    ----------
    most : int
        Pixels.
    """

    def __init__(self, most: int = MOST_IN_FLIGHT) -> None:
        self._most, self._taken = most, 0
        self._free = threading.Condition()

    @contextmanager
    def room(self, pixels: int) -> Iterator[None]:
        """Wait until this many pixels may be decoded as well, and reserve them meanwhile."""
        with self._free:
            self._free.wait_for(lambda: not self._taken or self._taken + pixels <= self._most)
            self._taken += pixels
        try:
            yield
        finally:
            with self._free:
                self._taken -= pixels
                self._free.notify_all()
