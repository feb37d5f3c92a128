"""What the header of a JPEG XL says: size, samples, colour encoding, tone mapping. No decoding.

References
----------
.. [1] ISO/IEC 18181-1:2024: JPEG XL, annex D (image headers), C.2.4 (field types). ISO/IEC 18181-2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dataset.pictures.boxes import boxes_of
from dataset.pictures.light import D65, DCI, E_WHITE, PRIMARIES, Chromaticities

LINEAR = 8  # code point of a curve
MOST_EXTRA = 256  # channels
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
WHITES = {1: D65, 10: E_WHITE, 11: DCI}
CUSTOM = 2
DEFAULT_NITS = 255.0  # of the largest sample, where nothing is stated


@dataclass(frozen=True)
class Codestream:
    """What its header says."""

    size: tuple[int, int]  # upright width and height
    floating: bool
    depth: int
    animated: bool
    by_profile: bool  # an ICC profile says what the numbers mean
    grey: bool
    primaries: Chromaticities
    curve: int  # code point; 0: a gamma, or not known
    peak_nits: float | None  # of a linear sample of 1; None: not stated
    exponent: float | None = None  # of a gamma: light is the signal to this power
    alpha: bool = False
    is_premultiplied: bool = False


class _Bits:
    """Reads bits, the lowest first; raises ``LookupError`` at the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def __call__(self, count: int) -> int:
        if count > self._left:
            raise LookupError
        found = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return found

    def one_of(self, *choices: tuple[int, int]) -> int:
        """U32: one of four, each a constant and bits to add."""
        constant, bits = choices[self(2)]
        return constant + self(bits)

    def enum(self) -> int:
        return self.one_of((0, 0), (1, 0), (2, 4), (18, 6))

    def half(self) -> float:
        return float(struct.unpack("<e", self(16).to_bytes(2, "little"))[0])

    def chromaticity(self) -> float:
        """Of the type Customxy: a signed number in millionths."""
        packed = self.one_of((0, 19), (524_288, 19), (1_048_576, 20), (2_097_152, 21))
        return (packed // 2 if packed % 2 == 0 else -(packed + 1) // 2) / 1e6


def codestream_of(data: bytes) -> bytes:
    """The beginning of the codestream; empty if there is none."""
    if data.startswith(b"\xff\x0a"):
        return data[:4096]
    for kind, begin, end in boxes_of(data, may_be_cut=True):
        if kind in (b"jxlc", b"jxlp"):
            begin += 4 if kind == b"jxlp" else 0
            return data[begin : min(end, begin + 4096)]
    return b""


def read_codestream(data: bytes) -> Codestream | None:
    """What the header of a JPEG XL's bytes says; None: it is damaged or cut off."""
    try:
        stream = codestream_of(data)
        return _read(_Bits(stream[2:])) if stream.startswith(b"\xff\x0a") else None
    except (LookupError, OverflowError):
        return None


def read_colour(data: bytes) -> Chromaticities:
    """Primaries and white of a ColourEncoding that stands alone.

    Raises
    ------
    ValueError
        It is damaged, or of a profile.
    """
    try:
        by_profile, _, corners, _, _ = _colour(_Bits(data))
    except LookupError as error:
        raise ValueError("its colour encoding is damaged") from error
    if by_profile:
        raise ValueError("its colours are stated by an ICC profile, which is not read in JPEG XL")
    return corners


def _read(bits: _Bits) -> Codestream:
    size = _size(bits)
    orientation, animated, floating, depth = 1, False, False, 8
    if bits(1):  # all is as usual: sRGB
        return Codestream(size, False, 8, False, False, False, PRIMARIES[1], 13, None)
    extra = bool(bits(1))
    if extra:
        orientation, animated = _extra_fields(bits)
    floating, depth = _depth(bits)
    bits(1)  # modular_16bit_buffers
    count = bits.one_of((0, 0), (1, 0), (2, 4), (1, 12))
    if count > MOST_EXTRA:
        raise LookupError
    extras = [_extra_channel(bits) for _ in range(count)]
    bits(1)  # xyb_encoded
    by_profile, grey, primaries, curve, exponent = _colour(bits)
    peak = None
    if extra and not bits(1):  # tone mapping is not as usual
        peak = bits.half()
    turned = (size[1], size[0]) if orientation > 4 else size
    return Codestream(
        *(turned, floating, depth, animated, by_profile, grey, primaries, curve, peak, exponent),
        alpha=any(each is not None for each in extras),
        is_premultiplied=any(extras),
    )


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits(1)
    sides = ((1, 9), (1, 13), (1, 18), (1, 30))
    height = 8 * (1 + bits(5)) if small else bits.one_of(*sides)
    ratio = bits(3)
    if ratio:
        across, down = RATIOS[ratio - 1]
        return height * across // down, height
    return (8 * (1 + bits(5)) if small else bits.one_of(*sides)), height


def _extra_fields(bits: _Bits) -> tuple[int, bool]:
    """Orientation, and whether it is an animation."""
    orientation = 1 + bits(3)
    if bits(1):
        _size(bits)  # intrinsic size
    if bits(1):
        _skip_preview(bits)
    animated = bool(bits(1))
    if animated:
        bits.one_of((100, 0), (1000, 0), (1, 10), (1, 30))
        bits.one_of((1, 0), (1001, 0), (1, 8), (1, 10))
        bits.one_of((0, 0), (0, 3), (0, 16), (0, 32))
        bits(1)
    return orientation, animated


def _skip_preview(bits: _Bits) -> None:
    by_8 = bits(1)
    eighths, sides = ((16, 0), (32, 0), (1, 5), (33, 9)), ((1, 6), (65, 8), (321, 10), (1345, 12))
    bits.one_of(*(eighths if by_8 else sides))
    if not bits(3):
        bits.one_of(*(eighths if by_8 else sides))


def _depth(bits: _Bits) -> tuple[bool, int]:
    if not bits(1):
        return False, bits.one_of((8, 0), (10, 0), (12, 0), (1, 6))
    depth = bits.one_of((32, 0), (16, 0), (24, 0), (1, 6))
    bits(4)  # of the exponent
    return True, depth


def _extra_channel(bits: _Bits) -> bool | None:
    """Of alpha, whether colours are multiplied by it; None: it is another channel."""
    if bits(1):  # alpha of 8 bits
        return False
    kind = bits.enum()
    _depth(bits)
    bits.one_of((0, 0), (3, 0), (4, 0), (1, 3))
    bits(8 * bits.one_of((0, 0), (0, 4), (16, 5), (48, 10)))  # its name
    if kind == 0:
        return bool(bits(1))
    if kind == 2:  # a spot colour
        bits(64)
    elif kind == 5:
        bits.one_of((1, 0), (0, 2), (3, 4), (19, 8))
    return None


def _colour(bits: _Bits) -> tuple[bool, bool, Chromaticities, int, float | None]:
    """Whether by a profile, whether grey, primaries, curve, and the exponent of a gamma."""
    if bits(1):
        return False, False, PRIMARIES[1], 13, None
    by_profile, space = bool(bits(1)), bits.enum()
    grey = space == 1
    if by_profile or space not in (0, 1):
        return True, grey, PRIMARIES[1], 0, None
    white = bits.enum()
    xy = (bits.chromaticity(), bits.chromaticity()) if white == CUSTOM else WHITES[white]
    corners = PRIMARIES[1][:6]
    if not grey:
        number = bits.enum()
        custom = number == CUSTOM
        corners = tuple(bits.chromaticity() for _ in range(6)) if custom else PRIMARIES[number][:6]
    exponent = _gamma(bits) if bits(1) else None
    curve = bits.enum() if exponent is None else LINEAR if exponent == 1 else 0
    bits.enum()  # rendering intent
    return False, grey, (*corners, *xy), curve, exponent


def _gamma(bits: _Bits) -> float:
    """The exponent of light; that of the signal is stated, in ten millionths."""
    stated = bits(24)
    if not stated:
        raise LookupError
    return 1e7 / stated
