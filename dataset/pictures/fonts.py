"""A font that has the characters of a text: Pillow's own for ASCII, else one of this system's.

Which fonts there are, and which characters each has, matplotlib knows. No font is shipped here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from PIL import ImageFont

PREFERRED = (  # families for labels, among those that have all characters
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "NanumGothic",
    "Noto Sans CJK JP",
    "Noto Sans",
    "Arial Unicode MS",
)


@lru_cache(maxsize=64)
def pick_font(text: str, size: int) -> Any:
    """A Pillow font for a text.

    Parameters
    ----------
    text : str
        In any script.
    size : int
        Pixels of an em.

    Returns
    -------
    PIL.ImageFont.FreeTypeFont
        One that has all the characters of the text; else the one that has most of them.
    """
    if text.isascii():
        return ImageFont.load_default(size=size)
    path = _best_file(frozenset(map(ord, text)) - {ord(" ")})
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size=size)


@lru_cache(maxsize=64)
def _best_file(wanted: frozenset[int]) -> str | None:
    """The file of the first font that has all characters, or most; None: no font has any."""
    best, most = None, 0
    for path in _files():
        found = len(wanted & _characters(path))
        if found > most:
            best, most = path, found
        if found == len(wanted):
            break
    return best


def _files() -> Iterator[str]:
    """Upright fonts of usual weight, preferred families first."""
    from matplotlib.font_manager import fontManager  # a second to load: for other scripts only

    ranks = {name: rank for rank, name in enumerate(PREFERRED)}
    plain = [each for each in fontManager.ttflist if each.style == "normal"]
    plain = [each for each in plain if "last resort" not in each.name.lower()]  # boxes for all
    for font in sorted(
        plain,
        key=lambda each: (ranks.get(each.name, len(ranks)), each.weight not in (400, "normal")),
    ):
        yield font.fname


@lru_cache(maxsize=1024)
def _characters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()  # listed once, and gone or damaged now
