"""Primaries and curves of ICC profiles, as HDR pictures need them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from dataset.pictures.colour_profile import is_linear, linearized, matrix_of
from dataset.pictures.light import (
    P3,
    PRIMARIES,
    adaptation,
    rgb_to_xyz,
    srgb_to_linear,
    to_rec709,
)
from tests.helpers.made_pictures import SRGB

D50 = (0.34567, 0.35850)


def fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(each * 65536) for each in numbers))


def made(curve: bytes, primaries: int = P3) -> bytes:
    """A profile of a display: its colorants, adapted to D50, and one curve."""
    corners = PRIMARIES[primaries]
    columns = (adaptation((corners[6], corners[7]), D50) @ rgb_to_xyz(corners)).T
    parts = {name: b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in zip(NAMES, columns, strict=True)}
    parts |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    at, table, body = 132 + 12 * len(parts), b"", b""
    for tag, content in parts.items():
        table += struct.pack(">4sII", tag, at + len(body), len(content))
        body += content
    return bytes(128) + struct.pack(">I", len(parts)) + table + body


NAMES = (b"rXYZ", b"gXYZ", b"bXYZ")
LINEAR = b"curv\0\0\0\0" + struct.pack(">I", 0)
GAMMA = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256))
TABLE = b"curv\0\0\0\0" + struct.pack(">I3H", 3, 0, 16384, 65535)
LEVELS = np.linspace(-0.5, 1, 7)[:, None, None].repeat(3, axis=2)


def test_srgb() -> None:
    assert np.allclose(matrix_of(SRGB), np.eye(3), atol=2e-3)
    assert np.allclose(linearized(LEVELS, SRGB), srgb_to_linear(LEVELS), atol=2e-4)
    assert not is_linear(SRGB)


def test_primaries_are_those_of_the_display() -> None:
    assert np.allclose(matrix_of(made(LINEAR)), to_rec709(PRIMARIES[P3]), atol=2e-3)


def _para(kind: int, *numbers: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*numbers)


@pytest.mark.parametrize(
    ("curve", "at_half"),
    [
        (LINEAR, 0.5),
        (GAMMA, 0.5**2.2),
        (TABLE, 0.25),
        (_para(0, 2.0), 0.25),
        (_para(1, 2.0, 1.0, 0.1), 0.36),
        (_para(2, 2.0, 1.0, 0.1, 0.2), 0.56),
        (_para(3, 2.0, 1.0, 0.0, 0.5, 0.6), 0.25),
        (_para(4, 2.0, 1.0, 0.0, 0.5, 0.4, 0.1, 0.2), 0.35),
        (_para(4, 2.0, 1.0, 0.0, 0.5, 0.6, 0.1, 0.2), 0.45),
    ],
)
def test_every_kind_of_curve(curve: bytes, at_half: float) -> None:
    found = linearized(np.full((1, 1, 3), 0.5), made(curve))
    assert np.allclose(found, at_half, atol=2e-3)
    assert is_linear(made(curve)) == (curve == LINEAR)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (b"", "no primaries"),
        (made(b"curv\0\0\0\0\xff\xff\xff\xff"), "damaged"),
        (made(_para(9, 1.0)), "unknown kind"),
        (made(b"mft2" + bytes(20)), "profiles of tables"),
        (made(_para(3, 2.0)), "damaged"),
    ],
)
def test_what_makes_no_sense_is_refused(profile: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        matrix_of(profile) @ linearized(np.full((1, 1, 3), 0.5), profile)[0, 0]
