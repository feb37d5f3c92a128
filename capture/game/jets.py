"""Two jets as numbers for ``mesh``: an airliner and a delta. Metres; nose forward (+y)."""

from __future__ import annotations

from capture.game.airframe import Aircraft
from capture.game.mesh import Mesh, body, merge, mirrored, moved, wing, wing_pair


def _nacelle(x: float, y: float, z: float, radius: float, length: float) -> list[Mesh]:
    """A turbofan: cowling, dark intake and exhaust."""
    r = radius
    cowl = body(
        [
            (y, 0.86 * r, 0.86 * r, 0.86 * r, 0, 2),
            (y - 0.06 * length, r, r, r, 0, 2),
            (y - 0.45 * length, 1.02 * r, 1.02 * r, 1.02 * r, 0, 2),
            (y - 0.78 * length, 0.8 * r, 0.8 * r, 0.8 * r, 0, 2),
            (y - length, 0.45 * r, 0.45 * r, 0.45 * r, 0, 2),
        ],
        "paint",
        24,
        28,
    )
    lip = body(
        [
            (y + 0.03 * r, 0.9 * r, 0.9 * r, 0.9 * r, 0, 2),
            (y - 0.04 * length, 0.985 * r, 0.985 * r, 0.985 * r, 0, 2),
            (y - 0.09 * length, 1.03 * r, 1.03 * r, 1.03 * r, 0, 2),
        ],
        "metal",
        8,
        28,
    )
    intake = body(
        [
            (y - 0.02 * r, 0.88 * r, 0.88 * r, 0.88 * r, 0, 2),
            (y - 0.15 * r, 0.5 * r, 0.5 * r, 0.5 * r, 0, 2),
            (y - 0.3 * r, 0.01, 0.01, 0.01, 0, 2),
        ],
        "dark",
        6,
        28,
    )
    plug = body(
        [
            (y - 0.95 * length, 0.42 * r, 0.42 * r, 0.42 * r, 0, 2),
            (y - 1.15 * length, 0.02, 0.02, 0.02, 0, 2),
        ],
        "metal",
        6,
        20,
    )
    return [moved(p, x, 0, z) for p in (cowl, lip, intake, plug)]


def airliner() -> Aircraft:
    tube = body(
        [
            (19.0, 0.02, 0.02, 0.02, -0.55, 2),
            (18.7, 0.5, 0.45, 0.45, -0.5, 2),
            (17.6, 1.15, 1.15, 1.0, -0.3, 2),
            (15.6, 1.75, 1.85, 1.65, -0.05, 2),
            (13.0, 1.98, 2.05, 2.0, 0, 2),
            (-8.0, 1.98, 2.05, 2.0, 0, 2),
            (-13.0, 1.55, 1.75, 1.45, 0.3, 2),
            (-17.0, 0.75, 0.9, 0.7, 0.85, 2),
            (-19.0, 0.15, 0.25, 0.2, 1.1, 2),
        ],
        rows=80,
        columns=44,
    )
    wings = wing_pair(
        [
            (0, 5.2, 8.2, -1.2, 0.13),
            (5.5, 1.4, 4.6, -0.85, 0.12),
            (16.6, -5.6, 1.7, 0.4, 0.1),
            (17.2, -6.6, 1.0, 2.1, 0.09),
        ],
        span_m=17.4,
        length=(5.4, -8.2),
    )
    tail = wing_pair(
        [(0, -13.2, 4.4, 0.9, 0.1), (6.2, -17.4, 1.6, 1.5, 0.09)],
        span_m=17.4,
        length=(-12, -20),
        patch="paint",
    )
    fin = wing(
        [(1.2, -10.6, 7.0, 0, 0.09), (2.6, -12.6, 5.6, 0, 0.09), (8.2, -17.2, 2.3, 0, 0.09)],
        length=(-10.6, -19.8),
        upright="fin",
    )
    belly = body(
        [
            (6.5, 0.3, 0.2, 0.2, -1.6, 2),
            (4, 1.7, 0.7, 0.75, -1.6, 2.4),
            (-4, 1.7, 0.7, 0.75, -1.6, 2.4),
            (-7, 0.3, 0.2, 0.2, -1.6, 2),
        ],
        "paint",
        24,
        24,
    )
    right = [m for m in _nacelle(5.6, 4.4, -2.3, 1.12, 4.4)]
    pylon = wing(
        [(0, 3.4, 3.6, 0, 0.1), (1.4, 1.8, 3.4, 0, 0.1)],
        length=(4, -2),
        upright="fin",
        patch="paint",
    )
    right.append(moved(pylon, 5.6, 0, -2.1))
    parts = [tube, wings, tail, fin, belly, *right, *[mirrored(m) for m in right]]
    return Aircraft("airliner", merge(parts), (), (19.0, -19.0), "airliner")


def delta() -> Aircraft:
    hull = body(
        [
            (8.4, 0.01, 0.01, 0.01, -0.12, 2),
            (7.2, 0.22, 0.22, 0.22, -0.1, 2),
            (5.4, 0.46, 0.46, 0.42, 0.0, 2),
            (3.6, 0.62, 0.62, 0.6, 0.02, 2.2),
            (1.4, 1.0, 0.66, 0.68, 0.05, 3),
            (-3.0, 1.02, 0.68, 0.62, 0.05, 2.8),
            (-6.2, 0.66, 0.62, 0.56, 0.05, 2.1),
            (-7.3, 0.52, 0.5, 0.5, 0.05, 2),
        ],
        rows=72,
    )
    canopy = body(
        [
            (5.6, 0.02, 0.02, 0.05, 0.36, 2),
            (4.9, 0.34, 0.42, 0.2, 0.36, 2),
            (4.0, 0.42, 0.66, 0.2, 0.38, 2),
            (2.9, 0.36, 0.5, 0.2, 0.42, 2),
            (1.2, 0.1, 0.12, 0.1, 0.55, 2),
        ],
        "glass",
        26,
        24,
    )
    spine = body(
        [
            (3.0, 0.1, 0.2, 0.1, 0.5, 2),
            (1.6, 0.34, 0.36, 0.2, 0.5, 2),
            (-5.6, 0.2, 0.18, 0.1, 0.5, 2),
        ],
        "paint",
        20,
        20,
    )
    wings = wing_pair(
        [(0, 3.2, 9.4, -0.05, 0.05), (1.0, 2.0, 8.4, -0.05, 0.05), (4.7, -4.0, 2.0, -0.2, 0.045)],
        span_m=4.9,
        length=(3.2, -6.6),
    )
    canard = wing_pair(
        [(0.5, 4.4, 1.9, 0.35, 0.06), (2.2, 3.0, 0.7, 0.5, 0.05)],
        span_m=4.9,
        length=(5, 2),
        patch="accent",
    )
    fin = wing(
        [(0.4, -2.2, 4.9, 0, 0.06), (3.3, -5.4, 1.7, 0, 0.05)], length=(-2.2, -7.3), upright="fin"
    )
    intake = body(
        [
            (2.6, 0.3, 0.34, 0.34, -0.1, 3),
            (1.6, 0.36, 0.4, 0.4, -0.1, 3),
            (-1.6, 0.2, 0.3, 0.3, -0.05, 2.4),
        ],
        "paint",
        16,
        24,
    )
    mouth = body([(2.63, 0.26, 0.3, 0.3, -0.1, 3), (2.5, 0.02, 0.02, 0.02, -0.1, 2)], "dark", 4, 24)
    rail = body(
        [
            (-2.2, 0.01, 0.01, 0.01, 0, 2),
            (-2.8, 0.09, 0.09, 0.09, 0, 2),
            (-5.2, 0.09, 0.09, 0.09, 0, 2),
            (-5.3, 0.01, 0.01, 0.01, 0, 2),
        ],
        "white",
        14,
        12,
    )
    side = [moved(intake, 0.98), moved(mouth, 0.98), moved(rail, 4.75, 0, -0.2)]
    nozzle = body(
        [(-7.1, 0.55, 0.54, 0.54, 0.05, 2), (-7.9, 0.44, 0.44, 0.44, 0.05, 2)], "metal", 6, 28
    )
    flame = body(
        [(-7.88, 0.43, 0.43, 0.43, 0.05, 2), (-7.95, 0.02, 0.02, 0.02, 0.05, 2)], "dark", 4, 28
    )
    parts = [
        hull,
        canopy,
        spine,
        wings,
        canard,
        fin,
        nozzle,
        flame,
        *side,
        *[mirrored(m) for m in side],
    ]
    return Aircraft("delta", merge(parts), (), (8.4, -7.3), "bubble")
