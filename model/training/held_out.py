"""Frames of X that a training does not see, so that its best epoch can be chosen by them.

Which frames those are, and under which light each is to be restored; ``best_epoch`` does that.
Scenes are held out whole as far as the data set tells them apart: groups of ``split.json``, or else
stretches of the sorted names. Of true pairs, both pictures are held out, with all pairs that share
one of them. A run writes its choice down and keeps it when it is resumed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dataset import errors, files, gate, tables
from dataset.layout.readers import LAYOUTS, read_split
from model.options import TrainOptions
from model.physical import BEYOND
from model.physical_networks import LARGEST

HELD_OUT_FILE = "held_out.csv"
COLUMNS = ("frame", "file", "log_gain")
SHARE, LEAST = 0.05, 8  # of the frames of X; frames
FEWEST = 64  # frames of X: of fewer, none can be spared
MOST_SHARE = 0.1  # of the frames of X, where scenes are so large that more than `SHARE` goes
STRETCH = 8  # frames that follow each other where no scenes are known
EXPOSURES = 24  # at least: a few frames are restored under several gains each
UNCHANGED = 1 / 8  # share of the exposures that leave a frame as it is
COMPARED = 100  # frames of each domain: enough to know what range of light there is
GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, are spread evenly however many there are

Pictures = tuple[str, str]  # of a true pair
Trials = list[tuple[int, float]]  # place of a frame in X, and log k of the light it is put under
_T = TypeVar("_T")


def held_out_frames(
    run: Path, options: TrainOptions, names: Sequence[str], pairs: Sequence[Pictures] = ()
) -> list[int]:
    """Places of the frames of X that a run holds out, rising; those of before if it is resumed.

    Parameters
    ----------
    run, options
        The run's folder and settings.
    names : sequence of str
        Files of X.
    pairs : sequence of (str, str)
        Both pictures of each pair, by whatever tells pictures apart, if X and Y are true pairs.

    Raises
    ------
    UserError
        What a resumed run held out cannot be read; or ``split.json`` cannot.
    """
    if options.resume and count_held_out(len(names), options.held_out):
        return sorted({frame for frame, _ in read_trials(run, len(names))})
    if pairs:
        return choose_pairs(pairs, options.held_out)
    return choose_frames(options.data, names, options.held_out)


def count_held_out(frames: int, most: int) -> int:
    """How many of so many frames of X are to be held out, about.

    Examples
    --------
    >>> [count_held_out(frames, 48) for frames in (63, 64, 400, 3864)]
    [0, 8, 20, 48]
    """
    return 0 if frames < FEWEST else min(most, max(LEAST, round(SHARE * frames)))


def choose_frames(data: Path, names: Sequence[str], most: int) -> list[int]:
    """Places of the frames of X to hold out, rising; none where they are too few.

    Parameters
    ----------
    data : Path
        The data set.
    names : sequence of str
        Files of its X, sorted.
    most : int
        Frames; more only where the smallest scene has more.
    """
    wanted = count_held_out(len(names), most)
    if not wanted:
        return []
    return whole_groups(groups_of(data, names), wanted) or stretches(len(names), wanted)


def choose_pairs(pairs: Sequence[Pictures], most: int) -> list[int]:
    """Places of the true pairs to hold out, rising; no picture of theirs is in another pair."""
    wanted, groups = count_held_out(len(pairs), most), linked(pairs)
    if not wanted:
        return []
    if len(set(groups)) == len(groups):  # which are one scene is not known
        return stretches(len(pairs), wanted)
    return whole_groups(groups, wanted)


def linked(pairs: Sequence[Pictures]) -> list[int]:
    """The group of each pair: pairs that share a picture belong together.

    Examples
    --------
    >>> linked([("a1", "a"), ("b1", "b"), ("a2", "a"), ("b1", "c")])
    [0, 1, 0, 1]
    """
    numbers: dict[str, int] = {}
    ends = np.array([[numbers.setdefault(each, len(numbers)) for each in pair] for pair in pairs])
    edges = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(numbers),) * 2)
    return connected_components(edges, directed=False)[1][ends[:, 0]].tolist()


def groups_of(data: Path, names: Sequence[str]) -> list[int]:
    """The group of each frame by ``split.json``; empty where that does not know all of them."""
    record = read_split(data)
    known = {file.path: file.group for file in record.files} if record else {}
    for folder in {layout[0] for layout in LAYOUTS.values()}:
        groups = [known.get(f"{folder}/{name}") for name in names]
        found = [each for each in groups if each is not None]
        if len(found) == len(names):
            return found
    return []


def whole_groups(groups: Sequence[int], wanted: int) -> list[int]:
    """Places of the frames of a few groups from all over X; empty where they are too large.

    Examples
    --------
    >>> whole_groups([1, 1, 2, 2, 2, 3, 4, 4], 3)
    [2, 3, 4]
    """
    sizes = Counter(groups)
    chosen = _fitting(sizes, _spread(sorted(sizes)), wanted)
    if sum(sizes[each] for each in chosen) < min(LEAST // 2, wanted):  # rather few than parts
        smallest = sorted(sizes, key=lambda each: sizes[each])
        totals = accumulate(sizes[each] for each in smallest)
        count = next((n for n, total in enumerate(totals, start=1) if total >= LEAST), 0)
        chosen = set(smallest[:count])
        if sum(sizes[each] for each in chosen) > MOST_SHARE * len(groups):
            return []
    return [place for place, group in enumerate(groups) if group in chosen]


def _fitting(sizes: Counter[int], order: Sequence[int], room: int) -> set[int]:
    """The groups, first come first served, that fit into this many frames."""
    chosen: set[int] = set()
    for group in order:
        if sizes[group] <= room:
            chosen.add(group)
            room -= sizes[group]
    return chosen


def _spread(items: Sequence[_T]) -> list[_T]:
    """In an order of which every beginning is spread over all of them."""
    return [items[n] for n in sorted(range(len(items)), key=lambda n: _golden(n + 1))]


def _golden(number: float) -> float:
    return number * GOLDEN % 1


def stretches(count: int, wanted: int) -> list[int]:
    """Places in runs of about `STRETCH`, evenly spaced over ``count``: neighbours stay together.

    Examples
    --------
    >>> stretches(100, 16)
    [21, 22, 23, 24, 25, 26, 27, 28, 71, 72, 73, 74, 75, 76, 77, 78]
    """
    runs = np.array_split(np.arange(wanted), max(1, wanted // STRETCH))
    centres = (np.arange(len(runs)) + 0.5) * count / len(runs)
    firsts = [int(centre - len(run) / 2) for centre, run in zip(centres, runs, strict=True)]
    return [first + n for first, run in zip(firsts, runs, strict=True) for n in range(len(run))]


def without(frames: Sequence[_T], places: Sequence[int]) -> list[_T]:
    """The other frames, in their order."""
    left_out = set(places)
    return [frame for place, frame in enumerate(frames) if place not in left_out]


def plan_trials(places: Sequence[int], median: float) -> Trials:
    """Under which light held-out frames are restored: as evenly spread as gains are in training.

    Parameters
    ----------
    places : sequence of int
        Of the held-out frames, at least one.
    median : float
        log k under which frames of X look as those of Y do.

    Returns
    -------
    list of (int, float)
        Each frame, or each several times, and log k from 0 (an eighth of them) to the largest.
    """
    largest, rounds = min(BEYOND * median, LARGEST), -(-EXPOSURES // len(places))
    frames = [frame for frame in places for _ in range(rounds)]
    shares = [_golden(n + 0.5) for n in range(len(frames))]
    gains = [largest * max(0.0, share - UNCHANGED) / (1 - UNCHANGED) for share in shares]
    return list(zip(frames, gains, strict=True))


def write_trials(run: Path, trials: Trials, names: Sequence[str]) -> None:
    """Write ``held_out.csv`` of a run; ``UserError`` where that is not possible."""
    text = tables.table_text(COLUMNS, ((f, names[f], repr(log_gain)) for f, log_gain in trials))
    # A name that is no text is for the eye only: frames are found by their places.
    files.write_whole(run / HELD_OUT_FILE, text.encode("utf-8", "backslashreplace"))


def read_trials(run: Path, count: int) -> Trials:
    """What `write_trials` wrote, of ``count`` frames; ``UserError`` where it cannot be read."""
    path = run / HELD_OUT_FILE
    try:
        rows = [fields for _, fields in tables.read_table(path, COLUMNS)]
        trials = [(int(frame), tables.number(log_gain)) for frame, _, log_gain in rows]
        if not trials or not all(0 <= f < count and 0 <= gain <= LARGEST for f, gain in trials):
            raise ValueError("it names frames or gains that cannot be")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else gate.plain(error)
        raise errors.UserError(
            f"{path} cannot be read ({why}), so nothing tells which frames {run} did not learn "
            "from. Copy the file again, or begin a new run with another --run.",
            1,
        ) from error
    return trials
