"""Clouds: a tileable layer overhead, and a panorama of cumulus made of lit puffs. Pure numpy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from capture.game.noise import Array, ranked, softened, spectral_noise

PANORAMA_SIZE = (1024, 256)  # width = full compass, height = PANORAMA_RANGE of elevation
PANORAMA_RANGE = (-6.0, 42.0)  # degrees


@lru_cache(maxsize=2)
def layer_noise(seed: int) -> Array:
    """uint8 (512, 512, 4): billows, wisps, fine detail and waves, each tileable."""
    rng = np.random.default_rng([seed, 11])
    size = 512
    billows = np.abs(spectral_noise(rng, size, 3.0, 3)) * 0.9
    wisps = spectral_noise(rng, size, 3.2, 2)
    stretched = np.repeat(spectral_noise(rng, size // 4, 3.0, 2), 4, axis=1)
    stretched = softened(np.tile(stretched, (4, 1)), 3.0)
    fine = spectral_noise(rng, size, 2.4, 8)
    waves = spectral_noise(rng, size, 2.6, 6)
    channels = [
        ranked(1.2 - 1.6 * billows + 0.3 * fine),
        ranked(wisps + 0.2 * stretched),
        ranked(fine),
        ranked(waves),
    ]
    return (np.stack(channels, axis=-1) * 255).astype(np.uint8)


def _splat(canvas: Array, x: float, y: float, radius: float, wobble: Array) -> None:
    """Lay one puff over the canvas: normal in channels 0-2, cover in channel 3, wrapping in x."""
    height, width = canvas.shape[:2]
    r = int(np.ceil(radius * 1.25))
    rows = np.arange(max(int(y) - r, 0), min(int(y) + r + 1, height))
    columns = np.arange(int(x) - r, int(x) + r + 1)
    if rows.size == 0:
        return
    dx = ((columns - x) / radius)[None, :]
    dy = ((rows - y) / radius)[:, None]
    wrapped = columns % width
    rough = wobble[np.ix_(rows % wobble.shape[0], wrapped % wobble.shape[1])]
    d2 = (dx * dx + dy * dy) * (1 + 0.55 * rough)
    cover = np.clip((1 - d2) * 2.2, 0, 1)
    depth = np.sqrt(np.clip(1 - d2, 0.02, 1))
    normal = np.stack(np.broadcast_arrays(dx + 0.35 * rough, dy + 0.2 * rough, depth), axis=-1)
    patch = canvas[np.ix_(rows, wrapped)]
    patch[..., :3] += cover[..., None] * (normal - patch[..., :3])
    patch[..., 3] += cover * (1 - patch[..., 3])
    canvas[np.ix_(rows, wrapped)] = patch


def _cloud(canvas: Array, rng: np.random.Generator, wobble: Array, base: float) -> None:
    """One cumulus: puffs over a flat base, the small ones laid last."""
    x0, width = rng.uniform(0, canvas.shape[1]), rng.uniform(18, 85) * (0.4 + base / 90)
    height = width * rng.uniform(0.35, 0.8)
    count = int(rng.uniform(26, 48))
    t = rng.uniform(-1, 1, count)
    top = height * (1 - t * t) * rng.uniform(0.2, 1.0, count)
    radius = width * rng.uniform(0.10, 0.28, count) * (1.15 - 0.6 * np.abs(t))
    for k in np.argsort(-radius):
        _splat(canvas, x0 + t[k] * width, base + top[k] + radius[k] * 0.3, radius[k], wobble)


@lru_cache(maxsize=16)
def cumulus_panorama(seed: int, number: int) -> Array:
    """uint8 (256, 1024, 4): packed normals (right, up, towards the viewer) and cover.

    Row 0 is PANORAMA_RANGE[0]; the horizon's clouds are small, the higher ones larger.
    """
    rng = np.random.default_rng([seed, number, 12])
    width, height = PANORAMA_SIZE
    wobble = spectral_noise(rng, 256, 2.2, 6) * 0.5
    canvas = np.zeros((height, width, 4), np.float32)
    for _ in range(int(rng.uniform(22, 40))):
        elevation = 42 * rng.random() ** 2.2
        base = (elevation + 4.5 - PANORAMA_RANGE[0]) / 48 * height
        _cloud(canvas, rng, wobble, base)
    normal = canvas[..., :3] / (np.linalg.norm(canvas[..., :3], axis=-1, keepdims=True) + 1e-3)
    packed = np.concatenate([normal * 0.5 + 0.5, canvas[..., 3:]], axis=-1)
    return (packed * 255 + 0.5).clip(0, 255).astype(np.uint8)
