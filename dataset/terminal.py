"""What is shown on a terminal: lines, progress bars, and outputs that may be gone meanwhile.

Names of files may hold what a terminal acts on, so whatever is shown goes through `shown`.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dataset.gate import CONTROLS, plain

INTERRUPTED = 130  # the exit code of a program ended by Ctrl-C
TOLD_S = 10.0  # between two lines on progress, where none is rewritten
ProgressCallback = Callable[[int, int], None]  # called with (done, total)


class OutputGone(OSError):
    """Standard output takes no more."""


class Output:
    """Standard output or error, which may end before the program does.

    Parameters
    ----------
    stream : text file or None
        None where the program was started without one.
    needed : bool
        Whether its end is the program's; else what is written afterwards is dropped.
    """

    def __init__(self, stream: Any, needed: bool) -> None:
        self._stream, self.needed = stream, needed
        self._fault: OSError | None = None
        with suppress(AttributeError, OSError, ValueError):  # not of every stream
            stream.reconfigure(errors="backslashreplace")  # what its encoding has no sign for

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # as click finds out what a stream takes
            raise TypeError("text is written here")
        if text:
            self._attempt("write", text)
        return len(text)

    def flush(self) -> None:
        self._attempt("flush")

    def isatty(self) -> bool:
        return self._stream is not None and bool(self._stream.isatty())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, what: str, *values: str) -> None:
        if self._stream is None:
            return
        if self._fault is None:
            try:
                getattr(self._stream, what)(*values)
            except OSError as error:
                self._fault = error
                _drop(self._stream)
        if self._fault is not None and self.needed:
            raise OutputGone(self._fault.errno, self._fault.strerror)


@contextmanager
def guarded_output() -> Iterator[None]:
    """Within it, standard output and error are an `Output`; only the former is needed."""
    _fill_gaps()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Output(before[0], True), Output(before[1], False)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def lasting() -> Iterator[None]:
    """Within it, work goes on although nobody can read what it says any more."""
    output: Any = sys.stdout
    needed = getattr(output, "needed", False)
    if needed:
        output.needed = False
    try:
        yield
    finally:
        if needed:
            output.needed = True


def shown(text: object) -> str:
    """Text of several lines as it may be shown: all but line ends goes through `plain`.

    Examples
    --------
    >>> shown("a\\x1b[2J\\nb")
    'a\\\\x1b[2J\\nb'
    """
    return "\n".join(map(plain, str(text).split("\n")))


def echo(text: object = "", error: bool = False) -> None:
    """Print text on standard output, or on standard error."""
    print(shown(text), file=sys.stderr if error else sys.stdout, flush=True)


def say(line: object, error: bool = False) -> None:
    """Print one line while a progress bar stands below."""
    from tqdm import tqdm

    if not _is_rewritten():
        echo(plain(line), error)
        return
    with tqdm.external_write_mode():
        echo(plain(line), error)


def to_json(values: Any, indent: int | None = 2) -> str:
    """JSON for a script, which a terminal can show, too.

    ASCII with JSON's own escapes unless the output is UTF-8: those of an `Output` are no JSON.
    """
    text = json.dumps(values, indent=indent, ensure_ascii=not _takes_utf8(), default=str)
    lines = (
        CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line) for line in text.split("\n")
    )
    return "\n".join(lines)


def _takes_utf8() -> bool:
    try:
        return codecs.lookup(sys.stdout.encoding).name == "utf-8"
    except (AttributeError, TypeError, LookupError):  # there is no output, or one of another kind
        return False


@contextmanager
def progress(what: str, unit: str, leave: bool = True) -> Iterator[Callable[..., None]]:
    """A progress bar with rate and time left: call it with (done, total[, a word on the state]).

    Elsewhere than on a terminal it is a line every ten seconds.
    """
    from tqdm import tqdm

    if not _is_rewritten():
        yield _told_progress(what, unit)
        return
    with tqdm(desc=what, unit=unit, mininterval=0.2, delay=0.5, leave=leave) as bar:

        def update(done: int, total: int, state: str = "") -> None:
            bar.total = total
            bar.set_postfix_str(plain(state), refresh=False)
            bar.update(done - bar.n)

        yield update


def _told_progress(what: str, unit: str) -> Callable[..., None]:
    from tqdm import tqdm

    began = told = time.monotonic()

    def update(done: int, total: int, state: str = "") -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TOLD_S:
            told = now
            line = tqdm.format_meter(
                done, total, now - began, prefix=what, unit=unit, postfix=state
            )
            echo(plain(line), error=True)

    return update


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """One line that is rewritten on a terminal, and printed every ten seconds elsewhere."""
    rewritten = _is_rewritten()
    printed = -TOLD_S

    def show(line: str) -> None:
        nonlocal printed
        if rewritten:
            print(f"\r{fitted(plain(line), _columns())}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - printed >= TOLD_S:
            printed = time.monotonic()
            echo(plain(line), error=True)

    try:
        yield show
    finally:
        if rewritten:
            echo(error=True)


def fitted(line: str, columns: int) -> str:
    """A line cut to, or filled up to, a width: what covers the line before, without a wrap.

    No control sequence erases the rest, as consoles of Windows show them as they are.

    Examples
    --------
    >>> fitted("1 frame", 9), fitted("게임 frame", 6)
    ('1 frame  ', '게임 f')
    """
    cells = 0
    for place, sign in enumerate(line):
        wide = 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        if cells + wide > columns:
            return line[:place] + " " * (columns - cells)
        cells += wide
    return line + " " * (columns - cells)


def _columns() -> int:
    """Columns of the terminal but the last, after which some go on in the next line."""
    columns = 0
    with suppress(AttributeError, OSError, ValueError):
        columns = os.get_terminal_size(sys.stderr.fileno()).columns  # 0: not told
    return (columns or 80) - 1


def _is_rewritten() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _drop(stream: Any) -> None:
    """Let what a stream still holds go nowhere, so that the end of the program can flush it."""
    with suppress(AttributeError, OSError, ValueError):  # it has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _fill_gaps() -> None:
    """Open what is closed of 0, 1 and 2: the next file would get its number, and C's messages."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)
