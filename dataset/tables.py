"""Tables (CSV) that a person may edit: one reader for all, and one writer.

Written with commas in UTF-8. Read as spreadsheets save them, too: with semicolons or tabs, in
UTF-16, with a byte order mark, decimal commas, empty lines, and without delimiters where the last
cells of a line are empty. What the fields mean is up to the callers.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from dataset.gate import MOST_LINE, MOST_TABLE, open_regular

DELIMITERS = ",;\t"  # tabs: what Excel calls "Unicode Text"
HINT = "sep="  # a first line that tells Excel the delimiter

Row = tuple[int, tuple[str, ...]]  # number of its line, fields


def table_text(columns: Sequence[object], rows: Iterable[Sequence[object]] = ()) -> str:
    """The text of a table, with its heading.

    Examples
    --------
    >>> table_text(("a", "b"), [("x,y", 1)])
    'a,b\\n"x,y",1\\n'
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def read_table(
    path: str | Path,
    columns: Sequence[str],
    blank: Sequence[str] = (),
    optional: Sequence[str] = (),
    most: int = MOST_TABLE,
) -> Iterator[Row]:
    """The rows of a table, in UTF-8 or, with a byte order mark, UTF-16.

    Columns may stand in any order beside others; lines without anything are passed over.

    Parameters
    ----------
    path : str or Path
    columns : sequence of str
        At least two, whose fields must not be empty.
    blank : sequence of str
        Further ones, whose fields may be empty.
    optional : sequence of str
        Further ones that may be missing: empty in every row.
    most : int
        Bytes of the file.

    Yields
    ------
    (int, tuple of str)
        Number of the line, and the fields of all these columns in this order.

    Raises
    ------
    OSError
        As for `open_regular`.
    ValueError
        It is no such table: another encoding, a column that is missing, an empty field, or one
        that never ends; "line 3 is damaged: it has no label".
    """
    with (
        open_regular(path, most) as raw,
        io.TextIOWrapper(raw, encoding=_encoding(raw), newline="") as file,
    ):
        try:
            yield from _rows(file, columns, blank, optional)
        except UnicodeError as error:
            raise ValueError(
                'it is in another encoding; save it as "CSV UTF-8", or as CSV with the encoding '
                "UTF-8"
            ) from error


def _encoding(raw: io.BufferedReader) -> str:
    """By the byte order mark that spreadsheets put in front."""
    start = raw.peek(2)[:2]
    return "utf-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _rows(
    file: io.TextIOWrapper,
    columns: Sequence[str],
    blank: Sequence[str],
    optional: Sequence[str],
) -> Iterator[Row]:
    heading, skipped = file.readline(MOST_LINE), 1
    if heading.casefold().startswith(HINT):
        heading, skipped = file.readline(MOST_LINE), 2
    head, delimiter = _head(heading, [*columns, *blank])
    present = [name for name in optional if name in head]
    pick = itemgetter(*(_place(head, name) for name in (*columns, *blank, *present)))
    missing = ("",) * (len(optional) - len(present))
    reader, filled = csv.reader(file, delimiter=delimiter, strict=False), len(columns)
    try:
        for values in reader:
            if not any(values):
                continue
            if len(values) < len(head):
                values += [""] * (len(head) - len(values))
            fields = pick(values)
            if "" in fields[:filled]:
                empty = columns[fields.index("")]
                raise ValueError(f"line {reader.line_num + skipped} is damaged: it has no {empty}")
            yield reader.line_num + skipped, fields + missing
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + skipped} is damaged: {error}") from error


def _head(line: str, wanted: Sequence[str]) -> tuple[list[str], str]:
    """The names of the columns, and the delimiter that finds most of those wanted."""
    heads = {each: _split(line, each) for each in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda each: len(set(wanted).intersection(heads[each])))
    return heads[delimiter], delimiter


def _split(line: str, delimiter: str) -> list[str]:
    try:
        names = [*csv.reader([line], delimiter=delimiter), []][0]
    except csv.Error as error:
        raise ValueError(f"line 1 is damaged: {error}") from error
    return [name.strip().casefold() for name in names]


def _place(head: Sequence[str], name: str) -> int:
    if name not in head:
        raise ValueError(f"line 1 has no column {name!r}")
    return head.index(name)


def fields_of(line: str, count: int) -> list[str]:
    """The fields of a line that stands by itself, by the delimiter that makes ``count`` of them.

    Examples
    --------
    >>> fields_of("a,b;0,5", 2), fields_of("a,b", 2)
    (['a,b', '0,5'], ['a', 'b'])
    """
    found = ([*csv.reader([line], delimiter=each), []][0] for each in DELIMITERS)
    return next((fields for fields in found if len(fields) == count), [])


def number(text: str) -> float:
    """A number with a decimal point or, as spreadsheets of many countries write it, comma.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> number("0.25"), number("0,25"), number("1,5E-04")
    (0.25, 0.25, 0.00015)
    """
    try:
        return float(text)
    except ValueError:
        return float(text.replace(",", "."))
