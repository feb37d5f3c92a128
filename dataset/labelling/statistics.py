"""Measures frames and keeps the statistics: ``captures/statistics.csv``.

Lines are appended while frames are measured, so a killed run loses only the frames in flight and
those of the last 0.2 seconds. Lines of other methods, limits and HUD masks are kept. Nothing here
decides a label.
"""

from __future__ import annotations

import csv
import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, Any

import cv2

from dataset import gate
from dataset.errors import UserError
from dataset.files import ends_with_line, open_to_append
from dataset.labelling.clipping import ClippingStatistics, Mask, measure_clipping
from dataset.labelling.hud_mask import ignored, read_mask
from dataset.locks import hold_lock
from dataset.own_program import how_to_install
from dataset.pictures.accepted import check_picture
from dataset.pictures.dynamic_range import HighDynamicRange
from dataset.pictures.images import decode
from dataset.pictures.limits import MOST_FRAME_PIXELS, TooLarge
from dataset.sessions.manifest import FrameKey
from dataset.tables import fields_of, number, table_text

STATISTICS_FILE = "statistics.csv"
STATISTICS_LOCK = ".statistics.lock"
WAIT_S, LOOK_S = 60.0, 0.002  # for another process that writes; each writes for a moment only
STATISTICS_COLUMNS = ("session", "file", "method", "clipped_fraction", "largest_blob", "p99")
# Why a frame has no statistics.
MISSING = "missing"  # no regular file of its session
HUGE, BROKEN, HDR = "huge", "broken", "HDR"
BLOCK = 16  # frames that a thread, or a worker of a cluster, measures in one go
FLUSH_S = 0.2  # seconds between two flushes: one for each frame costs a fiftieth of the whole

Found = ClippingStatistics | str  # a measurement, or why there is none


@dataclass(frozen=True)
class StatisticsTask:
    """One frame to measure. Sent to other machines as it is."""

    path: str  # of the picture
    method: str  # one of CLIPPING_METHODS
    limit: int  # 0..255
    hud: str = ""  # path of the session's HUD mask, or empty
    hud_digest: str = ""  # of the mask's bytes: another mask under the same name is another mask


class StatisticsStore:
    """Statistics by the given methods: reads earlier ones, appends new ones.

    Not thread-safe. The file is created with its first line.
    """

    def __init__(self, captures: str | Path, methods: Iterable[str]) -> None:
        self.path = Path(captures) / STATISTICS_FILE
        self._methods = set(methods)
        self._found: dict[tuple[FrameKey, str], ClippingStatistics] = {}
        self._file: IO[bytes] | None = None
        self._waiting: list[str] = []  # lines
        self._flushed = 0.0  # time.monotonic()
        self._read()

    def _read(self) -> None:
        try:
            for line in gate.lines_of(self.path):
                # A line that a crash cut off, or that is the heading, is no measurement.
                with suppress(ValueError, csv.Error):
                    key, method, found = _parse(line.decode())
                    if method in self._methods:
                        self._found[key, method] = found
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"Cannot read {self.path}: {error.strerror}.") from error

    def get(self, key: FrameKey, method: str) -> ClippingStatistics | None:
        return self._found.get((key, method))

    def add(self, key: FrameKey, method: str, found: ClippingStatistics) -> None:
        """Keep a measurement in memory only: the caller's file has it already."""
        self._found.setdefault((key, method), found)

    def append(self, key: FrameKey, method: str, found: ClippingStatistics) -> None:
        """Keep a measurement; its line is written within `FLUSH_S`."""
        self._found[key, method] = found
        row = (*key, method, found.clipped_fraction, found.largest_blob, found.p99)
        self._waiting.append(_line(row))
        if time.monotonic() - self._flushed > FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        """Write whole lines, those of no other process between them."""
        try:
            with self._alone():
                self._file = self._file or self._open()
                data = "".join(self._waiting).encode(errors="replace")
                written = self._file.write(data)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise UserError(f"Cannot write {self.path}: {error.strerror}.", 1) from error
        finally:
            self._waiting.clear()
            self._flushed = time.monotonic()

    def _alone(self) -> AbstractContextManager[None]:
        """Locked: on Windows and over a network, appending seeks and writes in two steps."""
        busy = f"Another program has been writing {self.path} for a minute. End it, then try again."
        return hold_lock(self.path.parent / STATISTICS_LOCK, busy, WAIT_S, LOOK_S)

    def _open(self) -> IO[bytes]:
        file = open_to_append(self.path, raw=True)
        if file.seek(0, os.SEEK_END) == 0:
            self._waiting.insert(0, _line(STATISTICS_COLUMNS))
        elif not ends_with_line(self.path):  # cut off by a crash: the next line starts afresh
            self._waiting.insert(0, "\n")
        return file

    def __enter__(self) -> StatisticsStore:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._waiting:
                self._flush()
        finally:
            if self._file is not None:
                self._file.close()


def _line(row: Iterable[object]) -> str:
    return table_text(list(row))


def _parse(line: str) -> tuple[FrameKey, str, ClippingStatistics]:
    """Parse one line by itself, so that a stray quote spoils no other; ``ValueError``."""
    session, name, method, fraction, blob, p99 = fields_of(line, len(STATISTICS_COLUMNS))
    found = ClippingStatistics(number(fraction), number(blob), int(p99))
    if not (0 <= found.clipped_fraction <= 1 and 0 <= found.largest_blob <= 1):
        raise ValueError("no share")
    if not 0 <= found.p99 <= 255:
        raise ValueError("no level")
    return (session, name), method, found


def why_unfit(data: bytes) -> str:
    """Why a file is no frame: empty, huge, HDR, 16-bit, grey, alpha, truncated; empty if it is one.

    Recordings and imports are 8-bit RGB only, so that every reader sees the same data set. The
    header says so; whether the file is whole shows when it is decoded.

    Examples
    --------
    >>> why_unfit(b"")
    'empty'
    """
    if not data:
        return "empty"
    try:
        header = check_picture(data, "a frame")
    except TooLarge:
        return HUGE
    except HighDynamicRange:
        return HDR
    except UserError:
        return BROKEN
    if header is None:
        return BROKEN
    if header.size[0] * header.size[1] > MOST_FRAME_PIXELS:
        return HUGE
    if header.format == "PNG" and b"IEND" not in data[-64:]:
        return "truncated"
    faults = {"16-bit": header.depth > 8, "alpha": header.alpha, "grey": header.grey}
    return next((fault for fault, is_so in faults.items() if is_so), "")


@lru_cache(maxsize=8)
def _ignored(path: str, digest: str, width: int, height: int) -> Mask:
    """Where a HUD mask is white, at a frame's size."""
    return ignored(read_mask(Path(path))[0], (width, height))


def measure_file(job: StatisticsTask) -> Found:
    """The statistics of a file, or why it has none. A broken file raises nothing.

    Raises
    ------
    TooLarge
        There is not enough memory now; the frame may be fine.
    """
    try:
        data = gate.read_regular(job.path, gate.MOST_PICTURE)
    except OSError:
        return MISSING
    reason = why_unfit(data)
    if reason:
        return reason
    try:
        image = decode(data, job.path)
        size = image.shape[1], image.shape[0]
        ignore = _ignored(job.hud, job.hud_digest, *size) if job.hud else None
        return measure_clipping(image, job.limit, job.method, ignore)
    except TooLarge:
        raise
    except UserError:
        return BROKEN
    except (MemoryError, cv2.error) as error:
        raise TooLarge(
            f"There is not enough memory to measure {job.path}. Close other programs, then go on.",
            1,
        ) from error


def measure_block(jobs: Sequence[StatisticsTask]) -> list[Found]:
    """`measure_file` of each: what a thread or a worker of a cluster runs."""
    return [measure_file(job) for job in jobs]


def measure_here(jobs: Sequence[StatisticsTask], workers: int = 0) -> Iterator[Found]:
    """Measure on this machine's cores, in order. Threads: OpenCV releases the GIL."""
    # One more than cores: one decodes while another waits for the interpreter.
    count = workers or (os.cpu_count() or 1) + 1
    # Blocks, because handing over costs as much as a percentile; smaller where frames are few.
    size = max(1, min(BLOCK, len(jobs) // (4 * count)))
    with ThreadPoolExecutor(count) as pool, _opencv_on_one_thread():
        try:
            yield from _in_order(lambda block: pool.submit(measure_block, block), jobs, size, count)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the blocks in hand only


def _in_order(
    submit: Callable[[Sequence[StatisticsTask]], Any],
    jobs: Sequence[StatisticsTask],
    size: int,
    workers: int,
) -> Iterator[Found]:
    """Results of blocks of jobs, in order; only a few blocks are queued ahead."""
    tasks = (submit(jobs[at : at + size]) for at in range(0, len(jobs), size))
    flying = deque(islice(tasks, 4 * workers))
    while flying:
        found = flying.popleft().result()
        flying.extend(islice(tasks, 1))
        yield from found


@contextmanager
def _opencv_on_one_thread() -> Iterator[None]:
    """Every core has a frame already, and OpenCV's own threads spin while idle."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def measure_on_cluster(jobs: Sequence[StatisticsTask], address: str) -> Iterator[Found]:
    """Measure with the workers of a dask scheduler, in order.

    The workers need this package and see the same files under the same paths.

    Raises
    ------
    UserError
        dask.distributed is not installed, or nothing answers at the address.
    """
    with _client(address) as client:
        workers = max(1, sum(client.nthreads().values()))
        # pure=False: a file may have been mended since the scheduler last saw its path.
        yield from _in_order(
            lambda block: client.submit(measure_block, block, pure=False), jobs, BLOCK, workers
        )


def _client(address: str) -> Any:
    try:
        from distributed import Client  # deferred: an extra, and slow to load
    except ImportError as error:
        raise UserError(
            "--scheduler needs dask.distributed.",
            remedy=f"{how_to_install('cluster')}. Or leave it out.",
        ) from error
    try:
        return Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise UserError(
            f"No dask scheduler answers at --scheduler {address} ({error}). Start one with "
            "`dask scheduler` and workers with `dask worker ADDRESS`."
        ) from error
