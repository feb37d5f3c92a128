"""The aircraft by name."""

from __future__ import annotations

from functools import lru_cache

from capture.game.airframe import Aircraft
from capture.game.jets import airliner, delta
from capture.game.light_aircraft import biplane, glider, helicopter, twin_boom

_MAKERS = {
    "airliner": airliner,
    "delta": delta,
    "biplane": biplane,
    "glider": glider,
    "twin_boom": twin_boom,
    "helicopter": helicopter,
}


@lru_cache(maxsize=len(_MAKERS))
def aircraft(name: str) -> Aircraft:
    """The aircraft of that name (one of ``viewpoints.AIRCRAFT``)."""
    return _MAKERS[name]()
