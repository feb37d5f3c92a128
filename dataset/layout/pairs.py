"""``pairs.csv``: over-exposed frames, each with a frame of the same viewpoint that is not."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dataset.errors import UserError
from dataset.gate import is_regular, read_table

PAIRS_FILE = "pairs.csv"
PAIR_COLUMNS = ("over_exposed", "reference")


@dataclass(frozen=True)
class Pair:
    """Two files of one viewpoint."""

    over_exposed: Path
    reference: Path


def pairs_csv(pairs: Iterable[tuple[str, str]]) -> str:
    """The text of a ``pairs.csv``, sorted.

    Parameters
    ----------
    pairs : iterable of (over-exposed, reference)
        Paths relative to the file's folder, with forward slashes.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([PAIR_COLUMNS, *sorted(pairs)])
    return text.getvalue()


def list_pairs(path: str | Path) -> list[Pair]:
    """Read a ``pairs.csv``; relative paths count from its folder.

    Raises
    ------
    UserError
        The list is missing, has other columns, or holds no pair.
    """
    path = Path(path)
    if not is_regular(path):
        raise UserError(
            f"No list of pairs {path}. `cli split` writes one where viewpoints were recorded under "
            "several lights; or name your own with --pairs."
        )
    try:
        pairs = [
            Pair(path.parent / over_exposed, path.parent / reference)
            for _, (over_exposed, reference) in read_table(path, PAIR_COLUMNS)
        ]
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error
    except ValueError as error:
        raise UserError(
            f"{path} is no list of pairs ({error}): it needs the columns {','.join(PAIR_COLUMNS)}."
        ) from error
    if not pairs:
        raise UserError(f"{path} lists no pair. Record viewpoints under two lights first.")
    return pairs


def read_pairs(path: str | Path) -> list[Pair]:
    """`list_pairs`, all of whose files can be read; ``UserError`` names one that cannot."""
    pairs = list_pairs(path)
    for pair in pairs:
        for picture in (pair.over_exposed, pair.reference):
            if not is_regular(picture):
                raise UserError(f"{path} names {picture}, which cannot be read.")
    return pairs
