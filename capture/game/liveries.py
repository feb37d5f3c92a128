"""Liveries: colours, cheat lines, windows, registrations and panel lines, painted with OpenCV.

One atlas per aircraft, laid out as in ``mesh.ATLAS``: sRGB colour, and smoothness in alpha.
"""

from __future__ import annotations

import random
from functools import lru_cache

import cv2
import numpy as np

from capture.game.mesh import ATLAS, PATCHES
from capture.game.noise import Array

Colour = tuple[int, int, int]

LIVERY_PX = 1024
SATURATED: tuple[Colour, ...] = (
    (188, 34, 38),
    (22, 66, 138),
    (18, 104, 78),
    (226, 122, 24),
    (92, 40, 112),
    (20, 128, 150),
    (214, 172, 32),
    (128, 24, 44),
    (34, 40, 52),
)
PALE_PAINTS: tuple[Colour, ...] = (
    (212, 212, 208),
    (196, 202, 208),
    (216, 204, 176),
    (184, 190, 194),
    (206, 212, 216),
)
MILITARY: tuple[tuple[Colour, Colour], ...] = (
    ((128, 138, 112), (92, 100, 74)),
    ((158, 166, 174), (124, 132, 142)),
    ((188, 162, 120), (140, 114, 80)),
    ((118, 134, 150), (84, 98, 114)),
)


class Painter:
    """Draws on one region of the atlas in the region's own coordinates, (0, 0) its lower left."""

    def __init__(self, atlas: Array, region: str) -> None:
        left, top, right, bottom = (int(each * LIVERY_PX) for each in ATLAS[region])
        self.target = atlas[top:bottom, left:right]
        self.canvas = np.ascontiguousarray(self.target)
        self.height, self.width = self.canvas.shape[:2]

    def done(self) -> None:
        """Put the region back into the atlas."""
        self.target[:] = self.canvas

    def at(self, u: float, v: float) -> tuple[int, int]:
        return int(u * self.width), int(v * self.height)

    def box(
        self, u0: float, v0: float, u1: float, v1: float, colour: Colour, gloss: int = 200
    ) -> None:
        cv2.rectangle(self.canvas, self.at(u0, v0), self.at(u1, v1), (*colour, gloss), -1)

    def shape(self, points: list[tuple[float, float]], colour: Colour, gloss: int = 200) -> None:
        outline = np.array([self.at(u, v) for u, v in points], np.int32)
        cv2.fillPoly(self.canvas, [outline], (*colour, gloss), cv2.LINE_AA)

    def line(
        self, points: list[tuple[float, float]], colour: Colour, width: int = 1, gloss: int = 150
    ) -> None:
        outline = np.array([self.at(u, v) for u, v in points], np.int32)
        cv2.polylines(self.canvas, [outline], False, (*colour, gloss), width, cv2.LINE_AA)

    def circle(
        self, u: float, v: float, radius_px: float, colour: Colour, stretch: float = 1.0
    ) -> None:
        cv2.ellipse(
            self.canvas,
            self.at(u, v),
            (int(radius_px * stretch), int(radius_px)),
            0,
            0,
            360,
            (*colour, 190),
            -1,
            cv2.LINE_AA,
        )

    def text(
        self,
        words: str,
        u: float,
        v: float,
        height: float,
        colour: Colour,
        mirror: bool,
        upside: bool = False,
        bold: int = 3,
    ) -> None:
        """Letters centred at (u, v), `height` as a fraction of the region's; `mirror` for a side
        whose texture runs backwards, `upside` for one that runs downwards."""
        scale = height * self.height / 22.0
        (w, h), base = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, scale, bold)
        stencil = np.zeros((h + base + 8, w + 8), np.uint8)
        cv2.putText(
            stencil, words, (4, h + 3), cv2.FONT_HERSHEY_DUPLEX, scale, 255, bold, cv2.LINE_AA
        )
        stencil = stencil if upside else stencil[::-1]
        stencil = stencil[:, ::-1] if mirror else stencil
        x, y = self.at(u, v)
        self._stamp(stencil, x - stencil.shape[1] // 2, y - stencil.shape[0] // 2, colour)

    def _stamp(self, stencil: Array, x: int, y: int, colour: Colour) -> None:
        x0, y0 = max(x, 0), max(y, 0)
        x1, y1 = min(x + stencil.shape[1], self.width), min(y + stencil.shape[0], self.height)
        if x1 <= x0 or y1 <= y0:
            return
        cover = stencil[y0 - y : y1 - y, x0 - x : x1 - x, None] / 255.0
        part = self.canvas[y0:y1, x0:x1, :3]
        part[:] = (part + cover * (np.array(colour) - part)).astype(np.uint8)


class Scheme:
    """The colours and marks that one livery uses throughout."""

    def __init__(self, seed: int, name: str) -> None:
        rng = random.Random(f"livery/{seed}")
        self.rng = rng
        self.military = (
            name in ("delta", "twin_boom", "helicopter", "biplane") and rng.random() < 0.45
        )
        self.accent, self.second = rng.sample(SATURATED, 2)
        self.base: Colour = rng.choice(PALE_PAINTS)
        if not self.military and name != "airliner" and rng.random() < 0.4:
            self.base = rng.choice(SATURATED)
            self.accent = rng.choice(PALE_PAINTS)
        self.blotch: Colour | None = None
        if self.military:
            self.base, self.blotch = rng.choice(MILITARY)
        self.cheat = rng.choice(("line", "double", "belly", "sweep", "none"))
        letters = "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(4))
        self.registration = rng.choice(("HL", "D-", "G-", "N", "F-")) + letters
        self.number = str(rng.randrange(10, 99))
        self.title = rng.choice(("KOREA SKY", "NORDAIR", "PACIFIC", "AURORA", "SOLAR", "TERRA"))
        self.ink: Colour = (24, 26, 34) if sum(self.base) > 330 else (224, 224, 220)


def _camouflage(atlas: Array, scheme: Scheme) -> None:
    if scheme.blotch is None:
        return
    noise = np.random.default_rng(scheme.rng.randrange(1 << 30)).random((14, 14)).astype(np.float32)
    cover = cv2.resize(noise, (LIVERY_PX, LIVERY_PX), interpolation=cv2.INTER_CUBIC) > 0.52
    atlas[cover, :3] = scheme.blotch


def _panels(painter: Painter, columns: int, rows: int, colour: Colour) -> None:
    """Panel lines, rivets and a little dirt along them."""
    for k in range(1, columns):
        u = k / columns
        painter.line([(u, 0), (u, 1)], colour)
        for v in np.linspace(0.02, 0.98, rows * 9):
            x, y = painter.at(u, float(v))
            painter.canvas[min(y, painter.height - 1), min(x + 3, painter.width - 1), :3] = colour
    for k in range(1, rows):
        painter.line([(0, k / rows), (1, k / rows)], colour)


def _shade(colour: Colour, factor: float) -> Colour:
    r, g, b = (int(min(255, c * factor)) for c in colour)
    return r, g, b


def _stripes(p: Painter, s: Scheme) -> None:
    """Cheat lines along both sides; v = 0.25 is the right side's middle, 0.75 the left's."""
    for side in (0.25, 0.75):
        down = -1 if side < 0.5 else 1
        if s.cheat in ("line", "double"):
            p.box(0.0, side - 0.022, 1.0, side + 0.022, s.accent)
        if s.cheat == "double":
            p.box(0.0, side + down * 0.05 - 0.009, 1.0, side + down * 0.05 + 0.009, s.second)
        if s.cheat == "sweep":
            p.shape(
                [
                    (0.35, side + down * 0.26),
                    (0.62, side - down * 0.05),
                    (0.72, side - down * 0.26),
                    (1.0, side - down * 0.26),
                    (1.0, side + down * 0.26),
                ],
                s.accent,
            )
            p.shape(
                [
                    (0.30, side + down * 0.26),
                    (0.58, side - down * 0.05),
                    (0.60, side - down * 0.05),
                    (0.33, side + down * 0.26),
                ],
                s.second,
            )
    if s.cheat == "belly":
        p.box(0, 0, 1, 0.16, s.accent)
        p.box(0, 0.84, 1, 1, s.accent)


def _windows(p: Painter, cabin: str) -> None:
    glass, frame = (26, 34, 46), (120, 124, 128)
    for side in (0.25, 0.75):
        up = 1 if side < 0.5 else -1
        if cabin == "airliner":
            for u in np.linspace(0.17, 0.80, 46):
                if abs(u - 0.46) < 0.012:
                    continue
                x, y = p.at(float(u), side + up * 0.045)
                cv2.ellipse(p.canvas, (x, y), (4, 6), 0, 0, 360, (*glass, 255), -1, cv2.LINE_AA)
            for u in (0.13, 0.47, 0.83):
                p.line(
                    [
                        (u, side - up * 0.02),
                        (u, side + up * 0.09),
                        (u + 0.017, side + up * 0.09),
                        (u + 0.017, side - up * 0.02),
                        (u, side - up * 0.02),
                    ],
                    frame,
                )
            for a, b in ((0.036, 0.058), (0.062, 0.074)):
                p.shape(
                    [
                        (a, side + up * 0.10),
                        (b, side + up * 0.085),
                        (b + 0.004, side + up * 0.155),
                        (a + 0.006, side + up * 0.175),
                    ],
                    glass,
                    255,
                )
        if cabin == "greenhouse":
            p.shape(
                [
                    (0.05, side - up * 0.05),
                    (0.15, side - up * 0.05),
                    (0.19, side + up * 0.17),
                    (0.10, side + up * 0.2),
                    (0.06, side + up * 0.2),
                ],
                glass,
                255,
            )
            p.shape(
                [
                    (0.185, side),
                    (0.265, side),
                    (0.265, side + up * 0.14),
                    (0.215, side + up * 0.14),
                ],
                glass,
                255,
            )
            p.shape(
                [(0.28, side), (0.36, side), (0.36, side + up * 0.14), (0.28, side + up * 0.14)],
                glass,
                255,
            )
    if cabin == "greenhouse":
        p.shape([(0.035, 0.42), (0.115, 0.38), (0.115, 0.62), (0.035, 0.58)], glass, 255)


def _roundel(p: Painter, u: float, v: float, radius: float, s: Scheme, stretch: float) -> None:
    for part, colour in ((1.0, (30, 44, 100)), (0.68, (222, 222, 218)), (0.36, (178, 30, 36))):
        p.circle(u, v, radius * part, colour, stretch)


def _paint_body(atlas: Array, s: Scheme, cabin: str) -> None:
    p = Painter(atlas, "body")
    if not s.military:
        _stripes(p, s)
    _panels(p, 22, 10, _shade(s.base, 0.72))
    if cabin == "bubble" or cabin == "open":
        p.box(0.0, 0.42, 0.16, 0.58, (34, 36, 38), 60)
    for side, mirror in ((0.25, True), (0.75, False)):
        up = 1 if side < 0.5 else -1
        place = 0.30 if cabin == "airliner" else 0.66
        words = s.title if cabin == "airliner" else s.registration
        p.text(
            words,
            place,
            side + up * (0.125 if cabin == "airliner" else 0.06),
            0.085,
            s.ink,
            mirror,
            upside=side > 0.5,
            bold=4,
        )
        if cabin == "airliner":
            p.text(
                s.registration,
                0.86,
                side + up * 0.05,
                0.045,
                s.ink,
                mirror,
                upside=side > 0.5,
                bold=2,
            )
        elif s.military:
            _roundel(p, 0.5, side, 26, s, 0.8)
            p.text(s.number, 0.2, side, 0.12, (226, 226, 220), mirror, upside=side > 0.5, bold=5)
    _windows(p, cabin)
    p.done()


def _paint_wings(atlas: Array, s: Scheme) -> None:
    line = _shade(s.base, 0.72)
    for region in ("wing_top", "wing_bottom"):
        p = Painter(atlas, region)
        top = region == "wing_top"
        if not s.military:
            for a, b in ((0.0, 0.10), (0.90, 1.0)):
                p.box(a, 0, b, 1, s.accent)
            for a, b in ((0.115, 0.13), (0.87, 0.885)):
                p.box(a, 0, b, 1, s.second)
        _panels(p, 30, 5, line)
        for u in (0.2, 0.8):
            if s.military:
                _roundel(p, u, 0.5, 34, s, 0.8)
        if not s.military:
            where = 0.78 if top else 0.24
            p.text(s.registration, where, 0.5, 0.26, s.ink, False, bold=4)
        p.line([(0.14, 0.2), (0.46, 0.16)], line, 2)
        p.line([(0.86, 0.2), (0.54, 0.16)], line, 2)
        p.done()


def _paint_fins(atlas: Array, s: Scheme) -> None:
    for region in ("fin_left", "fin_right"):
        p = Painter(atlas, region)
        if not s.military:
            p.box(0, 0, 1, 1, s.accent)
            p.shape([(0, 0.1), (1, 0.55), (1, 0.72), (0, 0.27)], s.second)
            p.circle(0.5, 0.62, 26, s.base, 1.0)
            p.circle(0.5, 0.62, 17, s.second, 1.0)
        _panels(p, 6, 5, _shade(s.accent if not s.military else s.base, 0.75))
        if s.military:
            p.text(s.number, 0.5, 0.55, 0.3, (226, 226, 220), True, bold=5)
        p.done()


def _paint_patches(atlas: Array, s: Scheme) -> None:
    colours: dict[str, tuple[Colour, int]] = {
        "paint": (s.base, 200),
        "accent": (s.blotch or s.accent, 200),
        "metal": ((150, 152, 156), 215),
        "dark": ((22, 22, 24), 90),
        "glass": ((22, 32, 46), 255),
        "rubber": ((26, 26, 26), 30),
        "wood": ((92, 60, 34), 120),
        "white": ((206, 206, 204), 190),
    }
    p = Painter(atlas, "patches")
    for k, name in enumerate(PATCHES):
        colour, gloss = colours[name]
        u, v = k % 4 / 4, k // 4 / 2
        p.box(u, v, u + 0.25, v + 0.5, colour, gloss)
    p.done()


@lru_cache(maxsize=8)
def livery(name: str, cabin: str, seed: int) -> Array:
    """The atlas of one aircraft: uint8 (1024, 1024, 4), row 0 = bottom; RGB in sRGB, A = gloss."""
    s = Scheme(seed, name)
    atlas = np.empty((LIVERY_PX, LIVERY_PX, 4), np.uint8)
    atlas[:] = (*s.base, 200)
    _camouflage(atlas, s)
    _paint_body(atlas, s, cabin)
    _paint_wings(atlas, s)
    _paint_fins(atlas, s)
    _paint_patches(atlas, s)
    return atlas
