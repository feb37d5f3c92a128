"""Restores a picture of any size by what preset physical finds on a small copy. Loads no torch.

``full_size`` makes the copy and applies what is found; a `Finder` runs the network, by torch
(``physical``) or onnxruntime (``onnx``). Here stands what is done with its proposals: how far they
are believed, and what other pictures of the session say. No files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import numpy as np

from dataset.memory import PLAIN_ADVICE, room_for
from dataset.pictures.pixels import Pixels
from model.belief import Proposals, believed_gains, overall
from model.restoring import full_size, steady
from model.restoring.full_size import Plane
from model.restoring.session_light import SessionLight, share_light

# Held-out frames are of the recordings that were learned from; other ones are stranger to F.
UNSEEN = 1.25  # multiple of F's error in them


class Finder(Protocol):
    """F of preset physical, run by torch or by onnxruntime."""

    @property
    def linear(self) -> bool:
        """Whether gains act on linear light."""

    @property
    def gain_error(self) -> float:
        """How far off `belief.overall` is in held-out scenes, standard deviation."""

    @property
    def source(self) -> str:
        """What an error calls the network."""

    def free_bytes(self) -> int:
        """Memory for pictures, 0 if unknown."""

    def propose(self, small: Plane) -> Proposals:
        """What the head makes of a small copy: (1, 9, h, w) -> (1, 4, h / 16, w / 16)."""

    def draw(self, small: Plane, gains: Plane) -> Plane:
        """Content of clipped channels: (1, 9, h, w), (1, 3 or 1, any, any) -> (1, 3, h, w)."""


class SmallCopyRestorer:
    """Restores pictures by what a network finds on a small copy of each.

    Parameters
    ----------
    finder : Finder
    on_progress : callable, optional
        Called with the share of the current picture that is done.
    """

    def __init__(self, finder: Finder, on_progress: Callable[[float], None] | None = None) -> None:
        self.finder, self.on_progress = finder, on_progress or (lambda share: None)
        self.light: SessionLight | None = None

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore (H, W, 3) float32 in [0, 1], RGB, display-encoded, any size -> the same.

        Raises
        ------
        UserError
            There is not enough memory, or the output is not finite.
        """
        return self.restore_by(pixels, self.gains_of)

    def restore_by(
        self,
        pixels: Pixels,
        gains_of: Callable[[Plane], Plane],
        settle: Callable[[Plane, Plane], Plane] = lambda content, clipped: content,
    ) -> Pixels:
        """Restore by gains that a function finds on the small copy; as calling it otherwise.

        The content of clipped channels may be changed by another one, by clipped shares of the
        small copy: both (1, 3, h, w).
        """
        height, width = pixels.shape[:2]
        needed, finder = full_size.BYTES * height * width, self.finder

        def find(small: Plane) -> tuple[Plane, Plane]:
            gains = gains_of(small)
            return gains, settle(finder.draw(small, gains), small[:, 3:6])

        with room_for(width, height, needed, finder.free_bytes(), PLAIN_ADVICE):
            return full_size.restore(pixels, find, finder.linear, self.on_progress, finder.source)

    def gains_of(self, small: Plane) -> Plane:
        """log k of the parts of a picture, by its small copy; see `belief.believed_gains`."""
        proposals = self.finder.propose(small)
        return believed_gains(proposals, self.light_of(proposals), self.finder.linear)

    def look(self, frames: Iterable[Pixels]) -> steady.Arrays:
        """Find the gains of a video's frames, and how their light changes; see ``steady``."""
        lights, found, proposed = steady.FrameLights(self.finder.linear), [], []
        for pixels in frames:
            small = full_size.small_planes(pixels)
            lights.see(small)
            proposals = self.finder.propose(small[None])
            found.append(self.light_of(proposals))
            proposed.append(proposals.astype(np.float16))
        return {
            "changes": lights.seen,
            "found": np.array(found, np.float64),
            "proposed": np.array(proposed),
        }

    def follow(self, seen: steady.Arrays) -> steady.Followed:
        """Restore a video's frames by gains that were found with those around in view."""
        lights, found = steady.FrameLights(self.finder.linear, seen["changes"]), seen["found"]
        smooth = lights.smooth(seen["proposed"])
        steadied, likely = lights.log_gains(found, self.finder.gain_error)
        content = steady.SteadyContent(lights.changes, lights.scenes())

        def restore(number: int, pixels: Pixels) -> Pixels:
            at = min(number, len(found) - 1)
            each, linear = smooth[at].astype(np.float32), self.finder.linear
            gains = believed_gains(each, float(steadied[at]), linear, float(likely[at]))
            return self.restore_by(pixels, lambda small: gains, partial(content.settle, at))

        return steady.Followed(restore, content)

    def light_of(self, proposals: Proposals) -> float:
        """log k of a whole picture, with the help of its session where that was learned."""
        own = overall(proposals)
        return own if self.light is None else self.light.gain_of(own)

    def learn_light(self, pictures: Iterable[Pixels]) -> None:
        """Find the gains of pictures with all of them in view, from now on.

        Parameters
        ----------
        pictures : iterable of (H, W, 3) float32 in [0, 1]
            All that will be restored, or many of them; one is in memory at a time. Of none, nothing
            is learned.
        """
        small = (full_size.small_planes(pixels)[None] for pixels in pictures)
        found = [overall(self.finder.propose(each)) for each in small]
        self.light = share_light(found, UNSEEN * self.finder.gain_error) if found else None
