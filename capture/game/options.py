"""Settings of the embedded game. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

WEAK = 1.0
"""Sun strength of reference pictures (domain X): the sun behind thin haze."""

STRONG = 17.0
"""Typical sun strength of over-exposed pictures (domain Y)."""

MIN_STRENGTH, MAX_STRENGTH = 0.0, 64.0


@dataclass(frozen=True)
class Light:
    """Where the sun stands and how strong it is."""

    azimuth_deg: float  # compass direction of the sun: 0 = north, clockwise
    elevation_deg: float  # above the horizon, 2 to 88
    strength: float  # direct sunlight as a multiple of WEAK


@dataclass(frozen=True)
class GameOptions:
    """One run of the game."""

    size: tuple[int, int] = (512, 512)  # width and height of the picture, pixels
    seed: int = 0  # the world: every viewpoint follows from (seed, number)
    autopilot: bool = False  # goes through viewpoints and light by itself
    hold_s: float = 1.0  # autopilot: seconds that each picture stays
    hud: bool = False  # show state and keys on the picture
    remote: bool = False  # obey JSON lines on stdin (see client.GameProcess)
    title: str = "unclip game"  # the window's title
    duration_s: float | None = None  # close by itself after so many seconds; None = never
