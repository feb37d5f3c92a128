"""What an ICC profile of a linear or curved RGB display says: its primaries, and its curve.

Only profiles of matrix and curves; those of tables are refused. Which profiles mean HDR is in
``dynamic_range.py``.

References
----------
.. [1] ICC.1:2022: XYZType, curveType, parametricCurveType. Colorants are relative to D50.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.dynamic_range import tags_of
from dataset.pictures.light import BT709, D65, PRIMARIES, Matrix, adaptation, rgb_to_xyz

D50_XYZ = (0.9642, 1.0, 0.8249)  # of ICC's connection space
COLORANTS = (b"rXYZ", b"gXYZ", b"bXYZ")
CURVES = (b"rTRC", b"gTRC", b"bTRC")
PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}  # of a parametric curve, by its kind


def matrix_of(profile: bytes) -> Matrix:
    """The matrix from a profile's linear RGB to that of Rec. 709.

    Raises
    ------
    ValueError
        It has no colorants that make sense.
    """
    tags = dict(tags_of(profile))
    if not all(len(tags.get(name, b"")) >= 20 for name in COLORANTS):
        raise ValueError("its colour profile has no primaries: profiles of tables are not read")
    numbers = [struct.unpack_from(">3i", tags[name], 8) for name in COLORANTS]
    to_xyz = np.array(numbers, np.float64).T / 65536
    x, y, z = D50_XYZ
    d50 = (x / (x + y + z), y / (x + y + z))
    if abs(np.linalg.det(to_xyz)) < 1e-4:
        raise ValueError("the primaries of its colour profile make no sense")
    matrix = np.linalg.inv(rgb_to_xyz(PRIMARIES[BT709])) @ adaptation(d50, D65) @ to_xyz
    return np.asarray(matrix / matrix.sum(axis=1, keepdims=True))  # white is white


def linearized(signal: NDArray[Any], profile: bytes) -> NDArray[np.float32]:
    """RGB (H, W, 3), in [0, 1] or beyond where the curve is known there, -> linear.

    Raises
    ------
    ValueError
        It has no curves, or some that make no sense.
    """
    tags = dict(tags_of(profile))
    found = [_curved(signal[..., at], tags.get(CURVES[at], b"")) for at in range(3)]
    return np.stack(found, axis=2).astype(np.float32)


def is_linear(profile: bytes) -> bool:
    """Whether a profile's numbers are light already.

    Raises
    ------
    ValueError
        It has no curves, or some that make no sense.
    """
    probe = np.linspace(0, 1, 17)[:, None, None].repeat(3, axis=2)
    return bool(np.allclose(linearized(probe, profile), probe, atol=1e-3))


def _curved(value: NDArray[Any], tag: bytes) -> NDArray[Any]:
    value = np.asarray(value, np.float64)
    try:
        if tag[:4] == b"para":
            return _parametric(value, tag)
        if tag[:4] == b"curv":
            return _sampled(value, tag)
    except struct.error as error:
        raise ValueError("a curve of its colour profile is damaged") from error
    raise ValueError("its colour profile has no curves: profiles of tables are not read")


def _sampled(value: NDArray[Any], tag: bytes) -> NDArray[Any]:
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return value
    if count > len(tag):
        raise ValueError("a curve of its colour profile is damaged")
    points = np.array(struct.unpack_from(f">{count}H", tag, 12))
    if count == 1:
        return np.sign(value) * np.abs(value) ** (points[0] / 256)
    return np.interp(value, np.linspace(0, 1, count), points / 65535)


def _parametric(value: NDArray[Any], tag: bytes) -> NDArray[Any]:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind not in PARAMETERS:
        raise ValueError("a curve of its colour profile is of an unknown kind")
    given = [each / 65536 for each in struct.unpack_from(f">{PARAMETERS[kind]}i", tag, 12)]
    usual = [1.0, 1.0, 0.0, 0.0, -np.inf, 0.0, 0.0]
    g, a, b, c, d, e, f = given + usual[len(given) :]
    if kind in (1, 2):  # the curve begins where a X + b is 0, above a constant
        d, e, f = -b / a if a else 0.0, (c if kind == 2 else 0), (c if kind == 2 else 0)
        c = 0
    if kind == 0:
        return np.sign(value) * np.abs(value) ** g
    size = np.abs(value)
    curved = np.maximum(a * size + b, 0) ** g + e
    return np.copysign(np.where(size >= d, curved, c * size + f), value)
