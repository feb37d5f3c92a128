"""What the autopilot shows as its k-th picture. Standard library only."""

from __future__ import annotations

import random
from dataclasses import replace

from capture.game.options import Light
from capture.game.viewpoints import over_exposed_light, reference_light

PICTURES_PER_VIEWPOINT = 4
"""Weak and strong sun where the viewpoint has it, then strong and weak with the sun elsewhere.

Half of the pictures are meant for either domain, so that a recording fills both.
"""


def picture_of(seed: int, picture: int) -> tuple[int, Light]:
    """(viewpoint, light) of the autopilot's picture number `picture`."""
    number, step = divmod(picture, PICTURES_PER_VIEWPOINT)
    strong = over_exposed_light(seed, number)
    rng = random.Random(f"autopilot/{seed}/{number}")
    moved = replace(
        strong,
        azimuth_deg=(strong.azimuth_deg + rng.gauss(0, 12)) % 360.0,
        elevation_deg=min(70.0, max(4.0, strong.elevation_deg + rng.gauss(0, 5))),
    )
    return number, (reference_light(strong), strong, moved, reference_light(moved))[step]
