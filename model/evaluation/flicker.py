"""How much a video flickers, as it is and restored by each method. Writes nothing.

The scene goes on evenly, as far as nobody knows better: what counts as flicker is by how much the
brightness of a frame stands out from the mean of those before and after it. An exposure that rises
evenly or a picture that slowly becomes darker has none, and where the scene itself flashes the
input has some, too: the input is measured alike and stands beside the methods.

References
----------
Differences between frames, of pixels rather than of means, are the measure of static scenes in
Z. Huang et al., "VBench", CVPR 2024 (temporal flickering), and, compared with those of a true
video, in H. Jiang, Y. Zheng, "Learning to See Moving Objects in the Dark", ICCV 2019 (MABD).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset.pictures.pixels import Pixels
from dataset.terminal import ProgressCallback
from model.restoring.full_size import small_planes
from model.restoring.steady import FrameLights
from model.restoring.video import read_facts, restored_frames

LUMA = np.array([0.2126, 0.7152, 0.0722])  # of R'G'B', ITU-R BT.709
INPUT = "input"


@dataclass(frozen=True)
class Flicker:
    """Of a video, in levels of 255; frames beside a cut are not compared across it."""

    largest: float  # how far a frame stands out from the mean of its neighbours
    rms: float
    largest_step: float  # from a frame to the next, evenly or not
    rms_step: float


@dataclass
class VideoFlicker:
    """Flicker of one video, restored by each method."""

    path: Path
    frames: int
    cuts: list[int]  # frames that begin another scene, as seen in the input
    found: dict[str, Flicker]  # the input stands first

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        methods = {name: asdict(each) for name, each in self.found.items()}
        return {"video": str(self.path), "frames": self.frames, "cuts": self.cuts, **methods}

    def __str__(self) -> str:
        first = max(14, *(len(name) + 1 for name in self.found))
        heads = ("flicker, largest", "RMS", "step, largest", "RMS")
        lines = [
            f"{self.path}: {self.frames} frames, cuts: {len(self.cuts)}; mean brightness in levels",
            " " * first + "".join(f" {head:>16}" for head in heads),
        ]
        for name, each in self.found.items():
            cells = (f" {value:>16.2f}" for value in asdict(each).values())
            lines.append(f"{name:{first}}" + "".join(cells))
        return "\n".join(lines)


def flicker_of(brightness: Sequence[float], scenes: Sequence[slice]) -> Flicker:
    """Flicker of frames by their mean brightness.

    Parameters
    ----------
    brightness : (N,) sequence of float
        In levels, 0 to 255.
    scenes : sequence of slice
        The frames of each scene.

    Examples
    --------
    >>> flicker_of([100, 102, 114, 106], [slice(0, 4)])
    Flicker(largest=10.0, rms=7.9..., largest_step=12.0, rms_step=8.4...)
    """
    each = [np.asarray(brightness[scene], np.float64) for scene in scenes]
    steps = np.concatenate([np.diff(values) for values in each])
    apart = np.concatenate([np.diff(values, 2) / 2 for values in each])
    return Flicker(_most(apart), _rms(apart), _most(steps), _rms(steps))


def measure_flicker(
    path: Path,
    methods: dict[str, Callable[[Pixels], Pixels]],
    on_progress: ProgressCallback | None = None,
) -> VideoFlicker:
    """Restore a video by each method and measure how much it flickers; writes no video.

    Raises
    ------
    UserError
        As of `video.read_facts`; or a method cannot restore a frame.
    """
    expected = (read_facts(path).frames or 0) * (1 + len(methods))
    seen = FrameLights()
    before: list[float] = []
    done = 0

    def counted(frames: Iterator[tuple[Pixels, Pixels]]) -> Iterator[tuple[Pixels, Pixels]]:
        nonlocal done
        for pair in frames:
            yield pair
            done += 1
            if on_progress:
                on_progress(done, max(expected, done))

    for pixels, _ in counted(restored_frames(path, lambda pixels: pixels)):
        seen.see(small_planes(pixels))
        before.append(brightness_of(pixels))
    scenes = seen.scenes()
    found = {INPUT: flicker_of(before, scenes)}
    for name, restore in methods.items():
        after = [brightness_of(restored) for _, restored in counted(restored_frames(path, restore))]
        found[name] = flicker_of(after, scenes)
    return VideoFlicker(path, len(before), [scene.start for scene in scenes[1:]], found)


def brightness_of(pixels: Pixels) -> float:
    """Mean luma of a picture, (H, W, 3) in [0, 1] -> levels of 255."""
    return float(pixels.mean((0, 1), dtype=np.float64) @ LUMA * 255)


def _most(values: np.ndarray[Any, Any]) -> float:
    return float(np.abs(values).max(initial=0))


def _rms(values: np.ndarray[Any, Any]) -> float:
    return float(np.sqrt((values**2).mean())) if len(values) else 0.0
