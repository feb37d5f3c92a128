"""A folder with a page of ours and what the page shows: written over by the next one, and no other.

A page bears a mark in its head, and stands in the folder, saying that it is not whole, before
anything else is written there. So what lies beside it under our names is ours, also after a stop.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.gate import MOST_PICTURE, open_regular
from dataset.parts import remove_parts

PAGE_FILE = "index.html"
HEAD_BYTES = 4096  # of a page, in which its mark stands


def mark_of(what: str) -> str:
    """The mark of a kind of page; ``what`` is a word without quotes."""
    return f'<meta name="generator" content="unclip {what}">'


def check_folder(out: Path, mark: str, names: Collection[str], command: str) -> None:
    """Refuse a folder where something that another wrote would be written over.

    Parameters
    ----------
    out : Path
        The folder; need not be there.
    mark : str
        Of our pages.
    names : collection of str
        What will be written beside the page.
    command : str
        Which writes it, as ``cli figures``.

    Raises
    ------
    UserError
        There is another page; or, without a page of ours, a file of one of these names; or one of
        them is a link or a folder.
    """
    if os.path.lexists(out) and not out.is_dir():
        raise UserError(f"{out} is a file. Choose another --out.")
    page = out / PAGE_FILE
    there = [each for each in (page, *(out / name for name in names)) if os.path.lexists(each)]
    for each in there:
        if each.is_symlink() or not each.is_file():
            raise UserError(f"{each} is a link or no file. Choose another --out.")
    if page in there and not _is_marked(page, mark):
        raise UserError(f"{page} is no page of `{command}`. Choose another --out.")
    if there and page not in there:
        raise UserError(
            f"{out} already holds something else: `{command}` did not write {there[0].name}. "
            "Choose another --out."
        )


def begin_page(out: Path, mark: str) -> None:
    """Make the folder, and put a page there that says that it is not whole, if there is none yet.

    Raises
    ------
    UserError
        The folder cannot be made or written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make {out}: {error.strerror}. Choose another --out.") from error
    remove_parts(out)
    if not os.path.lexists(out / PAGE_FILE):
        write_whole(out / PAGE_FILE, UNFINISHED.format(mark=mark).encode())


def _is_marked(page: Path, mark: str) -> bool:
    try:
        with open_regular(page, MOST_PICTURE) as file:
            return mark.encode() in file.read(HEAD_BYTES)
    except OSError:
        return False


UNFINISHED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
{mark}
<title>unclip</title></head><body>
<p>Not whole: the command that makes this page is at work, or was stopped. Run it again.</p>
</body></html>
"""
