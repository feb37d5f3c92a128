"""From labelled sessions to a data set: ``data/{trainA,trainB,testA,testB}``.

Reads manifests and ``labels.csv``, never a pixel. `groups` says what must stay together, `plan`
chooses, `layout` writes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset import layout
from dataset.errors import UserError
from dataset.groups import Member, Neighbours, group_frames
from dataset.labels import (
    UNREADABLE,
    LabelRow,
    Progress,
    label_captures,
    options_used,
    read_labels,
    session_name,
)
from dataset.manifest import Frame, find_sessions, read_frames, read_session
from dataset.options import SplitOptions
from dataset.plan import Counts, Plan, Pool, plan_largest, plan_split
from dataset.report import data_card, table1

SIDES = ("training X", "training Y", "test X", "test Y")
RECORD_MORE = "Record more with `cli capture --hotkey`"


@dataclass(frozen=True)
class SplitSummary:
    """What `split_captures` made."""

    counts: Counts  # training X, Y, test X, Y
    wanted: Counts  # as asked for; larger than `counts` only with --fit
    groups: int  # groups in use
    pairs: int  # true pairs of the test in pairs.csv
    closest_s: float | None  # seconds between training and test in one recording; None: never near
    left_out: dict[str, int]  # why labelled frames were not used -> how many
    copied: int  # files that were copied, not linked
    out: Path  # the data set

    @property
    def table1(self) -> str:
        """The paper's Table 1 for this data set, as Markdown."""
        return table1(self.counts)

    def __str__(self) -> str:
        left_out = ", ".join(f"{count:,} {why}" for why, count in self.left_out.items() if count)
        return (
            f"{self.table1}\n{self.groups:,} groups, none on both sides; {self.pairs:,} true pairs "
            f"in the test; left out: {left_out or 'none'}: {self.out}"
        )


@dataclass(frozen=True)
class Candidate:
    """A frame labelled X or Y whose file is there."""

    session: str
    frame: Frame
    row: LabelRow
    path: Path
    timed: bool  # its time is that of the grab

    @property
    def member(self) -> Member:
        frame = self.frame
        return Member(
            self.session,
            frame.index,
            frame.monotonic_ns,
            frame.viewpoint,
            self.timed,
            frame.sha256,
            frame.phash,
        )


def split_captures(options: SplitOptions, on_progress: Progress | None = None) -> SplitSummary:
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
        Too few frames or groups for the counts, or a folder `out` that is not ours.
    """
    _check(options)
    layout.check_out(options.out)
    candidates, left_out = _gather(options, on_progress)
    pool, plan, options = _plan(candidates, options, left_out)
    names = _names(candidates)
    chosen = [(at, "train") for at in plan.train] + [(at, "test") for at in plan.test]
    paths = {at: f"{side}{'AB'[pool.domain[at]]}/{names[at]}" for at, side in chosen}
    test = set(plan.test)
    pairs = [
        (paths[over], paths[clear])
        for over, clear in sorted(pool.reference.items())
        if over in test and clear in test
    ]
    left_out["too near to the test"] = plan.too_near
    left_out["more than needed"] = len(candidates) - len(paths) - plan.too_near
    record = _record(candidates, pool, plan, paths, options, left_out)
    sources = Counter(candidates[at].row.source for at in paths)
    texts = {
        layout.PAIRS_FILE: "over_exposed,reference\n" + "".join(f"{a},{b}\n" for a, b in pairs),
        layout.CARD_FILE: data_card(
            plan.counts,
            options.counts,
            dict(sorted(sources.items())),
            record["leaks"],
            options.seed,
        ),
    }
    files = {path: candidates[at].path for at, path in paths.items()}
    copied = layout.write_data_set(options.out, files, record, texts, options.link, on_progress)
    return SplitSummary(
        plan.counts,
        options.counts,
        len(record["groups"]),
        len(pairs),
        record["leaks"]["closest_s"],
        left_out,
        copied,
        options.out,
    )


def _check(options: SplitOptions) -> None:
    if len(options.counts) != 4 or min(options.counts) < 0 or not sum(options.counts):
        raise UserError("--counts takes four numbers: TRAIN_X,TRAIN_Y,TEST_X,TEST_Y.")
    if options.link not in ("hard", "symlink", "copy"):
        raise UserError(f"--link {options.link} is none of hard, symlink, copy.")
    if options.burst_s <= 0:
        raise UserError("The longest stretch of a recording must be over 0 seconds.")


def _gather(
    options: SplitOptions, on_progress: Progress | None
) -> tuple[list[Candidate], dict[str, int]]:
    """Frames that may be used, in order of (session, index), and why the others may not."""
    sessions = {session_name(each): each for each in find_sessions(options.source)}
    frames = {name: list(read_frames(folder)) for name, folder in sessions.items()}
    rows = {row.key: row for row in read_labels(options.source)}
    if any((name, frame.file) not in rows for name, each in frames.items() for frame in each):
        label_captures(options_used(list(rows.values()), options.source), on_progress)
        rows = {row.key: row for row in read_labels(options.source)}
    candidates: list[Candidate] = []
    left_out: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for name, folder in sessions.items():
        timed = _has_times(folder, frames[name])
        for frame in sorted(frames[name], key=lambda each: each.index):
            row = rows[name, frame.file]
            path = folder / frame.file
            reason = _reason_against(row, frame, path, seen)
            if reason:
                left_out[reason] += 1
            else:
                candidates.append(Candidate(name, frame, row, path, timed))
    return candidates, dict(left_out)


def _reason_against(
    row: LabelRow, frame: Frame, path: Path, seen: set[tuple[str, str]]
) -> str | None:
    """Why a frame may not be used; None if it may. Remembers its contents in `seen`."""
    if row.label not in ("X", "Y"):
        return row.label
    if row.method == UNREADABLE or not path.is_file():
        return "file missing or broken"
    if frame.sha256:
        if (row.label, frame.sha256) in seen:
            return "repeated in another place"
        seen.add((row.label, frame.sha256))
    return None


def _has_times(folder: Path, frames: Sequence[Frame]) -> bool:
    """Whether times are those of a grab: imported pictures have the files' times, for both clocks.

    An imported recording has its own.
    """
    facts = read_session(folder)
    if facts.get("imported", False):
        return facts.get("times") == "recording"
    return any(each.wall_ns != each.monotonic_ns for each in frames)


def _references(candidates: Sequence[Candidate]) -> dict[int, int]:
    """For each Y frame of a viewpoint the X frame that shows the same without over-exposure."""
    scenes: dict[tuple[str, str], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for at, each in enumerate(candidates):
        if each.frame.viewpoint is not None:
            scenes[each.session, each.frame.viewpoint][each.row.label == "Y"].append(at)

    def truth(at: int) -> tuple[bool, int]:
        each = candidates[at]
        return "reference" in (each.frame.light or "").lower(), each.row.p99 or 0

    return {
        over: max(clear, key=truth) for clear, overs in scenes.values() if clear for over in overs
    }


def _plan(
    candidates: Sequence[Candidate], options: SplitOptions, left_out: dict[str, int]
) -> tuple[Pool, Plan, SplitOptions]:
    """A complete plan, its pool and the options that it was made with.

    A short recording has too few stretches of the usual length to be divided at all; with
    ``fit`` they are halved until it can be, the guard time staying what it is.
    """
    members = [each.member for each in candidates]
    domain = np.array([each.row.label == "Y" for each in candidates], np.int64)
    neighbours, references = Neighbours(members), _references(candidates)
    have, none = _describe(domain, options, left_out)
    if none:
        raise UserError(
            f"There is nothing to divide: {have}. {RECORD_MORE}, with {' and '.join(none)} frames."
        )
    burst_s = options.burst_s
    while True:
        tried = replace(options, burst_s=burst_s)
        pool = Pool(domain, group_frames(members, tried), neighbours, references)
        planner = plan_largest if options.fit else plan_split
        plan = planner(pool, options.counts, tried)
        if plan is not None and plan.complete:
            return pool, plan, tried
        burst_s /= 2
        if not options.fit or burst_s < max(2 * options.guard_s, 1.0):
            raise UserError(_too_few(have, pool, plan, options))


def _describe(
    domain: NDArray[np.int64], options: SplitOptions, left_out: dict[str, int]
) -> tuple[str, list[str]]:
    """What there is, in words, and the domains that are wanted and empty."""
    x, y = np.bincount(domain, minlength=2).tolist()
    unsure = left_out.get("unsure", 0)
    more = f" ({unsure:,} more are unsure)" if unsure else ""
    none = [each for each, held in (("X", x), ("Y", y)) if not held]
    return f"{options.source} has {x:,} X and {y:,} Y{more}", none


def _too_few(have: str, pool: Pool, plan: Plan | None, options: SplitOptions) -> str:
    """What is missing and how to go on."""
    x, y = (len(np.unique(pool.group[pool.domain == at])) for at in (0, 1))
    groups = f"{x:,} groups with X and {y:,} with Y (viewpoints or stretches of a recording)"
    if plan is None:
        return (
            f"Training and test cannot be kept apart: {have}, but in only {groups}, which stay "
            f"whole. {RECORD_MORE}: other viewpoints, or for some minutes."
        )
    wanted = " / ".join(f"{count:,}" for count in options.counts)
    need = (options.counts[0] + options.counts[2], options.counts[1] + options.counts[3])
    lacks = [max(count - held, 0) for count, held in zip(need, pool.totals(), strict=True)]
    enough = not any(lacks)
    counted = zip(plan.missing, SIDES, strict=True) if enough else zip(lacks, "XY", strict=True)
    missing = " and ".join(f"{count:,} {name}" for count, name in counted if count)
    why = f" Enough in number, they lie in {groups}, which stay whole." if enough else ""
    largest = plan_largest(pool, options.counts, options)
    fits = "" if largest is None else f" (here {' / '.join(f'{n:,}' for n in largest.counts)})"
    return (
        f"Too few frames for {wanted} ({', '.join(SIDES)}): {have}. Missing: {missing}.{why} "
        f"{RECORD_MORE}, or use --fit for the same proportions at the size that the frames "
        f"allow{fits}, or ask for other numbers with --counts TRAIN_X,TRAIN_Y,TEST_X,TEST_Y."
    )


def _names(candidates: Sequence[Candidate]) -> list[str]:
    """A flat file name for each frame, `<session>_NNNNNN.png`, unique whatever the case.

    ASCII only: other people's CycleGAN code opens files with OpenCV, which fails on anything else
    on Windows.
    """
    slugs: dict[str, str] = {}
    for session in dict.fromkeys(each.session for each in candidates):
        plain = re.sub(r"[^A-Za-z0-9]+", "-", session).strip("-")[:60] or "session"
        slug, number = plain, 1
        while slug.lower() in {each.lower() for each in slugs.values()}:
            number += 1
            slug = f"{plain}-{number}"
        slugs[session] = slug
    return [
        f"{slugs[each.session]}_{each.frame.index:06d}{each.path.suffix.lower()}"
        for each in candidates
    ]


def _record(
    candidates: Sequence[Candidate],
    pool: Pool,
    plan: Plan,
    paths: dict[int, str],
    options: SplitOptions,
    left_out: dict[str, int],
) -> dict[str, Any]:
    """What ``split.json`` says of this split."""
    sides: dict[int, dict[str, Any]] = {}
    for at, path in paths.items():
        side = path.split("/")[0][:-1]
        entry = sides.setdefault(
            int(pool.group[at]), {"group": int(pool.group[at]), "side": side, "X": 0, "Y": 0}
        )
        entry["XY"[pool.domain[at]]] += 1
    settings = asdict(options) | {
        "source": options.source.as_posix(),
        "out": options.out.as_posix(),
    }
    return {
        "counts": dict(zip(layout.FOLDERS, plan.counts, strict=True)),
        "wanted": dict(zip(layout.FOLDERS, options.counts, strict=True)),
        "seed": options.seed,
        "options": settings,
        "left_out": left_out,
        "leaks": _leaks(candidates, pool, plan),
        "groups": [sides[group] for group in sorted(sides)],
        "files": [_origin(candidates[at], int(pool.group[at]), path) for at, path in paths.items()],
    }


def _origin(candidate: Candidate, group: int, path: str) -> dict[str, Any]:
    return {
        "path": path,
        "session": candidate.session,
        "file": candidate.frame.file,
        "label": candidate.row.label,
        "source": candidate.row.source,
        "group": group,
        "sha256": candidate.frame.sha256,
    }


def _leaks(candidates: Sequence[Candidate], pool: Pool, plan: Plan) -> dict[str, Any]:
    """What of the test could be known from training: measured on the result, not on the plan."""
    in_test = np.zeros(len(candidates), np.bool_)
    in_test[plan.test] = True
    seconds = pool.neighbours.seconds_to(in_test)[plan.train]
    nearest = int(np.argmin(seconds)) if len(seconds) else 0
    near = len(seconds) > 0 and bool(np.isfinite(seconds[nearest]))
    hashes = [
        {candidates[at].frame.sha256 for at in side} - {None} for side in (plan.train, plan.test)
    ]
    return {
        "groups_on_both_sides": len(set(pool.group[plan.train]) & set(pool.group[plan.test])),
        "identical_files_on_both_sides": len(hashes[0] & hashes[1]),
        "closest_s": float(seconds[nearest]) if near else None,
        "closest_session": candidates[plan.train[nearest]].session if near else None,
    }
