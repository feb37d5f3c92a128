"""Signals -> light: transfer curves of HDR and SDR, and primaries of any space -> Rec. 709's.

Matrices are worked out from the chromaticities that standards give. Nothing here reads a file, and
nothing makes light fit a screen.

References
----------
.. [1] ITU-R BT.2100-3: PQ and HLG. ITU-R BT.2408-8: what they mean beside SDR; diffuse white.
.. [2] ITU-T H.273: code points of curves and primaries.
.. [3] IEC 61966-2-1: sRGB. Lindbloom: RGB working space matrices; chromatic adaptation (Bradford).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Light = NDArray[np.float32]  # (H, W, 3) linear; 1.0 is diffuse white
Matrix = NDArray[np.float64]  # (3, 3)
Chromaticities = tuple[float, ...]  # x and y of red, green, blue and white

WHITE_NITS = 203.0  # diffuse white of absolute formats, BT.2408
SCRGB_NITS = 80.0  # of 1.0 in scRGB, IEC 61966-2-2
HLG_PEAK_NITS = 1000.0  # of the display that HLG is made for, with HLG_GAMMA
HLG_GAMMA = 1.2
PQ, HLG = 16, 18  # code points
PQ_M = (2610 / 16384, 2523 / 4096 * 128)  # of BT.2100, table 4
PQ_C = (3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32)
BT709, BT2020, P3 = 1, 9, 12

D65, D50, E_WHITE, DCI = (0.3127, 0.3290), (0.3457, 0.3585), (1 / 3, 1 / 3), (0.314, 0.351)
PRIMARIES: dict[int, Chromaticities] = {  # by code point
    BT709: (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *D65),  # BT.601 of 625 lines
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65),  # of 525
    BT2020: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65),
    10: (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, *E_WHITE),  # XYZ
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *DCI),
    P3: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65),
}
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def xyz_of(white: tuple[float, float]) -> Matrix:
    """XYZ of a white of luminance 1."""
    x, y = white
    return np.array([x / y, 1.0, (1 - x - y) / y])


def rgb_to_xyz(primaries: Chromaticities) -> Matrix:
    """The matrix from linear RGB of some primaries to XYZ, white at luminance 1.

    Raises
    ------
    ValueError
        They span no colours.
    """
    xy = np.reshape(np.asarray(primaries, np.float64), (4, 2))
    if not np.isfinite(xy).all() or xy[3, 1] <= 0:
        raise ValueError("its primaries make no sense")
    unscaled = np.stack([xy[:3, 0], xy[:3, 1], 1 - xy[:3].sum(axis=1)])
    if abs(np.linalg.det(unscaled)) < 1e-4:
        raise ValueError("its primaries make no sense")
    scale: Any = np.linalg.solve(unscaled, xyz_of((xy[3, 0], xy[3, 1])))
    return np.asarray(unscaled * scale)


def adaptation(source: tuple[float, float], target: tuple[float, float]) -> Matrix:
    """Bradford's matrix, in XYZ, from one white to another."""
    gains = (BRADFORD @ xyz_of(target)) / (BRADFORD @ xyz_of(source))
    return np.asarray(np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD)


def to_rec709(primaries: Chromaticities) -> Matrix:
    """The matrix from linear RGB of some primaries to that of Rec. 709, white to white.

    Examples
    --------
    >>> (to_rec709(PRIMARIES[BT2020]) @ [1, 1, 1]).round(9).tolist()
    [1.0, 1.0, 1.0]
    """
    white = (primaries[6], primaries[7])
    to_xyz = adaptation(white, D65) @ rgb_to_xyz(primaries)
    return np.asarray(np.linalg.inv(rgb_to_xyz(PRIMARIES[BT709])) @ to_xyz)


def in_rec709(light: Light, matrix: Matrix) -> Light:
    """Light of other primaries, by the matrix that leads to Rec. 709's."""
    return by_matrix(light, matrix)


def by_matrix(light: Light, matrix: Matrix) -> Light:
    """Light of some primaries in others, by the matrix from the first to the second."""
    if np.allclose(matrix, np.eye(3), atol=1e-6):
        return light
    return np.asarray(light @ matrix.T.astype(np.float32), np.float32)


def pq_to_nits(signal: NDArray[Any]) -> NDArray[np.float32]:
    """PQ's EOTF: signals in [0, 1] -> cd/m2, up to 10,000.

    Examples
    --------
    >>> pq_to_nits(np.array([0.0, 0.508078, 1.0])).round(1).tolist()
    [0.0, 100.0, 10000.0]
    """
    (m1, m2), (c1, c2, c3) = PQ_M, PQ_C
    root = np.clip(np.asarray(signal, np.float64), 0, 1) ** (1 / m2)
    return np.asarray(1e4 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1), np.float32)


def hlg_to_scene(signal: NDArray[Any]) -> NDArray[np.float32]:
    """HLG's inverse OETF: signals in [0, 1] -> scene light in [0, 1]."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    value = np.clip(np.asarray(signal, np.float64), 0, 1)
    high = (np.exp((value - c) / a) + b) / 12
    return np.asarray(np.where(value <= 0.5, value**2 / 3, high), np.float32)


def hlg_to_nits(signal: NDArray[Any], primaries: Chromaticities) -> Light:
    """HLG (H, W, 3) -> cd/m2 on its nominal display, of 1000 cd/m2.

    Examples
    --------
    >>> hlg_to_nits(np.full((1, 1, 3), 0.75), PRIMARIES[BT2020]).round().tolist()
    [[[203.0, 203.0, 203.0]]]
    """
    return scene_to_nits(hlg_to_scene(signal), primaries)


def scene_to_nits(scene: Light, primaries: Chromaticities) -> Light:
    """BT.2100's OOTF of HLG for its nominal display: scene light in [0, 1] -> cd/m2."""
    luminance = scene @ rgb_to_xyz(primaries)[1].astype(np.float32)
    gain = np.maximum(luminance, 0, dtype=np.float32) ** np.float32(HLG_GAMMA - 1)
    gain *= np.float32(HLG_PEAK_NITS)
    return np.asarray(gain[..., None] * scene, np.float32)


def by_table(
    curve: Callable[[NDArray[Any]], NDArray[np.float32]],
    samples: NDArray[Any],
    black: float,
    white: float,
) -> NDArray[np.float32]:
    """A curve of samples whose signal is 0 at ``black`` and 1 at ``white``.

    Of integers it is worked out once for each level, which is quick and takes no memory.
    """
    if samples.dtype.kind == "f":
        return curve((samples - np.float32(black)) / np.float32(white - black))
    levels = np.arange(np.iinfo(samples.dtype).max + 1)
    return np.asarray(curve((levels - black) / (white - black)), np.float32)[samples]


def srgb_to_linear(signal: NDArray[Any]) -> NDArray[np.float32]:
    """The curve of sRGB; signals beyond [0, 1] go on along it, negative ones mirrored."""
    value = np.asarray(signal, np.float32)
    size = np.abs(value)
    bent = ((size + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.asarray(
        np.copysign(np.where(size <= 0.04045, size / np.float32(12.92), bent), value), np.float32
    )


def in_gamut(light: Light) -> Light:
    """Light without negative components: colours outside of Rec. 709 go towards grey of their
    luminance until they are inside; light of no positive luminance is black."""
    least = light.min(axis=2, keepdims=True)
    if least.size == 0 or float(least.min()) >= 0:
        return light
    weights = rgb_to_xyz(PRIMARIES[BT709])[1].astype(np.float32)
    luminance = np.maximum(light @ weights, 0, dtype=np.float32)[..., None]
    below = np.maximum(-least, 0)
    share = luminance / np.maximum(luminance + below, np.float32(1e-30))
    moved = np.maximum(luminance + share * (light - luminance), 0)
    return np.asarray(np.where(least < 0, moved, light), np.float32)
