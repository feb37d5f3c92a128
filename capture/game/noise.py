"""Tileable noise. Pure numpy; draws nothing."""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray


def spectral_noise(rng: np.random.Generator, size: int, beta: float, low: float = 1.0) -> Array:
    """Tileable noise with power spectrum 1/f**beta above `low` cycles per tile.

    Filtered white noise (Saupe 1988, *Algorithms for random fractals*).

    Returns
    -------
    float32 (size, size), mean 0, standard deviation 1
    """
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)).astype(np.float32))
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None, :] * size
    f = np.sqrt(fx * fx + fy * fy)
    spectrum *= np.where(f >= low, np.maximum(f, 1e-9), np.inf) ** (-beta / 2)
    noise = np.fft.irfft2(spectrum, s=(size, size))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def softened(field: Array, sigma: float) -> Array:
    """A tileable field blurred by a Gaussian of `sigma` pixels."""
    fy = np.fft.fftfreq(field.shape[0])[:, None]
    fx = np.fft.rfftfreq(field.shape[1])[None, :]
    blur = np.exp(-2 * (np.pi * sigma) ** 2 * (fx * fx + fy * fy))
    return np.fft.irfft2(np.fft.rfft2(field) * blur, s=field.shape).astype(np.float32)


def ranked(noise: Array) -> Array:
    """The noise mapped to [0, 1] through the normal distribution, about evenly spread."""
    return (0.5 + 0.5 * np.tanh(0.8 * noise)).astype(np.float32)


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def warped(field: Array, dx: Array, dy: Array) -> Array:
    """`field` looked up at positions displaced by (dx, dy) pixels, wrapping round its edges."""
    rows, columns = np.indices(field.shape[:2], dtype=np.float32)
    height, width = field.shape[:2]
    return cv2.remap(
        field,
        (columns + dx) % width,
        (rows + dy) % height,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )


def _wrapped(places: Array, size: int) -> Array:
    """Places in [0, size); what is a hair below 0 would be rounded to `size` itself by %."""
    inside = places % size
    return np.where(inside < size, inside, np.float32(0))


def cells(rng: np.random.Generator, size: int, count: int, jitter: Array) -> tuple[Array, Array]:
    """Random blocks split like fields: (number of each pixel's block, distance to its edge).

    Returns
    -------
    int32 (size, size) block numbers; float32 (size, size) distance to the edge in pixels
    """
    side = size // count
    rows, columns = np.indices((size, size), dtype=np.float32)
    columns = _wrapped(columns + jitter, size)
    rows = _wrapped(rows + np.roll(jitter, size // 3, axis=0), size)
    band = (rows // side).astype(np.int32)
    cuts = np.cumsum(rng.dirichlet(np.full(count // 2 + 2, 3.0), count), axis=1) * size
    edges = cuts[band]
    number = (columns[..., None] > edges).sum(-1).astype(np.int32)
    padded = np.concatenate([np.zeros((count, 1)), cuts], axis=1)
    left = padded[band, number.clip(0, cuts.shape[1])]
    right = padded[band, (number + 1).clip(0, cuts.shape[1])]
    distance = np.minimum(
        np.minimum(columns - left, right - columns),
        np.minimum(rows % side, side - rows % side),
    )
    return band * 64 + number, distance.astype(np.float32)
