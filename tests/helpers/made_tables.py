"""Tables as spreadsheets of several countries save them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

Rows = Sequence[Sequence[str]]
Saved = Callable[[Rows], bytes]


def _text(rows: Rows, delimiter: str, quoting: int = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


def _decimal_commas(rows: Rows) -> Rows:
    return [[_with_comma(cell) for cell in row] for row in rows]


def _with_comma(cell: str) -> str:
    return cell.replace(".", ",") if cell.replace(".", "").isdecimal() else cell


def commas(rows: Rows) -> bytes:
    return _text(rows, ",").encode()


def german_excel(rows: Rows) -> bytes:
    return _text(_decimal_commas(rows), ";").encode("utf-8-sig")


def unicode_text(rows: Rows) -> bytes:
    return _text(rows, "\t").encode("utf-16")


def german_unicode_text(rows: Rows) -> bytes:
    return _text(_decimal_commas(rows), "\t").encode("utf-16")


def all_quoted(rows: Rows) -> bytes:
    return _text(rows, ";", csv.QUOTE_ALL).encode()


def with_a_hint(rows: Rows) -> bytes:
    return b"sep=;\r\n" + _text(rows, ";").encode()


def with_empty_lines(rows: Rows) -> bytes:
    return _text([*rows, [""] * len(rows[0]), []], ";").encode("utf-8-sig")


def with_other_columns(rows: Rows) -> bytes:
    """Turned round, with one more column and capitals."""
    rows = [[f" {cell.title()} " for cell in rows[0]], *rows[1:]]
    return _text([["note", *row[::-1]] for row in rows], ",").encode()


def without_empty_ends(rows: Rows) -> bytes:
    """Excel leaves delimiters out where the last columns are empty for sixteen rows."""
    lines = _text(rows, ";").split("\r\n")
    return "\r\n".join(line.rstrip(";") for line in lines).encode("utf-8-sig")


SAVED: list[Saved] = [
    commas,
    german_excel,
    unicode_text,
    german_unicode_text,
    all_quoted,
    with_a_hint,
    with_empty_lines,
    with_other_columns,
    without_empty_ends,
]
