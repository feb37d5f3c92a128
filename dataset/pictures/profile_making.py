"""Primaries and a curve, as AVIF, HEIF and JPEG XL state them by numbers -> an ICC profile.

So their numbers mean in a result of another format what they meant in the file. Of sRGB, and of
what is usually shown as sRGB, there is none.

References
----------
.. [1] ICC.1:2022: header, XYZType, parametricCurveType, multiLocalizedUnicodeType, chad.
.. [2] ITU-T H.273: code points.
"""

from __future__ import annotations

import struct

import numpy as np

from dataset.pictures.light import (
    BT709,
    BT2020,
    D50,
    P3,
    PRIMARIES,
    Chromaticities,
    Matrix,
    adaptation,
    rgb_to_xyz,
)

EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}  # by the code point of a curve; others: sRGB's
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # its parameters, of kind 3
NAMES = {P3: "Display P3", BT2020: "BT.2020"}
D50_XYZ = (0xF6D6, 0x10000, 0xD32D)  # in 65536ths


def make_profile(corners: Chromaticities, exponent: float | None, grey: bool) -> bytes:
    """The profile of a display; empty if it is sRGB.

    Parameters
    ----------
    corners : tuple of float
        Primaries and white.
    exponent : float or None
        Light is the signal to this power; None: by sRGB's curve.
    grey : bool
        Whether it is of grey pictures.

    Raises
    ------
    ValueError
        The primaries make no sense.

    Examples
    --------
    >>> make_profile(PRIMARIES[BT709], None, grey=False)
    b''
    >>> make_profile(PRIMARIES[P3], None, grey=False)[16:20]
    b'RGB '
    """
    is_usual = grey or np.allclose(corners, PRIMARIES[BT709], atol=2e-3)
    if is_usual and exponent is None:
        return b""
    adapted = adaptation((corners[6], corners[7]), D50)
    curve = _parametric(exponent)
    tags = {b"desc": _text(_name(corners, exponent, grey)), b"cprt": _text("none")}
    tags |= {b"wtpt": _xyz(D50_XYZ), b"chad": _matrix(adapted)}
    if grey:
        return _profile(b"GRAY", tags | {b"kTRC": curve})
    columns = (adapted @ rgb_to_xyz(corners)).T * 65536
    primaries = zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    tags |= {name: _xyz(np.rint(column).astype(int).tolist()) for name, column in primaries}
    return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def profile_by_numbers(primaries: int, curve: int, grey: bool) -> bytes:
    """Of code points; empty of sRGB, and of primaries that are not known."""
    corners = PRIMARIES.get(primaries, PRIMARIES[BT709])
    return make_profile(corners, EXPONENTS.get(curve), grey)


def _name(corners: Chromaticities, exponent: float | None, grey: bool) -> str:
    known = (
        name for each, name in NAMES.items() if np.allclose(corners, PRIMARIES[each], atol=2e-3)
    )
    space = "Grey" if grey else next(known, "RGB")
    return space if exponent is None else f"{space}, gamma {exponent:.3g}"


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s", at + len(body), 0x04400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s28x3I", 2026, 1, 1, 0, 0, 0, b"acsp", *D50_XYZ)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _text(words: str) -> bytes:
    coded = words.encode("utf-16-be")
    return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(coded), 28) + coded


def _xyz(values: tuple[int, ...] | list[int]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *values)


def _matrix(matrix: Matrix) -> bytes:
    return struct.pack(">4s4x9i", b"sf32", *np.rint(matrix.ravel() * 65536).astype(int).tolist())


def _parametric(exponent: float | None) -> bytes:
    kind, values = (3, SRGB_CURVE) if exponent is None else (0, (exponent,))
    numbers = (round(value * 65536) for value in values)
    return struct.pack(f">4s4xHxx{len(values)}i", b"para", kind, *numbers)
