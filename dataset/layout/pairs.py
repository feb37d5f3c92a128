"""``pairs.csv``: over-exposed frames, each with a frame of the same viewpoint that is not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dataset.errors import UserError
from dataset.gate import is_regular
from dataset.tables import number, read_table, table_text

PAIRS_FILE = "pairs.csv"
PAIR_COLUMNS = ("over_exposed", "reference")
GAIN_COLUMN = "gain"  # optional


@dataclass(frozen=True)
class Pair:
    """Two files of one viewpoint."""

    over_exposed: Path
    reference: Path
    gain: float | None = None  # the true k of y = min(k x, 1) on encoded values, if it is known


def pairs_csv(pairs: Iterable[tuple[str, str]]) -> str:
    """The text of a ``pairs.csv``, sorted.

    Parameters
    ----------
    pairs : iterable of (over-exposed, reference)
        Paths relative to the file's folder, with forward slashes.
    """
    return table_text(PAIR_COLUMNS, sorted(pairs))


def list_pairs(path: str | Path, may_be_empty: bool = False) -> list[Pair]:
    """Read a ``pairs.csv``; relative paths count from its folder.

    A third column, ``gain``, may say how many times brighter the over-exposed frame is.

    Raises
    ------
    UserError
        The list is missing, has other columns, holds a gain that is no number over 0, or no pair
        unless it may be empty: `cli split` also writes one where nothing was recorded twice.
    """
    path = Path(path)
    if not is_regular(path):
        raise UserError(
            f"No list of pairs {path}. `cli split` writes one where viewpoints were recorded under "
            "several lights; or name your own with --pairs."
        )
    try:
        pairs = [
            Pair(path.parent / over_exposed, path.parent / reference, _gain(gain, line))
            for line, (over_exposed, reference, gain) in read_table(
                path, PAIR_COLUMNS, optional=(GAIN_COLUMN,)
            )
        ]
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error
    except ValueError as error:
        raise UserError(
            f"{path} is no list of pairs ({error}): it needs the columns {','.join(PAIR_COLUMNS)}, "
            f"and may have {GAIN_COLUMN}, a number over 0 or nothing."
        ) from error
    if not pairs and not may_be_empty:
        raise UserError(f"{path} lists no pair. Record viewpoints under two lights first.")
    return pairs


def read_pairs(path: str | Path) -> list[Pair]:
    """`list_pairs`, all of whose files are there; ``UserError`` names those that are not."""
    pairs = list_pairs(path)
    named = dict.fromkeys(each for pair in pairs for each in (pair.over_exposed, pair.reference))
    missing = [each for each in named if not is_regular(each)]
    if missing:
        more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        shown = ", ".join(map(str, missing[:3]))
        raise UserError(f"{path} names {shown}{more}, which cannot be read.")
    return pairs


def _gain(text: str, line: int) -> float | None:
    """A gain as it was written; None for an empty field."""
    if not text.strip():
        return None
    try:
        gain = number(text)
    except ValueError:
        gain = math.nan
    if not 0 < gain < math.inf:
        raise ValueError(f"line {line} is damaged: its gain is no number over 0")
    return gain
