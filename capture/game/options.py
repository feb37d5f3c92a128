"""Settings of the embedded game. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dataset.setting import setting

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

    size: tuple[int, int] = setting(
        (512, 512), "Size of the window, pixels.", form="WxH", shown="512x512"
    )
    seed: int = setting(0, "Random seed of the world.")
    autopilot: bool = setting(False, "Fly through viewpoints and light by itself.")
    hold_s: float = setting(
        1.0, "Autopilot: seconds per picture, more than 0.", flag="hold", least=0.001
    )
    hud: bool = setting(False, "Show the state and the keys on the picture.")
    remote: bool = setting(False)  # commands come as JSON lines on stdin (client.GameProcess)
    title: str = setting("unclip game")  # the window's title
    duration_s: float | None = setting(None, "Close after this many seconds.", flag="duration")


@dataclass(frozen=True)
class ShotOptions:
    """HDR shots, which are written instead of playing."""

    hdr: str | None = setting(
        None,
        "Write HDR shots and stop: light before it is clipped, of each viewpoint. Opens no window.",
        choices=("exr", "jxr"),
    )
    out: Path = setting(Path("shots"), "Folder of the HDR shots.", folder=True, short=("-o",))
    viewpoints: int = setting(20, "Number of HDR shots.", least=1)
