"""Worlds: tileable heights and colours for each biome, and the mesh they are draped over.

A world is one tile of TILE_M metres that repeats; haze hides the repetition. Arrays only; the
drawing is in ``scene``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from capture.game.noise import Array, cells, ranked, smoothstep, softened, spectral_noise, warped

TILE_M = 22_000.0
SIZE = 512  # pixels of a tile


@dataclass(frozen=True)
class World:
    """One biome's ground."""

    height: Array  # float32 (512, 512) metres above the sea, may be negative under it
    albedo: Array  # uint8 (512, 512, 4) sRGB colour; alpha 255 = land, 0 = water
    mean_albedo: Array  # float (3,) linear


def _mix(low: tuple[float, ...], high: tuple[float, ...], t: Array) -> Array:
    a, b = np.array(low, np.float32), np.array(high, np.float32)
    return a + (b - a) * t[..., None]


def _slope(height: Array) -> Array:
    step = TILE_M / SIZE
    gx = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / (2 * step)
    gy = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) / (2 * step)
    return np.sqrt(gx * gx + gy * gy)


def _ridges(rng: np.random.Generator) -> Array:
    """Mountain ridges in [0, 1]: folded noise (Musgrave's ridged multifractal, two folds)."""
    base = 1 - np.abs(np.tanh(spectral_noise(rng, SIZE, 4.2, 1.5) * 0.8))
    detail = 1 - np.abs(np.tanh(spectral_noise(rng, SIZE, 3.6, 5) * 0.8))
    return softened(np.clip(base * (0.72 + 0.28 * detail), 0, 1) ** 1.6, 1.6)


def _fields(rng: np.random.Generator) -> tuple[Array, Array]:
    hills = spectral_noise(rng, SIZE, 3.6, 1)
    height = 60 + 30 * hills
    jitter = spectral_noise(rng, SIZE, 3.4, 2) * 4
    number, edge = cells(rng, SIZE, 32, jitter)
    palette = np.array(
        [
            (74, 98, 46),
            (96, 118, 54),
            (134, 132, 70),
            (168, 150, 88),
            (120, 92, 62),
            (86, 108, 62),
            (58, 84, 42),
            (186, 170, 104),
            (104, 128, 66),
            (146, 120, 78),
        ],
        np.float32,
    )
    colour = palette[rng.integers(0, len(palette), number.max() + 1)][number]
    stripes = np.sin(np.indices((SIZE, SIZE))[1] * (1.1 + (number % 5) * 0.3))
    colour = colour * (1 + 0.04 * stripes[..., None])
    colour[edge < 0.9] = (62, 74, 44)
    woods = smoothstep(0.9, 1.1, spectral_noise(rng, SIZE, 3.0, 5))
    colour += woods[..., None] * (np.array((42, 62, 34), np.float32) - colour)
    town = smoothstep(1.5, 1.9, spectral_noise(rng, SIZE, 3.2, 3))
    roofs = rng.choice(np.array([150, 170, 120, 190], np.float32), (SIZE, SIZE, 1))
    colour += town[..., None] * 0.8 * (roofs * np.array((1, 0.93, 0.88)) - colour)
    river = np.abs(spectral_noise(rng, SIZE, 4.2, 1)) < 0.022
    height = np.where(river, -3.0, height).astype(np.float32)
    return height, colour


def _mountains(rng: np.random.Generator, snow_line: float = 850.0) -> tuple[Array, Array]:
    height = (1500 * _ridges(rng) - 40).astype(np.float32)
    slope, fine = _slope(height), spectral_noise(rng, SIZE, 2.0, 8)
    grass = _mix((66, 88, 44), (112, 112, 68), ranked(fine))
    rock = _mix((92, 84, 76), (134, 124, 112), ranked(fine))
    colour = grass + (rock - grass) * smoothstep(0.45, 0.75, slope + 0.06 * fine)[..., None]
    woods = smoothstep(0.1, 0.5, spectral_noise(rng, SIZE, 2.8, 4)) * (height < 600)
    colour += woods[..., None] * (np.array((40, 60, 36), np.float32) - colour)
    snow = smoothstep(snow_line, snow_line + 220, height + 90 * fine - 200 * slope)
    colour += snow[..., None] * (np.array((226, 230, 238), np.float32) - colour)
    return height, colour


def _desert(rng: np.random.Generator) -> tuple[Array, Array]:
    dunes = np.abs(
        warped(
            np.sin(np.indices((SIZE, SIZE))[1].astype(np.float32) * 2 * np.pi * 22 / SIZE),
            spectral_noise(rng, SIZE, 3.6, 2) * 22,
            spectral_noise(rng, SIZE, 3.6, 2) * 22,
        )
    )
    mesa = smoothstep(0.75, 1.0, spectral_noise(rng, SIZE, 3.4, 2))
    fine = spectral_noise(rng, SIZE, 2.2, 8)
    height = 40 + 45 * (1 - dunes) * (1 - mesa) + mesa * (320 + 14 * fine)
    colour = _mix((176, 132, 86), (214, 178, 126), ranked(fine + 1.2 * dunes))
    bands = 0.5 + 0.5 * np.sin(height / 17.0)
    cliffs = _mix((138, 84, 58), (182, 122, 82), bands)
    colour += (mesa * smoothstep(0.15, 0.5, _slope(height)))[..., None] * (cliffs - colour)
    return height.astype(np.float32), colour


def _snow(rng: np.random.Generator) -> tuple[Array, Array]:
    height, _ = _mountains(rng)
    height = height * 0.5 + 60
    fine, slope = spectral_noise(rng, SIZE, 2.2, 8), _slope(height)
    colour = _mix((196, 206, 220), (226, 230, 236), ranked(fine))
    rock = 0.85 * smoothstep(0.34, 0.5, slope + 0.02 * fine)
    colour += rock[..., None] * (np.array((88, 84, 84), np.float32) - colour)
    woods = smoothstep(0.5, 0.8, spectral_noise(rng, SIZE, 2.6, 5)) * (height < 380)
    colour += 0.85 * woods[..., None] * (np.array((54, 64, 60), np.float32) - colour)
    return height.astype(np.float32), colour


def _coast(rng: np.random.Generator) -> tuple[Array, Array]:
    shore = spectral_noise(rng, SIZE, 3.5, 1.5)
    height = softened(
        260 * np.tanh(shore) + 40 * spectral_noise(rng, SIZE, 3.0, 6) * (shore > 0.1), 1.0
    )
    fine = spectral_noise(rng, SIZE, 2.2, 6)
    colour = _mix((78, 96, 50), (138, 128, 82), ranked(fine))
    woods = smoothstep(0.2, 0.6, spectral_noise(rng, SIZE, 2.8, 4))
    colour += woods[..., None] * (np.array((48, 70, 40), np.float32) - colour)
    beach = 1 - smoothstep(10, 30, height)
    colour += beach[..., None] * (np.array((206, 190, 150), np.float32) - colour)
    return height.astype(np.float32), colour


def _sea(rng: np.random.Generator) -> tuple[Array, Array]:
    islands = spectral_noise(rng, SIZE, 3.6, 3) - rng.uniform(1.6, 3.2)
    height = np.where(islands > 0, 260 * islands + 4, -30).astype(np.float32)
    colour = _mix((70, 92, 52), (150, 138, 104), ranked(spectral_noise(rng, SIZE, 2.4, 8)))
    return height, colour


def _cloud_sea(rng: np.random.Generator) -> tuple[Array, Array]:
    low = spectral_noise(rng, SIZE, 3.4, 2)
    billows = np.abs(np.tanh(spectral_noise(rng, SIZE, 3.6, 5)))
    height = 260 + 110 * low + 240 * billows * ranked(low)
    return height.astype(np.float32), np.full((SIZE, SIZE, 3), 224, np.float32)


MAKERS = {
    "fields": _fields,
    "mountains": _mountains,
    "desert": _desert,
    "snow": _snow,
    "coast": _coast,
    "sea": _sea,
    "cloud_sea": _cloud_sea,
}


@lru_cache(maxsize=16)
def world(seed: int, biome: str, number: int) -> World:
    """Heights and colours of a biome's world `number`."""
    rng = np.random.default_rng([seed, number, 20 + list(MAKERS).index(biome)])
    height, colour = MAKERS[biome](rng)
    tint = 1 + 0.08 * (rng.random(3).astype(np.float32) - 0.5)
    colour = np.clip(colour * tint, 0, 232)
    land = (height > 0).astype(np.uint8) * 255
    albedo = np.dstack([colour.astype(np.uint8), cv2.blur(land, (3, 3))])
    linear = (colour.reshape(-1, 3) / 255) ** 2.2
    water = np.array([0.03, 0.05, 0.07])
    share = land.mean() / 255
    return World(height, albedo, linear.mean(axis=0) * share + water * (1 - share))


def height_at(ground: World, x_m: float, y_m: float, radius_m: float) -> float:
    """Highest ground within `radius_m` of a point, metres."""
    step = TILE_M / SIZE
    reach = int(radius_m / step)
    rows = np.arange(int(y_m / step) - reach, int(y_m / step) + reach + 1) % SIZE
    columns = np.arange(int(x_m / step) - reach, int(x_m / step) + reach + 1) % SIZE
    return max(0.0, float(ground.height[np.ix_(rows, columns)].max()))


@lru_cache(maxsize=1)
def wedge() -> tuple[Array, Array]:
    """A fan of ground ahead of the camera: vertices (N, 3) metres, triangles (M, 3).

    North (+y) is ahead, 75 degrees to either side; ring spacing grows with distance to 60 km.
    """
    angles = np.radians(np.linspace(-75, 75, 141))
    radii = np.concatenate([[0.0], np.geomspace(40, 60_000, 110)])
    r, a = np.meshgrid(radii, angles, indexing="ij")
    vertices = np.stack([r * np.sin(a), r * np.cos(a), np.zeros_like(r)], axis=-1)
    index = np.arange(r.size).reshape(r.shape)
    a0, b0, c0, d0 = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    triangles = np.stack([a0, d0, b0, a0, c0, d0], axis=-1).reshape(-1, 3)
    return vertices.reshape(-1, 3).astype(np.float32), triangles.astype(np.int32)
