"""Settings of labelling and splitting. Standard library only, so that `--help` loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAPER_COUNTS = (3864, 3520, 1212, 780)  # Table 1: training X, Y, testing X, Y


@dataclass(frozen=True)
class LabelOptions:
    """How frames become X (not over-exposed), Y (over-exposed), unsure or drop."""

    source: Path = Path("captures")  # folder of sessions, or one session
    limit: int = 250  # 0..255: a pixel whose level is at or over this counts as clipped
    x_fraction: float = (
        0.005  # clipped share of the frame at or under this: X; leaves a sun disc in X
    )
    y_fraction: float = 0.05  # clipped share of the frame at or over this: may be Y
    y_blob: float = 0.02  # Y needs one connected clipped area of this share too; glints are unsure
    workers: int = 0  # decoding threads; 0: one for each core and one more
    method: str = "max_rgb"  # max_rgb | luminance | cielab | ycbcr: what a pixel's level is
    light_x: str = ""  # frames whose `light` contains this are X; the case of letters is ignored
    light_y: str = ""  # the same for Y; a light that contains both says nothing
    scheduler: str = ""  # address of a dask scheduler that measures; empty: this machine does


@dataclass(frozen=True)
class SplitOptions:
    """How labelled frames are divided between training and test."""

    source: Path = Path("captures")  # folder of sessions, or one session
    out: Path = Path("data")  # where trainA, trainB, testA, testB go (A = X, B = Y)
    counts: tuple[int, int, int, int] = PAPER_COUNTS  # training X, Y, test X, Y
    fit: bool = False  # keep the proportions of `counts` at the size that the frames allow
    seed: int = 0  # same frames, same labels, same seed: the same split
    layout: str = "cyclegan"  # cyclegan (trainA ...) | imagefolder (train/X ...)
    link: str = "hard"  # hard | reflink | symlink | copy; copied where links cannot be made
    duplicates: str = "drop"  # drop | keep what a domain has in another session, nearly alike
    burst_gap_s: float = 2.0  # seconds without a frame that end a burst
    burst_s: float = 10.0  # longest stretch of one recording that stays together
    guard_s: float = 2.0  # training frames nearer than this to a test frame are left out; 0: none
    burst_frames: int = 30  # longest run of imported screenshots, whose times say nothing
    phash_bits: int = (
        1  # perceptual hashes differing in so many bits of 64 are one picture; -1: off
    )


@dataclass(frozen=True)
class ReviewOptions:
    """The local page for looking through frames and relabelling them."""

    source: Path = Path("captures")  # folder of sessions, or one session
    port: int = 0  # of the loopback interface; 0: any that is free
    browser: bool = True  # open the page in the user's browser
    thumbnail_px: int = 160  # longer side of the grid's pictures
    cache_bytes: int = 96_000_000  # thumbnails kept in memory
    fold_s: float = 20.0  # seconds between two foldings of the journal into labels.csv
