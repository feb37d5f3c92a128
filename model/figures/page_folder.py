"""A page of ours and its folder: written from a template, and over nothing that another wrote.

A page bears a mark in its head, and is in the folder, saying that it is not complete, before
anything else is written there. So files of our names beside it are ours, even after a stop.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from dataset import errors, files, gate, locks, parts

PAGE_FILE = "index.html"
PAGE_LOCK = ".page.lock"
PAGE_WAIT_S = 60.0  # for another one who writes a page there: that takes seconds
HEAD_BYTES = 4096  # of a page; its mark is among them
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(kind: str, **values: Any) -> str:
    """The HTML of a page: ``demo``, ``evaluation``, ``figures`` or ``unfinished``.

    Values are escaped. ``mark`` is what kind of page an unfinished one will be.
    """
    mark = markupsafe.Markup(mark_of(values.pop("mark", kind)))
    return TEMPLATES.get_template(f"{kind}.html").render(mark=mark, **values)


def mark_of(kind: str) -> str:
    """The line in a page's head that tells that we wrote it."""
    return f'<meta name="generator" content="unclip {kind}">'


def table_rows(markdown: str) -> list[list[str]]:
    """A Markdown table as rows of cells, without the rule under its head.

    Examples
    --------
    >>> table_rows("|  | X |\\n|--|--:|\\n| Training | 9 |")
    [['', 'X'], ['Training', '9']]
    """
    rows = [line.strip().strip("|").split("|") for line in markdown.strip().splitlines()]
    return [[cell.strip() for cell in row] for row in (rows[0], *rows[2:])]


def check_page_folder(out: Path, kind: str, names: Collection[str], command: str) -> None:
    """Refuse a folder where something that another wrote would be written over.

    Parameters
    ----------
    out : Path
        The folder; need not exist.
    kind : str
        Of the page.
    names : collection of str
        Files that will be written beside the page.
    command : str
        That writes it, as ``cli figures``.

    Raises
    ------
    UserError
        The folder holds another page; or, without a page of ours, a file of one of these names; or
        one of them is a link or a folder.
    """
    if os.path.lexists(out) and not out.is_dir():
        raise errors.UserError(f"{out} is a file. Choose another --out.")
    page = out / PAGE_FILE
    there = [each for each in (page, *(out / name for name in names)) if os.path.lexists(each)]
    for each in there:
        if each.is_symlink() or not each.is_file():
            raise errors.UserError(f"{each} is a link or no file. Choose another --out.")
    if page in there and not _is_marked(page, mark_of(kind)):
        raise errors.UserError(f"{page} is no page of `{command}`. Choose another --out.")
    if there and page not in there:
        raise errors.UserError(
            f"{out} already holds something else: `{command}` did not write {there[0].name}. "
            "Choose another --out."
        )


@contextmanager
def page_folder(out: Path, kind: str, names: Collection[str], command: str) -> Iterator[None]:
    """The folder for this process alone, with a page that says that it is not complete.

    Who comes while another is writing waits for it, so that the page shows what lies beside it.

    Parameters
    ----------
    out, kind, names, command
        As of `check_page_folder`.

    Raises
    ------
    UserError
        As of `check_page_folder`; or the folder cannot be made or written.
    """
    busy = f"Another `{command}` has been writing {out} for a minute. Choose another --out."
    with locks.hold_folder(out, PAGE_LOCK, busy, PAGE_WAIT_S):
        check_page_folder(out, kind, names, command)
        parts.remove_parts(out, alive=False)
        if not os.path.lexists(out / PAGE_FILE):
            files.write_whole(out / PAGE_FILE, render_page("unfinished", mark=kind).encode())
        yield


def _is_marked(page: Path, mark: str) -> bool:
    try:
        with gate.open_regular(page, gate.MOST_PICTURE) as file:
            return mark.encode() in file.read(HEAD_BYTES)
    except OSError:
        return False
