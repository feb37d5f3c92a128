"""Smooth shapes from few numbers: lofted bodies, wings, wheels and struts. Pure numpy.

Axes of an aircraft: x right, y forward, z up; metres. Texture coordinates point into the livery's
atlas, whose regions are named in ATLAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capture.game.noise import Array

ATLAS = {  # region -> (u0, v0, u1, v1), v upwards
    "body": (0.0, 0.56, 1.0, 1.0),
    "wing_top": (0.0, 0.38, 1.0, 0.56),
    "wing_bottom": (0.0, 0.20, 1.0, 0.38),
    "fin_left": (0.0, 0.0, 0.3, 0.20),
    "fin_right": (0.3, 0.0, 0.6, 0.20),
    "patches": (0.6, 0.0, 1.0, 0.20),
}
PATCHES = ("paint", "accent", "metal", "dark", "glass", "rubber", "wood", "white")


@dataclass(frozen=True)
class Mesh:
    """Triangles with smooth normals."""

    position: Array  # float (N, 3) metres
    normal: Array  # float (N, 3) unit
    uv: Array  # float (N, 2) in the atlas
    triangles: Array  # int (M, 3), counter-clockwise seen from outside


def region_uv(region: str, u: Array, v: Array) -> Array:
    """Coordinates in [0, 1] of a region to coordinates of the atlas, kept off its borders."""
    u0, v0, u1, v1 = ATLAS[region]
    u, v = 0.004 + 0.992 * np.clip(u, 0, 1), 0.012 + 0.976 * np.clip(v, 0, 1)
    return np.stack([u0 + (u1 - u0) * u, v0 + (v1 - v0) * v], axis=-1)


def patch_uv(name: str, count: int) -> Array:
    """The same point of a plain patch of the atlas, `count` times."""
    k = PATCHES.index(name)
    u, v = (k % 4 + 0.5) / 4, (k // 4 + 0.5) / 2
    return np.repeat(region_uv("patches", np.array([u]), np.array([v])), count, axis=0)


def merge(parts: list[Mesh]) -> Mesh:
    """Several meshes as one."""
    offsets = np.cumsum([0] + [len(p.position) for p in parts[:-1]])
    return Mesh(
        np.concatenate([p.position for p in parts]),
        np.concatenate([p.normal for p in parts]),
        np.concatenate([p.uv for p in parts]),
        np.concatenate([p.triangles + o for p, o in zip(parts, offsets, strict=True)]),
    )


def mirrored(part: Mesh) -> Mesh:
    """The mesh on the other side of the plane x = 0."""
    flip = np.array([-1.0, 1.0, 1.0])
    return Mesh(part.position * flip, part.normal * flip, part.uv, part.triangles[:, ::-1])


def moved(part: Mesh, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
    """The mesh displaced."""
    return Mesh(part.position + np.array([x, y, z]), part.normal, part.uv, part.triangles)


def grid_mesh(points: Array, uv: Array) -> Mesh:
    """A surface from rows of points (R, C, 3), each row a loop; normals point out of the loops.

    A column that closes on itself (first point = last point) gets one normal at the seam.
    """
    along = np.gradient(points, axis=0)
    across = np.gradient(points, axis=1)
    if np.allclose(points[:, 0], points[:, -1]):
        seam = (points[:, 1] - points[:, -2]) / 2
        across[:, 0] = across[:, -1] = seam
    normal = np.cross(across, along)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    for end, inner in ((0, 1), (-1, -2)):  # a row shrunk to a point takes its axis as normal
        if length[end].max() < 1e-9:
            axis = points[end].mean(axis=0) - points[inner].mean(axis=0)
            normal[end], length[end] = axis, np.linalg.norm(axis)
    normal = normal / np.maximum(length, 1e-9)
    if ((points - points.mean(axis=1, keepdims=True)) * normal).sum() < 0:
        normal = -normal
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    triangles = np.concatenate(
        [np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)]
    )
    flat, directions = points.reshape(-1, 3), normal.reshape(-1, 3)
    corners = flat[triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    if (facing * directions[triangles[:, 0]]).sum() < 0:
        triangles = triangles[:, ::-1]
    return Mesh(flat, directions, uv.reshape(-1, 2), triangles)


def _smooth(stations: Array, count: int) -> Array:
    """Rows (S, K) interpolated along column 0 by monotone cubic Hermite pieces (Fritsch 1980)."""
    x = stations[:, 0]
    t = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, count))
    at = x[0] + (x[-1] - x[0]) * t
    slope = np.diff(stations, axis=0) / np.diff(x)[:, None]
    same = slope[:-1] * slope[1:] > 0
    both = np.where(same, slope[:-1] + slope[1:], 1)
    middle = np.where(same, 2 * slope[:-1] * slope[1:] / both, 0)
    tangent = np.concatenate([slope[:1], middle, slope[-1:]])
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    h = (x[k + 1] - x[k])[:, None]
    s = ((at - x[k])[:, None]) / h
    return (
        (1 + 2 * s) * (1 - s) ** 2 * stations[k]
        + s * (1 - s) ** 2 * h * tangent[k]
        + s * s * (3 - 2 * s) * stations[k + 1]
        + s * s * (s - 1) * h * tangent[k + 1]
    )


def body(
    stations: Sequence[tuple[float, ...]],
    patch: str | None = None,
    rows: int = 56,
    columns: int = 36,
) -> Mesh:
    """A rounded body through stations (y, half width, height up, height down, centre z, power).

    y runs from nose (largest) to tail. The section is a superellipse: power 2 = ellipse, more =
    squarer. Texture: u from nose to tail, v round the section from the belly over the right side,
    the top and the left side back to the belly; or one plain `patch`.
    """
    data = np.array(stations, dtype=float)
    data[:, 0] *= -1
    y, half, up, down, z, power = _smooth(data, rows).T
    # the ends' radii grow like a square root, or a nose would be a cone
    angle = np.linspace(-np.pi / 2, 1.5 * np.pi, columns + 1)
    cos, sin = np.cos(angle), np.sin(angle)
    power = np.maximum(power, 1.5)[:, None]
    px = half[:, None] * np.sign(cos) * np.abs(cos) ** (2 / power)
    lift = np.where(sin > 0, up[:, None], down[:, None])
    pz = z[:, None] + lift * np.sign(sin) * np.abs(sin) ** (2 / power)
    points = np.stack([px, np.broadcast_to(-y[:, None], px.shape), pz], axis=-1)
    points[:, -1] = points[:, 0]
    u = np.broadcast_to(((y - y[0]) / (y[-1] - y[0]))[:, None], px.shape)
    v = np.broadcast_to(np.linspace(0, 1, columns + 1), px.shape)
    uv = region_uv("body", u, v) if patch is None else patch_uv(patch, px.size)
    return grid_mesh(points, uv.reshape(*px.shape, 2))


def airfoil(points: int = 14) -> Array:
    """(2n, 2) loop of (chord fraction from the nose, half thickness): upper side, then lower.

    The NACA four-digit thickness distribution; the nose comes twice, for two texture regions.
    """
    x = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, points))
    t = 5 * (0.2969 * np.sqrt(x) - 0.126 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4)
    top = np.stack([x, t], axis=-1)[::-1]
    return np.concatenate([top, (top * [1, -1])[::-1]])


def wing(
    sections: list[tuple[float, float, float, float, float]],
    span_m: float | None = None,
    length: tuple[float, float] = (0.0, 1.0),
    upright: str | None = None,
    patch: str | None = None,
) -> Mesh:
    """One side's wing, tailplane or fin through sections (out, nose y, chord, z, thickness).

    `out` is the distance from the root, along x, or upwards when `upright` names a fin's region
    pair. `length` is (front y, rear y) of the whole planform, which texture v runs over; `span_m`
    the distance that u runs over from the middle of the wing region to its end.
    """
    data = np.array(sections, dtype=float)
    count = 6 * (len(data) - 1) + 1
    fine = np.stack(
        [
            np.interp(np.linspace(0, len(data) - 1, count), range(len(data)), column)
            for column in data.T
        ],
        axis=-1,
    )
    tip = fine[-1:].copy() * [1, 1, 1, 1, 0.05]
    tip[:, 0] += fine[-1, 2] * 0.04
    tip[:, 1:3] = [fine[-1, 1] - 0.12 * fine[-1, 2], fine[-1, 2] * 0.7]
    fine = np.concatenate([fine, tip])
    loop = airfoil()
    upper = (np.arange(len(loop)) < len(loop) // 2)[None, :, None]
    out = np.broadcast_to(fine[:, :1], (len(fine), len(loop)))
    y = fine[:, 1:2] - loop[None, :, 0] * fine[:, 2:3]
    thick = loop[None, :, 1] * fine[:, 4:5] * fine[:, 2:3]
    z = np.broadcast_to(fine[:, 3:4], y.shape)
    if upright is not None:
        points = np.stack([z + thick, y, out], axis=-1)
    else:
        points = np.stack([out, y, z + thick], axis=-1)
    front, rear = length
    along = (front - y) / (front - rear)
    if patch is not None:
        uv = patch_uv(patch, y.size).reshape(*y.shape, 2)
    elif upright is not None:
        height = (out - fine[0, 0]) / (fine[-1, 0] - fine[0, 0])
        uv = np.where(
            upper, region_uv("fin_right", along, height), region_uv("fin_left", 1 - along, height)
        )
    else:
        u = 0.5 + 0.5 * out / (span_m or fine[-1, 0])
        uv = np.where(
            upper, region_uv("wing_top", u, 1 - along), region_uv("wing_bottom", 1 - u, 1 - along)
        )
    return grid_mesh(points, uv)


def wing_pair(*args: object, **keywords: object) -> Mesh:
    """A wing and its other side; the other side's texture is the other half of the region."""
    right = wing(*args, **keywords)  # type: ignore[arg-type]
    left = mirrored(right)
    uv = left.uv.copy()
    if keywords.get("patch") is None:
        uv[:, 0] = 1 - uv[:, 0]
    return merge([right, Mesh(left.position, left.normal, uv, left.triangles)])


def rod(
    a: tuple[float, float, float],
    b: tuple[float, float, float],
    radius: float,
    patch: str = "metal",
    sides: int = 8,
) -> Mesh:
    """A straight strut from a to b."""
    start, end = np.array(a, float), np.array(b, float)
    axis = (end - start) / np.linalg.norm(end - start)
    helper = np.array([1.0, 0, 0]) if abs(axis[0]) < 0.8 else np.array([0, 1.0, 0])
    side = np.cross(axis, helper)
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.cos(angle)[:, None] * side + np.sin(angle)[:, None] * other
    ring[-1] = ring[0]
    points = np.stack([start + ring * radius, end + ring * radius])
    return grid_mesh(points, patch_uv(patch, 2 * (sides + 1)).reshape(2, sides + 1, 2))


def wheel(x: float, y: float, z: float, radius: float, width: float) -> Mesh:
    """A tyre standing in the plane of flight."""
    stations = [
        (-1.0, 0, 0, 0, 0, 2),
        (-0.9, 0.7, 0.7, 0.7, 0, 2),
        (-0.5, 1, 1, 1, 0, 2),
        (0.5, 1, 1, 1, 0, 2),
        (0.9, 0.7, 0.7, 0.7, 0, 2),
        (1.0, 0, 0, 0, 0, 2),
    ]
    tyre = body(stations[::-1], "rubber", rows=12, columns=20)
    scale = np.array([radius, width / 2, radius])
    turn = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], float)
    position = (tyre.position * scale) @ turn.T + [x, y, z]
    return Mesh(position, tyre.normal @ turn.T, tyre.uv, tyre.triangles)
