"""From labelled sessions to a data set: ``data/{trainA,trainB,testA,testB}`` or an image folder.

`gather` finds the frames that may be used, `groups` says what must stay together, `plan` chooses,
`layout` writes. Pixels are read for the pictures of the report only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.errors import UserError
from dataset.layout import folders as layout
from dataset.layout.links import WAYS
from dataset.layout.pairs import PAIRS_FILE, pairs_csv
from dataset.layout.readers import CARD_FILE, LAYOUTS
from dataset.options import SplitOptions
from dataset.pictures.png import encode_png
from dataset.sessions.columns import Ints
from dataset.sessions.imported import count_sizes
from dataset.splitting.croissant import croissant
from dataset.splitting.gather import Table, gather_frames
from dataset.splitting.groups import Neighbours, group_frames
from dataset.splitting.leaks import Near, describe_near, measure_leaks
from dataset.splitting.near_hashes import starts_of_runs
from dataset.splitting.plan import SIDES, Plan, Pool, SideCounts, plan_largest, plan_split
from dataset.splitting.report import data_card, table1
from dataset.splitting.sheets import clipped_histogram, leak_sheet, sheet_of
from dataset.splitting.split_json import metadata_csv, name_files, record_split
from dataset.terminal import ProgressCallback

RECORD_MORE = "Record more with `cli capture --hotkey`"
MIXED = (
    "frames of several sizes: {}. Training scales all to one size, which blurs small ones: move "
    "sessions of previews away, or import and record all with one --size"
)
SHEET_FRAMES = 64  # frames on a contact sheet


@dataclass(frozen=True)
class SplitSummary:
    """The result of `split_captures`."""

    counts: SideCounts  # training X, Y, test X, Y
    wanted: SideCounts  # as asked for; larger than `counts` only with --fit
    groups: int  # groups in use
    pairs: int  # true pairs of the test in pairs.csv
    closest_s: float | None  # seconds between training and test in one recording; None: never near
    left_out: dict[str, int]  # why labelled frames were not used -> how many
    copied: int  # files that were copied, not linked
    out: Path  # the data set
    link: str = "hard"  # as asked for
    near: int = 0  # test frames that look much like a training frame
    advice: str = ""  # what to do about them
    broken: tuple[str, ...] = ()  # session/file of each frame that is missing or cannot be read
    sizes: str = ""  # how many frames of which size, where they differ
    edited: tuple[Path, ...] = ()  # what somebody had changed in the data set before, set aside

    @property
    def table1(self) -> str:
        """The paper's Table 1 for this data set, as Markdown."""
        return table1(self.counts)

    def __str__(self) -> str:
        left_out = ", ".join(f"{count:,} {why}" for why, count in self.left_out.items() if count)
        copied = (
            f"\n{self.copied:,} files were copied: --link {self.link} cannot be done here"
            if self.copied and self.link != "copy"
            else ""
        )
        advice = f"\n{self.advice}" if self.advice else ""
        if self.broken:
            more = f" and {len(self.broken) - 5:,} more" if len(self.broken) > 5 else ""
            advice += f"\nMissing or not readable: {', '.join(self.broken[:5])}{more}"
        sizes = f"\n{MIXED.format(self.sizes)}" if self.sizes else ""
        kept = ", ".join(map(str, self.edited))
        advice += f"\nChanged by hand since it was written, and kept: {kept}" if kept else ""
        return (
            f"{self.table1}\n{self.groups:,} groups, none on both sides; {self.pairs:,} true pairs "
            f"in the test; left out: {left_out or 'none'}: {self.out}{copied}{advice}{sizes}"
        )


@dataclass(frozen=True)
class Planned:
    """A split that is planned but not written yet."""

    table: Table
    pool: Pool
    plan: Plan
    options: SplitOptions  # as used: `burst_s` may have been halved to fit
    left_out: dict[str, int]  # why labelled frames are not used -> how many
    leaks: dict[str, Any]  # the leak report
    nearest: list[Near]  # its worst cases

    @property
    def groups(self) -> int:
        return len(np.unique(self.pool.group[self.plan.train + self.plan.test]))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Over-exposed test frames and the test frame that shows their truth."""
        test, clear = set(self.plan.test), self.pool.reference
        return [(at, int(clear[at])) for at in self.plan.test if int(clear[at]) in test]

    def summary(self, copied: int) -> SplitSummary:
        """The summary to print."""
        return SplitSummary(
            self.plan.counts,
            self.options.counts,
            self.groups,
            len(self.pairs),
            self.leaks["closest_s"],
            self.left_out,
            copied,
            self.options.out,
            self.options.link,
            self.leaks["hash_bits"]["near"],
            describe_near(self.leaks),
            self.table.broken,
            count_sizes(map(tuple, self.table.size[self.plan.train + self.plan.test].tolist())),
        )


def split_captures(
    options: SplitOptions, on_progress: ProgressCallback | None = None
) -> SplitSummary:
    """Divide labelled frames between training and test, with exact counts and whole groups.

    Frames that nobody has labelled yet are labelled first. The same frames, labels and seed give
    the same bytes; run again, it replaces the files of its last run and no other.

    Parameters
    ----------
    options : SplitOptions
    on_progress : callable, optional
        Called with (done, to do), first while frames are labelled, then while files are linked.

    Raises
    ------
    UserError
        Too few frames or groups for the counts, or a folder `out` that is not ours, or that
        another process works in.
    """
    _check(options)
    with layout.hold_out(options.out):
        return _write(plan_captures(options, on_progress), options, on_progress)


def _write(
    planned: Planned, options: SplitOptions, on_progress: ProgressCallback | None
) -> SplitSummary:
    """Write a planned split."""
    table, plan, used = planned.table, planned.plan, planned.options
    folders = LAYOUTS[options.layout]
    paths = name_files(table, plan, folders)
    record = record_split(
        table, planned.pool, plan, paths, used, planned.left_out, planned.leaks, planned.nearest
    )
    files = {path: table.path(at) for at, path in paths.items()}
    texts = _texts(planned, paths, record["leaks"]) | _pictures(planned)
    copied, edited = layout.write_data_set(
        options.out, files, record, texts, options.link, on_progress, folders
    )
    return replace(planned.summary(copied), edited=tuple(edited))


def plan_captures(
    options: SplitOptions,
    on_progress: ProgressCallback | None = None,
    check_files: bool = True,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Planned:
    """Choose the frames and measure leaks, without writing or opening a picture.

    Parameters
    ----------
    options : SplitOptions
    on_progress : callable, optional
        Called with (done, to do) while frames without a label are labelled.
    check_files : bool
        Whether frames without a file are left out.
    on_stage : callable
        Called with the name of each stage as it begins.

    Raises
    ------
    UserError
        Too few frames or groups for the counts.
    """
    _check(options)
    table, left_out = gather_frames(options, on_progress, check_files, on_stage)
    pool, plan, used = _plan(table, options, left_out, on_stage)
    on_stage("leaks")
    chosen = len(plan.train) + len(plan.test)
    left_out |= {
        "too near to the test": plan.too_near,
        "more than needed": len(table) - chosen - plan.too_near,
    }
    leaks, nearest = measure_leaks(
        table.keys, table.domain, pool.group, pool.neighbours, plan.train, plan.test, options.seed
    )
    return Planned(table, pool, plan, used, left_out, leaks, nearest)


def _check(options: SplitOptions) -> None:
    if len(options.counts) != 4 or min(options.counts) < 0 or not sum(options.counts):
        raise UserError("--counts takes four numbers, not all 0: TRAIN_X,TRAIN_Y,TEST_X,TEST_Y.")
    for name, value, known in (
        ("link", options.link, WAYS),
        ("layout", options.layout, tuple(LAYOUTS)),
        ("duplicates", options.duplicates, ("drop", "keep")),
    ):
        if value not in known:
            raise UserError(f"--{name} {value} is none of {', '.join(known)}.")
    if options.burst_s <= 0:
        raise UserError("The longest stretch of a recording must be over 0 seconds.")


def _references(table: Table) -> Ints:
    """For each Y frame of a viewpoint, its X frame without over-exposure; -1 if it has none.

    That is one whose light is called the reference, else the brightest; the first of equals.
    """
    scene = table.keys.viewpoint
    clear = np.flatnonzero((table.domain == 0) & (scene >= 0))
    bright = np.nan_to_num(table.p99[clear])
    clear = clear[np.lexsort((-clear, bright, table.reference[clear], scene[clear]))]
    starts = starts_of_runs(scene[clear])
    best = np.append(starts[1:], len(clear))[: len(starts)] - 1
    truth = np.full(int(scene.max(initial=-1)) + 1, -1, np.int64)
    truth[scene[clear[best]]] = clear[best]
    posed = (table.domain == 1) & (scene >= 0)
    found = np.full(len(table), -1, np.int64)
    found[posed] = truth[scene[posed]]
    return found


def _plan(
    table: Table,
    options: SplitOptions,
    left_out: dict[str, int],
    on_stage: Callable[[str], None],
) -> tuple[Pool, Plan, SplitOptions]:
    """A complete plan, its pool and the options that it was made with.

    A short recording has too few stretches of the usual length to be divided at all; with
    ``fit`` they are halved until it can be, the guard time staying what it is.
    """
    have, none = _describe(table.domain, options, left_out)
    if none:
        raise UserError(
            f"There is nothing to divide: {have}. {RECORD_MORE}, with {' and '.join(none)} frames."
        )
    neighbours, references = Neighbours(table.keys), _references(table)
    burst_s = options.burst_s
    while True:
        tried = replace(options, burst_s=burst_s)
        on_stage("grouping")
        pool = Pool(table.domain, group_frames(table.keys, tried), neighbours, references)
        on_stage("planning")
        planner = plan_largest if options.fit else plan_split
        plan = planner(pool, options.counts, tried)
        if plan is not None and plan.complete:
            return pool, plan, tried
        burst_s /= 2
        if not options.fit or burst_s < max(2 * options.guard_s, 1.0):
            raise UserError(_too_few(have, pool, plan, options, _joined(table, options)))


def _describe(
    domain: NDArray[np.int64], options: SplitOptions, left_out: dict[str, int]
) -> tuple[str, list[str]]:
    """What there is, as text, and the domains that have no frame."""
    x, y = np.bincount(domain, minlength=2).tolist()
    unsure = left_out.get("unsure", 0)
    more = f" ({unsure:,} more are unsure)" if unsure else ""
    none = [each for each, held in (("X", x), ("Y", y)) if not held]
    return f"{options.source} has {x:,} X and {y:,} Y{more}", none


def _joined(table: Table, options: SplitOptions) -> str:
    """Which options join frames into so few groups, as sentences."""
    told = "" if options.phash_bits <= 1 else " A smaller --phash-bits joins fewer of them."
    untimed = int((~table.keys.timed & (table.keys.viewpoint < 0)).sum())
    if untimed and options.burst_frames > 1:
        told += (
            f" {untimed:,} are imported pictures that do not say when they were taken: where the "
            f"times of their files are alike, {options.burst_frames} in a row stay together; a "
            "smaller --burst-frames makes more groups."
        )
    return told


def _too_few(have: str, pool: Pool, plan: Plan | None, options: SplitOptions, joined: str) -> str:
    """The error message: what is missing, and what to do."""
    x, y = (len(np.unique(pool.group[pool.domain == at])) for at in (0, 1))
    groups = f"{x:,} groups with X and {y:,} with Y (viewpoints or stretches of a recording)"
    if plan is None:
        return (
            f"Training and test cannot be kept apart: {have}, but in only {groups}, which stay "
            f"whole.{joined} {RECORD_MORE}: other viewpoints, or for some minutes."
        )
    wanted = " / ".join(f"{count:,}" for count in options.counts)
    need = (options.counts[0] + options.counts[2], options.counts[1] + options.counts[3])
    lacks = [max(count - held, 0) for count, held in zip(need, pool.totals(), strict=True)]
    enough = not any(lacks)
    counted = zip(plan.missing, SIDES, strict=True) if enough else zip(lacks, "XY", strict=True)
    missing = " and ".join(f"{count:,} {name}" for count, name in counted if count)
    why = f" There are enough, but only in {groups}, which stay whole.{joined}" if enough else ""
    largest = plan_largest(pool, options.counts, options)
    fits = "" if largest is None else f" (here {' / '.join(f'{n:,}' for n in largest.counts)})"
    return (
        f"Too few frames for {wanted} ({', '.join(SIDES)}): {have}. Missing: {missing}.{why} "
        f"{RECORD_MORE}, or use --fit for the same proportions at the size that the frames "
        f"allow{fits}, or ask for other numbers with --counts TRAIN_X,TRAIN_Y,TEST_X,TEST_Y."
    )


def _texts(
    planned: Planned, paths: dict[int, str], leaks: dict[str, Any]
) -> dict[str, str | bytes]:
    """Tables, card and metadata by name."""
    table, plan, options = planned.table, planned.plan, planned.options
    folders = LAYOUTS[options.layout]
    sources = Counter(table.source[at] for at in paths)
    texts: dict[str, str | bytes] = {
        PAIRS_FILE: pairs_csv((paths[over], paths[clear]) for over, clear in planned.pairs),
        CARD_FILE: data_card(
            plan.counts, options.counts, dict(sorted(sources.items())), leaks, options.seed, folders
        ),
        layout.CROISSANT_FILE: croissant(
            folders, sorted({Path(each).suffix for each in paths.values()}), plan.counts
        ),
    }
    if options.layout == "imagefolder":
        for side, chosen in (("train", plan.train), ("test", plan.test)):
            name = f"{side}/{layout.METADATA_FILE}"
            texts[name] = metadata_csv(table, planned.pool, chosen, paths)
    return texts


def _pictures(planned: Planned) -> dict[str, str | bytes]:
    """The report's PNG files by name."""
    table, plan = planned.table, planned.plan
    chosen = np.array(plan.train + plan.test, np.int64)
    random = np.random.default_rng(planned.options.seed)
    images = {
        "leaks.png": leak_sheet(
            [(table.path(e.test), table.path(e.train), _caption(e)) for e in planned.nearest]
        ),
        "clipped.png": clipped_histogram(table.fraction[chosen], table.domain[chosen]),
    }
    for domain, name in enumerate(("sheet_X.png", "sheet_Y.png")):
        held = np.sort(random.permutation(chosen[table.domain[chosen] == domain])[:SHEET_FRAMES])
        images[name] = sheet_of([table.path(at) for at in held.tolist()])
    return {f"report/{name}": encode_png(image) for name, image in images.items()}


def _caption(near: Near) -> str:
    apart = "" if near.seconds is None else f"; nearest of its recording {near.seconds:.1f} s away"
    return f"{near.bits} of 64 bits differ{apart}"
