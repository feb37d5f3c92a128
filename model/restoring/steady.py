"""The light of a video over time, so that restored frames do not flicker. Loads no torch.

What is found in single frames is off by as much as gains differ, and by another amount in each. How
exposure *changes* from a frame to the next can be measured instead, from what is clipped in
neither. A first pass over the video collects both, `FrameLights` finds the gains that agree best
with them within each scene, and a second pass restores by these.

A method takes part by ``look`` and ``follow``; one that has none restores each frame by itself.
What is seen of all frames, and what is carried from one to the next, are plain arrays, so that a
video that was stopped can go on. Arrays only; ``video`` reads and writes the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from dataset.pictures.pixels import Pixels
from model.belief import how_likely_exposed
from model.restoring.full_size import Plane

DARKEST, BRIGHTEST = 0.06, 0.95  # encoded: what lossy files leave of black and white says little
FEWEST = 0.02  # share of a picture from which a change can be measured
STILL = 0.02  # spread of log light up to which no camera has moved
CUT = 0.15  # spread of log light from which on there may be a cut,
CUT_TIMES = 2.5  # if it is so many times that of the frames around,
CUT_FRAMES = 5  # up to so many on each side
UNMEASURED = 0.1  # log light: by how much exposure may change in a frame that tells nothing
LEAST_ERROR = 0.003  # of a measured change of log light
ERROR_SHARE = 0.1  # of its spread: how far off the median may be where things move
ALIKE = 16  # frames over which F errs alike
BELOW = 0.02  # log k: how far under 0 it may come out; light was never divided
ROUNDS = 20
SMOOTH = 6.0  # frames, standard deviation: proposals for parts, and strengths
KEPT = 0.8  # of the content drawn in clipped areas, from the frame before
LOST = 0.1  # spread of log light from which on nothing of it is kept
NONE = how_likely_exposed(0.0)  # what is left of it where nothing was found
LIKELY = 96  # frames around one that is over-exposed count as over-exposed

Values = NDArray[np.float64]  # (N,), one a frame
PerFrame = Callable[[int, Pixels], Pixels]  # number of a frame, and the frame -> restored
Arrays = Mapping[str, NDArray[Any]]  # by name; of what was seen, a row for each frame


@runtime_checkable
class Follows(Protocol):
    """A method that restores the frames of a video with those around them in view."""

    def look(self, frames: Iterable[Pixels]) -> Arrays:
        """What is seen of all frames, in order."""

    def follow(self, seen: Arrays) -> Followed:
        """What restores them by it."""


@dataclass(frozen=True)
class Followed:
    """Restores the frames of a video, in order: number of a frame, and the frame -> restored."""

    restore: PerFrame
    content: SteadyContent | None = None  # what is carried from frame to frame

    def __call__(self, number: int, pixels: Pixels) -> Pixels:
        return self.restore(number, pixels)

    @property
    def carried(self) -> Arrays:
        """What the next frame needs of those before it."""
        return {} if self.content is None else self.content.carried

    def carry(self, arrays: Arrays) -> None:
        """Go on after the frame of which this was `carried`."""
        if self.content is not None:
            self.content.carry(arrays)


def look(restore: Callable[[Pixels], Pixels], frames: Iterable[Pixels]) -> Arrays:
    """What a method sees of the frames of a video.

    Parameters
    ----------
    restore : callable
        A method. If it `Follows`, it looks at the frames; else they are not read.
    frames : iterable of (H, W, 3) float32 in [0, 1]
        All frames in order, of any one size: those that are restored may be larger.
    """
    return restore.look(frames) if isinstance(restore, Follows) else {}


def follow(restore: Callable[[Pixels], Pixels], seen: Arrays) -> Followed:
    """What restores the frames of a video, by what `look` saw of them."""
    if isinstance(restore, Follows):
        return restore.follow(seen)
    return Followed(lambda number, pixels: restore(pixels))


class Change(NamedTuple):
    """How light changed from one frame to the next; all of it NaN where that cannot be seen."""

    ratio: float  # log
    spread: float  # median deviation from it, of all places
    shift: tuple[float, float] = (0.0, 0.0)  # pixels of the small copy, to the right and down


class FrameLights:
    """Collects what is seen of frames in order, and tells scenes apart.

    Parameters
    ----------
    linear : bool
        Whether gains act on linear light, else on encoded values.
    seen : (N, 4) array, optional
        What another one has `seen`.
    """

    def __init__(self, linear: bool = True, seen: NDArray[np.float64] | None = None) -> None:
        rows = [] if seen is None else seen.tolist()
        self.linear = linear
        self.changes = [Change(ratio, spread, (x, y)) for ratio, spread, x, y in rows]
        self._before: tuple[Plane, Plane] | None = None

    def see(self, small: Plane) -> None:
        """Look at the small copy of the next frame, (9, h, w); see `full_size.small_planes`."""
        now = small[:3].mean(0), log_values(small, self.linear)
        change = Change(0.0, 0.0) if self._before is None else measure(*self._before, *now)
        self.changes.append(change)
        self._before = now

    @property
    def seen(self) -> NDArray[np.float64]:
        """The changes of all frames so far, (N, 4)."""
        rows = [(each.ratio, each.spread, *each.shift) for each in self.changes]
        return np.array(rows, np.float64).reshape(-1, 4)

    def scenes(self) -> list[slice]:
        """The frames of each scene."""
        starts = [0, *cuts([change.spread for change in self.changes]), len(self.changes)]
        return [slice(*each) for each in pairwise(starts)]

    def log_gains(self, found: Values, error: float) -> tuple[Values, Values]:
        """log k of each frame, and how likely it is over-exposed; see `steady_gains`.

        Where nothing seems over-exposed, it is the scene whose light was seen to change: only what
        was found counts there.
        """
        gains, likely = np.zeros(len(found)), np.zeros(len(found))
        for scene in self.scenes():
            alone = np.asarray(smooth(np.array(found[scene], np.float64)), np.float64)
            likely[scene] = _likely_around(alone)
            share = np.maximum(likely[scene] - NONE, 0) / (1 - NONE)
            steadied = steady_gains(found[scene], self.changes[scene], error)
            gains[scene] = alone + share * (steadied - alone)
        return gains, likely

    def smooth(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """A row for each frame, smoothed over time within scenes: (N, ...), of the same type."""
        every = values.copy()
        for scene in self.scenes():
            every[scene] = smooth(every[scene].astype(np.float32))
        return every


def log_values(small: Plane, linear: bool) -> Plane:
    """log of the light of a small copy, or of its encoded values: (3, h, w), NaN where clipped.

    An encoded value and 0.055 more grow by the same factor, wherever light does: so means over
    places do, too.
    """
    values, clipped = small[:3], small[3:6]
    usable = (clipped == 0) & (values > DARKEST) & (values < BRIGHTEST)
    logs = 2.4 * np.log(values + np.float32(0.055)) if linear else np.log(values + 1e-6)
    return np.where(usable, logs, np.float32(np.nan)).astype(np.float32)


def measure(grey: Plane, logs: Plane, grey_now: Plane, logs_now: Plane) -> Change:
    """How light changed between two frames, whether or not the camera has moved.

    Parameters
    ----------
    grey, grey_now : (h, w) float32
        Both pictures without colour.
    logs, logs_now : (3, h, w) float32
        Their `log_values`.
    """
    still = _compare(logs, logs_now)
    if still.spread <= STILL:
        return still
    window = cv2.createHanningWindow(grey.shape[::-1], cv2.CV_32F)
    (right, down), _ = cv2.phaseCorrelate(grey, grey_now, window)
    moved = [_shifted(each, (right, down), cv2.BORDER_CONSTANT) for each in logs]
    following = _compare(np.array(moved), logs_now)._replace(shift=(right, down))
    return min(still, following, key=lambda each: (np.isnan(each.spread), each.spread))


def _shifted(plane: Plane, shift: tuple[float, float], border: int) -> Plane:
    """(h, w) moved by a fraction of a pixel; what comes in is NaN, or as `border` says."""
    how = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    moved = cv2.warpAffine(
        plane, how, plane.shape[::-1], borderMode=border, borderValue=float("nan")
    )
    return np.asarray(moved, np.float32)


class SteadyContent:
    """Content drawn in clipped areas, which mostly keeps what was drawn in the frame before.

    Frames are taken in order, and what was drawn moves with the camera. The less of a frame follows
    from the one before, the less is kept; nothing beyond a cut, or where nothing was clipped.
    """

    def __init__(self, changes: Sequence[Change], scenes: Sequence[slice]) -> None:
        self._changes, self._begins = changes, {scene.start for scene in scenes}
        self._last: tuple[int, Plane, Plane] | None = None

    def settle(self, number: int, content: Plane, clipped: Plane) -> Plane:
        """What to show of the content of a frame, by its clipped shares: both (1, 3, h, w)."""
        before, change = self._last, self._changes[number]
        if before and before[0] == number - 1 and number not in self._begins:
            kept = KEPT * float(np.clip(1 - np.nan_to_num(change.spread) / LOST, 0, 1))
            moved, share = (
                np.array([_shifted(plane, change.shift, cv2.BORDER_REPLICATE) for plane in each[0]])
                for each in before[1:]
            )
            content = content + np.float32(kept) * share * (moved - content)
        self._last = number, content, clipped
        return content

    @property
    def carried(self) -> Arrays:
        """The last frame's number, content and clipped shares; nothing before the first."""
        if self._last is None:
            return {}
        number, content, clipped = self._last
        return {"number": np.array(number), "content": content, "clipped": clipped}

    def carry(self, arrays: Arrays) -> None:
        """Go on after the frame of which this was `carried`."""
        self._last = (
            (int(arrays["number"]), arrays["content"], arrays["clipped"]) if arrays else None
        )


def _compare(logs: Plane, logs_now: Plane) -> Change:
    ratios = logs_now - logs
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) < FEWEST * logs.size:
        seen = min(np.isfinite(each).sum() for each in (logs, logs_now))
        # Much can be seen of both, but nothing in both: they show different things.
        return Change(0.0, np.inf if seen > 10 * max(len(ratios), FEWEST * logs.size) else np.nan)
    ratio = np.median(ratios)
    return Change(float(ratio), float(np.median(np.abs(ratios - ratio))))


def cuts(spreads: Sequence[float]) -> list[int]:
    """The frames that begin another scene: places differ more from the frame before than usual.

    Examples
    --------
    >>> cuts([0.0, 0.01, 0.02, 0.6, 0.01, 0.01])
    [3]
    """
    found = []
    for at, spread in enumerate(spreads):
        beside = [*spreads[max(1, at - CUT_FRAMES) : at], *spreads[at + 1 : at + 1 + CUT_FRAMES]]
        usual = np.median([0.0 if np.isnan(each) else each for each in beside] or [0.0])
        if at and spread > max(CUT, CUT_TIMES * usual):
            found.append(at)
    return found


def steady_gains(
    found: Sequence[float] | Values, changes: Sequence[Change], error: float
) -> Values:
    """log k of the frames of a scene: the best compromise of what is found and what is measured.

    Least squares: each gain is off from what was found in its frame by `error`, its change from
    what was measured by far less, and no gain is below 0.

    Parameters
    ----------
    found : (N,) sequence of float
        log k as found in each frame alone.
    changes : (N,) sequence of Change
        From the frame before; the first one does not count.
    error : float
        Standard deviation of what is found around the truth.

    Examples
    --------
    >>> still = [Change(0.0, 0.0)] * 3
    >>> steady_gains([0.4, 0.9, 0.5], still, 0.3).round(2)
    array([0.6, 0.6, 0.6])
    """
    each, count = np.asarray(found, np.float64), len(found)
    if count < 2:  # SciPy's solver cannot
        return np.maximum(each, 0)
    ratios = np.array([0.0 if np.isnan(change.spread) else change.ratio for change in changes])
    pull = np.full(count, 1 / (ALIKE * max(error, 1e-3) ** 2))
    stiff = np.array([error_of(change) ** -2.0 for change in changes])
    stiff[0] = 0
    after = np.append(stiff[1:], 0)
    wanted = pull * each + stiff * ratios - after * np.append(ratios[1:], 0)
    bands = np.stack([np.append(0, -stiff[1:]), pull + stiff + after])
    gains = solveh_banded(bands, wanted)
    for _ in range(ROUNDS):  # what is below 0 is pulled there
        below = gains < 0
        gains = solveh_banded(bands + np.stack([0 * pull, below / BELOW**2]), wanted)
        if np.array_equal(below, gains < 0):
            break
    return np.maximum(gains, 0)


def error_of(change: Change) -> float:
    """Standard deviation of a measured change."""
    if np.isnan(change.spread):
        return UNMEASURED
    return float(min(LEAST_ERROR + ERROR_SHARE * change.spread, UNMEASURED))


def _likely_around(found: Values) -> Values:
    """How likely frames of a scene are over-exposed, 0..1: the most that those around say."""
    each = np.array([how_likely_exposed(light) for light in found])
    most = maximum_filter1d(each, 2 * LIKELY + 1, mode="nearest")
    return np.asarray(smooth(most, LIKELY / 4), np.float64)


def smooth(values: NDArray[np.floating], frames: float = SMOOTH) -> NDArray[np.floating]:
    """Values over time, (N, ...), blurred along it."""
    return np.asarray(gaussian_filter1d(values, frames, axis=0, mode="nearest"))
