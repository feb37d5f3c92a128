"""What an aircraft is to the scene: a mesh, its rotors and its proportions."""

from __future__ import annotations

from dataclasses import dataclass

from capture.game.mesh import Mesh


@dataclass(frozen=True)
class Rotor:
    """A turning propeller or rotor, drawn as a blurred disc."""

    centre: tuple[float, float, float]
    radius: float
    lift: bool = False  # True: a horizontal disc (helicopter); else it faces forward
    blades: int = 3


@dataclass(frozen=True)
class Aircraft:
    """One type of aircraft."""

    name: str
    mesh: Mesh
    rotors: tuple[Rotor, ...]
    length: tuple[float, float]  # y of the body's nose and tail
    cabin: str  # how windows are painted: "airliner", "cockpit", "bubble" or "greenhouse"
