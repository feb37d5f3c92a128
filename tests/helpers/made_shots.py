"""HDR shots made of scenes, as files that no package is needed for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dataset.pictures.light import Light, srgb_to_linear
from helpers.made_greys import radiance
from helpers.tiny_physical import scene

BRIGHTER = 6.0  # than an SDR screen's white: how much more a shot holds


def shot(seed: int, height: int = 48, width: int = 48) -> Light:
    """Light of a scene, its highlights up to `BRIGHTER`."""
    light = srgb_to_linear(scene(seed, height, width) / np.float32(255))
    return np.asarray(light * np.float32(BRIGHTER) * light.max(axis=2, keepdims=True), np.float32)


def make_shots(folder: Path, count: int, first: int = 0) -> Path:
    """A folder of shots."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"shot {number}.hdr").write_bytes(radiance(shot(number)))
    return folder
