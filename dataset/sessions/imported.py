"""What is told of imported frames: whether their times say when they were taken, and their sizes.

Reads no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from dataset.sessions.conversion import FILE, TIME_FROM
from dataset.sessions.manifest import Frame

# In session.json under "times": whose the times of an imported session are.
TIMES_OF_RECORDING, TIMES_OF_PICTURES, TIMES_OF_FILES = "recording", "pictures", "files"
OWN_TIMES = (TIMES_OF_RECORDING, TIMES_OF_PICTURES)  # that say when a frame was taken
MOST_AT_ONCE = 10  # pictures of one second, beyond which their times are of something else
ALIKE_NS = 2 * 10**9  # between files that were written one after the other
MOST_SIZES = 4  # that are named


def have_times(frames: Sequence[Frame]) -> bool:
    """Whether pictures say by themselves when they were taken, all of them, and at times apart."""
    if not frames or any(each.extra.get(TIME_FROM) == FILE for each in frames):
        return False
    seconds = Counter(each.wall_ns // 10**9 for each in frames)
    return max(seconds.values()) <= MOST_AT_ONCE


def told_times(frames: Sequence[Frame]) -> str:
    """A line where most times are alike, with the option that counts; empty otherwise."""
    if have_times(frames):
        return ""
    times = [each.wall_ns for each in frames]
    near = sum(abs(b - a) < ALIKE_NS for a, b in pairwise(times))
    if near < max(MOST_AT_ONCE, len(frames) / 2):
        return ""
    return (
        f"the times of {near + 1:,} of {len(frames):,} pictures are alike, as after copying or "
        "unzipping, and do not say when they were taken. `cli split --burst-frames N` keeps N such "
        "pictures in a row together, in order of their names."
    )


def told_sizes(frames: Iterable[Frame]) -> str:
    """A line where frames are of several sizes: how many of which, what that means, what to do."""
    sizes = count_sizes((each.width, each.height) for each in frames)
    if not sizes:
        return ""
    return (
        f"pictures of several sizes: {sizes}. Small ones may be previews, and training sees all "
        "at one size. Leave out what does not belong, or say --size WxH."
    )


def count_sizes(sizes: Iterable[tuple[int, int]]) -> str:
    """How many pictures are of which size, in words; empty where all are of one.

    Examples
    --------
    >>> count_sizes([(1920, 1080), (200, 113), (1920, 1080)])
    '2 of 1920x1080, 1 of 200x113'
    """
    counts = Counter(sizes)
    if len(counts) < 2:
        return ""
    told = [
        f"{count:,} of {width}x{height}"
        for (width, height), count in counts.most_common(MOST_SIZES)
    ]
    more = len(counts) - len(told)
    return ", ".join(told) + (f", and {more:,} more sizes" if more else "")
