"""Settings of labelling and splitting. Standard library only, so that `--help` loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dataset.setting import setting

PAPER_COUNTS = (3864, 3520, 1212, 780)  # Table 1: training X, Y, testing X, Y
STATISTICS = ("max_rgb", "luminance", "cielab", "ycbcr")


@dataclass(frozen=True)
class LabelOptions:
    """How frames become X (not over-exposed), Y (over-exposed), unsure or drop."""

    source: Path = setting(Path("captures"), "Folder of sessions, or one session.", folder=True)
    limit: int = setting(
        250, "Level from which a pixel counts as clipped; white is 255.", least=1, most=255
    )
    # The default leaves the sun's disc in X.
    x_fraction: float = setting(0.005, "Maximum share of clipped pixels of an X frame.")
    y_fraction: float = setting(0.05, "Minimum share of clipped pixels of a Y frame.")
    # Glints stay unsure.
    y_blob: float = setting(0.02, "Minimum share of the largest clipped area of a Y frame.")
    workers: int = setting(0)  # decoding threads; 0: one for each core and one more
    method: str = setting("max_rgb", "Level of a pixel that is tested.", choices=STATISTICS)
    light_x: str = setting("", "Frames whose light contains this text are X, in any case.")
    light_y: str = setting("", "Frames whose light contains this text are Y, in any case.")
    scheduler: str = setting("", "Address of a dask scheduler whose workers measure.")


@dataclass(frozen=True)
class SplitOptions:
    """How labelled frames are divided between training and test."""

    source: Path = setting(Path("captures"), "Folder of sessions, or one session.", folder=True)
    out: Path = setting(Path("data"), "Folder of the data set.", folder=True)
    counts: tuple[int, int, int, int] = setting(
        PAPER_COUNTS,
        "Frames of each domain and side; 0,0,60,60 makes a set to judge by only.",
        form="TRAIN_X,TRAIN_Y,TEST_X,TEST_Y",
        shown="the paper's 3864,3520,1212,780",
    )
    fit: bool = setting(
        False, "Keep the proportions of the counts at the size that the frames allow."
    )
    seed: int = setting(0, "Random seed of the split.")
    layout: str = setting(
        "cyclegan",
        "Folders: trainA, trainB, testA, testB, or train/X, train/Y, test/X, test/Y.",
        choices=("cyclegan", "imagefolder"),
    )
    link: str = setting(
        "hard",
        "How frames get into the data set; copied where a link cannot be made.",
        choices=("hard", "reflink", "symlink", "copy"),
    )
    duplicates: str = setting(
        "drop",
        "Near-duplicates of a domain's frames in another session.",
        choices=("drop", "keep"),
    )
    burst_gap_s: float = setting(
        2.0, "Pause that ends a burst, seconds.", flag="burst-gap", least=0
    )
    burst_s: float = setting(10.0)  # longest stretch of one recording that stays together
    guard_s: float = setting(
        2.0, "Minimum seconds between a training and a test frame.", flag="guard", least=0
    )
    burst_frames: int = setting(
        30, "Imported pictures whose times are alike: so many in a row stay together.", least=1
    )
    phash_bits: int = setting(
        1,
        "Perceptual hashes up to this many bits apart are one picture; -1: off.",
        least=-1,
        most=16,
    )


@dataclass(frozen=True)
class ExposeOptions:
    """How HDR shots become frames: each under several exposures, from well exposed to clipped."""

    out: Path = setting(Path("captures"), "Folder of the sessions.", folder=True, short=("-o",))
    session: str | None = setting(
        None, "Name of the new session.", shown="exposed-, and the folder of the shots"
    )
    steps: int = setting(6, "Exposures of each shot.", least=2, most=100)
    first_stops: float | None = setting(
        None,
        "First exposure of all shots, in stops; at 0 they clip at their diffuse white.",
        flag="from",
        shown="of each shot, so that only specks clip",
        least=-40,
        most=40,
    )
    last_stops: float | None = setting(
        None,
        "Last exposure of all shots, in stops.",
        flag="to",
        shown="of each shot, so that a third of it clips",
        least=-40,
        most=40,
    )
    flare: bool = setting(
        False, "Add what a lens scatters over the picture to all exposures but the first."
    )
    size: tuple[int, int] | None = setting(
        None, "Resize frames to this size by area averaging.", form="WxH"
    )
    resume: bool = setting(False, "Go on with a session that was stopped.")
    disk_floor_bytes: int = setting(1_000_000_000)  # stop before less than this is free


@dataclass(frozen=True)
class ReviewOptions:
    """The local page for looking through frames and relabelling them."""

    source: Path = setting(Path("captures"), "Folder of sessions, or one session.", folder=True)
    port: int = setting(0, "Port of the page.", shown="a free one", least=0, most=65535)
    browser: bool = setting(True, "Open the page in the browser; its address is printed.")
    thumbnail_px: int = setting(160)  # longer side of the grid's pictures
    cache_bytes: int = setting(96_000_000)  # thumbnails kept in memory
    fold_s: float = setting(20.0)  # seconds between two foldings of the journal into labels.csv
