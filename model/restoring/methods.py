"""The methods by name: the network, or the earlier ones. Each is a function from pixels to pixels.

Torch is loaded only for a torch network, so a machine with only onnxruntime can restore.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels
from model.exposure import Exposure
from model.options import RestoreOptions
from model.restoring import baselines, full_size, keeping, steady
from model.restoring.which_network import OnShare, Restore, open_network

NOTHING = 1 / 512  # share of a correction that changes 8-bit values by less than half a level

NOT_TOGETHER = (
    "--together belongs to a network of preset physical, whose gains pictures can share. Leave it "
    "out."
)

Session = Callable[[], Iterable[Pixels]]  # the pictures that are restored together


class AdaptiveStrength:
    """Applies as much of a correction as a picture needs, by how over-exposed it looks.

    Parameters
    ----------
    run : callable
        Applies the full correction.
    strength : callable or float
        The share of the correction: of each picture, or of all.
    """

    def __init__(self, run: Restore, strength: Exposure | float) -> None:
        self.run, self.strength = run, strength

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore (H, W, 3) float32 in [0, 1] -> the same; unchanged where nothing is lost."""
        strength = self.strength
        share = strength(pixels) if isinstance(strength, Exposure) else strength
        return mix(pixels, self.run, share)

    def look(self, frames: Iterable[Pixels]) -> steady.Arrays:
        """Look at a video for the method, and for learned strengths."""
        strength = self.strength
        if not isinstance(strength, Exposure):
            return steady.look(self.run, frames)
        lights, found = steady.FrameLights(), list[float]()

        def noted() -> Iterator[Pixels]:
            for pixels in frames:
                lights.see(full_size.small_planes(pixels))
                found.append(strength(pixels))
                yield pixels

        frames_left = noted()
        seen = steady.look(self.run, frames_left)
        deque(frames_left, 0)  # those that the method did not look at
        return {**seen, "strengths": np.array(found), "light": lights.seen}

    def follow(self, seen: steady.Arrays) -> steady.Followed:
        """Follow a video: learned strengths are smoothed over time, within scenes."""
        run, shares = steady.follow(self.run, seen), np.array([self.strength])
        if isinstance(self.strength, Exposure):
            shares = steady.FrameLights(seen=seen["light"]).smooth(seen["strengths"])

        def restore(number: int, pixels: Pixels) -> Pixels:
            share = float(shares[min(number, len(shares) - 1)])
            return mix(pixels, partial(run, number), share)

        return replace(run, restore=restore)


def mix(pixels: Pixels, run: Restore, share: float) -> Pixels:
    """A share of a correction, 0 to 1; nothing is run where it would not be seen."""
    if share < NOTHING:
        return pixels
    restored = run(pixels)
    if share >= 1:
        return restored
    return pixels + np.float32(share) * (restored - pixels)


def open_method(
    options: RestoreOptions, on_share: OnShare | None = None, session: Session | None = None
) -> Restore:
    """What ``cli restore`` applies to each picture.

    Parameters
    ----------
    options : RestoreOptions
    on_share : callable, optional
        Called by the network with the share of the current picture that is done, 0 to 1.
    session : callable, optional
        All pictures that will be restored, for ``options.together``; called once.

    Returns
    -------
    callable
        (H, W, 3) float32 in [0, 1] -> the same.

    Raises
    ------
    UserError
        No such run, file or device; a threshold or ``together`` for a method that has none.
    """
    restore = _open_restorer(options, on_share, session)
    return keeping.keeping_unclipped(restore) if options.keep == "unclipped" else restore


def _open_restorer(
    options: RestoreOptions, on_share: OnShare | None, session: Session | None
) -> Restore:
    """The method, which restores the whole picture."""
    if options.together and options.method != "network":
        raise UserError(NOT_TOGETHER)
    check_numbers(options)
    if options.threshold is not None and options.method not in baselines.THRESHOLD_METHODS:
        raise UserError(
            f"--threshold belongs to --method {' or '.join(baselines.THRESHOLD_METHODS)}; the "
            "network has none. Leave it out."
        )
    if options.threshold is not None:
        threshold, by_threshold = options.threshold, baselines.THRESHOLD_METHODS[options.method]
        return lambda pixels: by_threshold(pixels, threshold)
    if options.method in baselines.BASELINES:
        return baselines.BASELINES[options.method]
    opened = open_network(options, on_share)
    if options.together:
        if opened.small_copy is None:
            raise UserError(NOT_TOGETHER)
        if session is None:
            raise UserError("--together belongs to files that are all there. Leave it out.")
        opened.small_copy.learn_light(session())
    return with_strength(opened.restore, opened.exposure, options)


def check_numbers(options: RestoreOptions) -> None:
    """Refuse NaN and infinity, which no bound of an option excludes."""
    for name in ("threshold", "strength", "exposure"):
        value = getattr(options, name)
        if value is not None and not np.isfinite(value):
            raise UserError(f"--{name} {value} is not a finite number. Choose one.")


def with_strength(restore: Restore, exposure: Exposure | None, options: RestoreOptions) -> Restore:
    """Limit a correction to the strength asked for, or to what each picture needs if learned."""
    if options.strength is not None:
        return AdaptiveStrength(restore, options.strength)
    return restore if exposure is None else AdaptiveStrength(restore, exposure)
