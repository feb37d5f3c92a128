"""Pictures handed in as bytes, restored one after another by one thread, kept in memory.

Nothing is written to disk. What waits and what was restored may fill so many bytes: then the
pictures that were asked for longest ago are forgotten, but none that still waits. Who may hand
pictures in, and how they are shown, is the affair of ``serve``.
"""

from __future__ import annotations

import secrets
import threading
import time
import traceback
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dataset.errors import UserError
from dataset.pictures.encoding import encode_picture, losses
from dataset.pictures.formats import SUFFIXES, format_for, media_type
from dataset.pictures.picture import Picture, decode_picture, read_size
from dataset.pictures.pixels import check_finite
from dataset.review.thumbnails import make_thumbnail
from model.restoring.methods import OnShare, Restore

THUMBNAIL_PX = 160  # longer side, pixels
LONGEST_NAME = 120  # characters


@dataclass(frozen=True)
class ServeLimits:
    """How much the page takes and keeps."""

    upload_bytes: int = 64_000_000  # of one file
    pixels: int = 64_000_000  # of one picture, by its header
    kept_bytes: int = 512_000_000  # of all files that wait and all results
    kept_pictures: int = 500


@dataclass(frozen=True)
class Encoded:
    """A picture as a browser can show it, or as it is downloaded."""

    data: bytes
    media_type: str


@dataclass
class Job:
    """One picture on its way."""

    name: str  # without folders, safe to show and to download
    data: bytes  # the file
    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    state: str = "waiting"  # then restoring, then done or failed
    message: str = ""  # why it failed
    notes: tuple[str, ...] = ()  # what its owner should know
    size: tuple[int, int] = (0, 0)  # width, height in pixels; by its header until it is decoded
    started_s: float = 0.0  # monotonic clock
    took_s: float = 0.0
    share: float = 0.0  # done, where the network says so
    before: Encoded | None = None
    after: Encoded | None = None
    result: Encoded | None = None
    result_name: str = ""
    thumbnail: Encoded | None = None

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed")

    @property
    def elapsed_s(self) -> float:
        """Since restoring began; of one that has ended, what it took."""
        if self.state == "restoring":
            return time.monotonic() - self.started_s
        return self.took_s

    @property
    def held_bytes(self) -> int:
        """Of memory; what is one and the same object counts once."""
        parts = [each.data for each in (self.before, self.after, self.result) if each]
        return sum(map(len, {id(data): data for data in (self.data, *parts)}.values()))


class Full(Exception):
    """So many pictures wait that no more can be kept."""


class RestoringQueue:
    """Takes pictures in, and restores one at a time while `work` runs in a thread.

    Parameters
    ----------
    open_restorer : callable
        Given a function to call with the share that is done, returns what restores.
    limits : ServeLimits
    """

    def __init__(self, open_restorer: Callable[[OnShare], Restore], limits: ServeLimits) -> None:
        self.limits, self.restored = limits, 0
        self._in_hand: Job | None = None
        self._restore = open_restorer(self._report)
        self._jobs: OrderedDict[str, Job] = OrderedDict()  # asked for longest ago first
        self._order: list[str] = []  # as they came
        self._changed = threading.Condition()
        self._decoding = threading.Lock()  # `decoding` silences warnings of all threads
        self._pixels_per_s = 0.0
        self._closed = False

    def add(self, name: str, data: bytes) -> Job:
        """Take a file in.

        Raises
        ------
        UserError
            It is no picture that is read, or too large; told by its header.
        Full
            Too many wait.
        """
        job = Job(clean_name(name), data)
        job.size = self._measure(job)
        with self._changed:
            waiting = [each for each in self._jobs.values() if not each.ended]
            if sum(each.held_bytes for each in waiting) + len(data) > self.limits.kept_bytes:
                raise Full
            self._jobs[job.id] = job
            self._order.append(job.id)
            self._forget()
            self._changed.notify_all()
        return job

    def jobs(self) -> list[Job]:
        """Those that are kept, as they came."""
        with self._changed:
            return [self._jobs[id] for id in self._order]

    def find(self, id: str) -> Job | None:
        """One of them, which is then forgotten later than others; None: not there."""
        with self._changed:
            if id in self._jobs:
                self._jobs.move_to_end(id)
            return self._jobs.get(id)

    def remove(self, id: str) -> None:
        """Forget a picture, waiting or not."""
        with self._changed:
            if self._jobs.pop(id, None):
                self._order.remove(id)

    def expected_s(self, job: Job) -> float | None:
        """How long restoring a picture takes in all, by the one before it; None: not known."""
        width, height = job.size
        return width * height / self._pixels_per_s if self._pixels_per_s else None

    def work(self) -> None:
        """Restore what waits, until `close`."""
        while job := self._next():
            self._in_hand = job
            try:
                self._restore_job(job)
                job.state = "done"
                self.restored += 1
            except UserError as error:
                job.state, job.message = "failed", str(error)
            except Exception as error:  # a fault of ours ends this picture, and not the page
                traceback.print_exc()
                job.state, job.message = "failed", describe(error)
            with self._changed:
                if job.id in self._jobs:
                    self._jobs.move_to_end(job.id)
                self._forget()

    def _report(self, share: float) -> None:
        if self._in_hand:
            self._in_hand.share = share

    def close(self) -> None:
        """End `work` after the picture in hand."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _next(self) -> Job | None:
        """The first that waits, marked as begun; None when closed."""
        with self._changed:
            while not self._closed:
                for id in self._order:
                    job = self._jobs[id]
                    if job.state == "waiting":
                        job.state, job.started_s = "restoring", time.monotonic()
                        return job
                self._changed.wait()
        return None

    def _measure(self, job: Job) -> tuple[int, int]:
        """Width and height by the file's header; ``UserError`` where it is turned away."""
        with self._decoding:
            width, height = read_size(job.data, job.name)
        if width * height > self.limits.pixels:
            raise UserError(
                f"{job.name} has {width}x{height} pixels, over the "
                f"{self.limits.pixels / 1e6:.3g} million that this page takes. Make it smaller, "
                f"or restore it with: cli restore {job.name}"
            )
        return width, height

    def _restore_job(self, job: Job) -> None:
        with self._decoding:
            picture = decode_picture(job.data, job.name)
        job.size, job.thumbnail = picture.size, thumbnail(picture)
        job.before = shown_before(picture, job.data)
        pixels = check_finite(self._restore(picture.pixels))
        if pixels.shape != picture.pixels.shape:
            raise UserError(
                f"The network makes {pixels.shape[1]}x{pixels.shape[0]} pixels of a picture of "
                f"{picture.size[0]}x{picture.size[1]}. Choose another with --run."
            )
        restored = replace(picture, pixels=pixels)
        suffix = suffix_for(job.name, picture.format)
        job.notes = picture.notes + losses(restored, suffix)
        job.result = Encoded(encode_picture(restored, suffix), media_type(picture.format))
        job.result_name = f"{Path(job.name).stem}_restored{suffix}"
        job.after = as_png(restored) if picture.format == "TIFF" else job.result
        job.thumbnail = thumbnail(restored)
        job.took_s = time.monotonic() - job.started_s
        self._pixels_per_s = picture.pixels.size / 3 / max(job.took_s, 1e-3)

    def _forget(self) -> None:
        """Let go of those asked for longest ago, but of none that waits and not of the newest."""
        held = sum(job.held_bytes for job in self._jobs.values())
        for job in list(self._jobs.values())[:-1]:
            if held <= self.limits.kept_bytes and len(self._jobs) <= self.limits.kept_pictures:
                return
            if job.ended:
                held -= job.held_bytes
                del self._jobs[job.id]
                self._order.remove(job.id)


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
    return path.stem[:LONGEST_NAME] + path.suffix[:LONGEST_NAME] or "picture"


def suffix_for(name: str, kind: str) -> str:
    """The suffix of a name, where it is one of its format; else the format's usual one."""
    suffix = Path(name).suffix
    return suffix if format_for(suffix) == kind else SUFFIXES[kind][0]


def shown_before(picture: Picture, data: bytes) -> Encoded:
    """A picture as it came, for a browser: its own file, where all browsers show that alike."""
    turned = picture.format != "JPEG" and picture.exif is not None  # not everywhere upright
    if picture.format == "TIFF" or turned:
        return as_png(picture)
    return Encoded(data, media_type(picture.format))


def as_png(picture: Picture) -> Encoded:
    return Encoded(encode_picture(picture, ".png"), media_type("PNG"))


def thumbnail(picture: Picture) -> Encoded:
    """A small JPEG."""
    step = max(1, max(picture.size) // (4 * THUMBNAIL_PX))
    small = np.rint(picture.pixels[::step, ::step].clip(0, 1) * 255).astype(np.uint8)
    return Encoded(make_thumbnail(small, THUMBNAIL_PX), media_type("JPEG"))


def describe(error: Exception) -> str:
    """What the page says of a fault that is not the user's."""
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return "There is not enough memory to restore a picture of this size. Make it smaller."
    return f"Restoring failed ({type(error).__name__}). The terminal shows where."
