"""The gate: all input from outside this process is checked here before it is used.

Files of sessions, data sets and runs may come from a friend, a crash or an editor. They are read
only if they are regular files of a sensible size, and become typed values or a readable
``ValueError``. Callers decide what the values mean and what to tell the user; `dataset.paths`
checks paths named in files. Imports only `errors`.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import msgspec

from dataset.errors import UserError

MOST_SETTINGS = 16 << 20  # bytes of a file of settings: session.json, options.json
MOST_SPLIT = 2 << 30  # bytes of split.json: a million files take 250 MB
MOST_TABLE = 4 << 30  # bytes of a table or manifest: ten million lines
MOST_LINE = 1 << 20  # bytes of one line of a manifest
MOST_PICTURE = 1 << 30  # bytes of an encoded picture
MOST_DEPTH = 64  # of what is kept as it is: keys of another version
JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT: a folder that leads to another one
LONGEST_TEXT = 4096  # characters of a field: a light, a viewpoint, a label
LONGEST_PATH = 1024  # characters of a path inside a folder

_T = TypeVar("_T")

# Fields of settings. JSON itself has no NaN and no infinity.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Nanoseconds = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_PATH)]

# Characters that a terminal acts on, or that make text read backwards.
CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def open_regular(path: str | Path, most: int) -> io.BufferedReader:
    """Open a file for reading if it is a regular file of at most ``most`` bytes.

    A pipe or a device would be waited for, or read, without end. Links are followed.

    Raises
    ------
    OSError
        It cannot be opened; EINVAL where it is no regular file, EFBIG where it is too large. Its
        ``strerror`` says so in words, ready for "Cannot read {path}: {strerror}.".
    """
    # Not to be waited for if it is a pipe without a writer; means nothing for regular files.
    wait = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    try:
        number = os.open(path, os.O_RDONLY | wait)
    except ValueError as error:  # a NUL or half a character in its name
        raise OSError(errno.EINVAL, f"{error}", str(path)) from error
    try:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            raise _refused(errno.EISDIR if stat.S_ISDIR(about.st_mode) else errno.EINVAL, path)
        if about.st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {_size(most)}", str(path))
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def read_regular(path: str | Path, most: int) -> bytes:
    """The bytes of a regular file of at most ``most`` bytes; errors as for `open_regular`."""
    with open_regular(path, most) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1)
        while len(data) > size and (more := file.read(1 << 20)):  # it has grown since
            data += more
            if len(data) > most:
                raise OSError(errno.EFBIG, f"it has more than {_size(most)}", str(path))
    return data


def is_regular(path: str | Path) -> bool:
    """Whether it is a regular file; False if that cannot be found out."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def parse_json(data: bytes | str, kind: type[_T] = object) -> _T:  # type: ignore[assignment]
    """JSON as typed values.

    Parameters
    ----------
    data : bytes or str
        UTF-8, with or without a byte order mark.
    kind : type
        What it must be: a ``msgspec.Struct``, a dataclass, ``dict[str, Any]``. Keys that it does
        not name are passed over.

    Raises
    ------
    ValueError
        It is no JSON, of another kind, too deep, or has numbers beyond 64 bits; in one line.

    Examples
    --------
    >>> parse_json(b'{"a": 1}', dict[str, int])
    {'a': 1}
    """
    try:
        text = data.removeprefix(b"\xef\xbb\xbf") if isinstance(data, bytes) else data
        return cast(_T, _decoder(cast(Any, kind)).decode(text))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read_json(path: str | Path, kind: type[_T] = object, most: int = MOST_SETTINGS) -> _T:  # type: ignore[assignment]
    """A file of JSON as typed values; errors as for `read_regular` and `parse_json`."""
    return parse_json(read_regular(path, most), kind)


def to_typed(values: Any, kind: type[_T]) -> _T:
    """Plain values as typed ones, as `parse_json` does it; ``ValueError`` where they do not fit.

    Examples
    --------
    >>> to_typed({"a": 1}, dict[str, int])
    {'a': 1}
    """
    try:
        return msgspec.convert(values, kind)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def settings_from(values: Any, kind: type[_T], exact: tuple[type, ...] = ()) -> _T:
    """A dataclass of settings, rebuilt from its plain values in JSON.

    Fields that are not given have their defaults; paths may be texts.

    Parameters
    ----------
    values : mapping
    kind : type
        A dataclass, perhaps with others inside. What its fields say of their values
        (`dataset.setting`) is checked.
    exact : tuple of type
        Dataclasses of which unknown keys are refused; elsewhere they are passed over.

    Raises
    ------
    ValueError
        A value is of another type or out of range; in one line.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Options:
    ...     out: Path = Path("captures")
    ...     fps: float = 5.0
    >>> settings_from({"out": "games"}, Options)  # doctest: +ELLIPSIS
    Options(out=...Path('games'), fps=5.0)
    """
    try:
        settings = msgspec.convert(values, kind, dec_hook=_to_path)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    _check_settings(settings, values, exact, "$")
    return settings


def _to_path(kind: type[Any], value: Any) -> Any:
    if kind is not Path or not isinstance(value, (str, Path)):
        raise ValueError(f"Expected a path, got `{type(value).__name__}`")
    return Path(value)


def _check_settings(settings: Any, values: Any, exact: tuple[type, ...], place: str) -> None:
    """``ValueError`` where a value is not among those that its field says it may have."""
    unknown = sorted(values.keys() - {each.name for each in fields(settings)})
    if unknown and isinstance(settings, exact):
        raise ValueError(f"Object contains unknown field `{plain(unknown[0])}` - at `{place}`")
    for each in fields(settings):
        value, about, here = getattr(settings, each.name), each.metadata, f"{place}.{each.name}"
        if is_dataclass(value):
            _check_settings(value, values.get(each.name, {}), exact, here)
        elif each.name in values and value is not None and not _fits(value, about):
            raise ValueError(f"Invalid value {plain(repr(value))} - at `{here}`")


def _fits(value: Any, about: Mapping[Any, Any]) -> bool:
    """Whether a value is among those of its field; of several values, whether each is."""
    if isinstance(value, tuple):
        return all(_fits(each, about) for each in value)
    least, most, below = (about.get(name) for name in ("least", "most", "below"))
    return (
        value in about.get("choices", (value,))
        and not (isinstance(value, int) and abs(value) >= 2**63)
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (below is None or value < below)
    )


def check_depth(values: Any, most: int = MOST_DEPTH) -> None:
    """``ValueError`` where free values are nested so deep that they cannot be written again."""
    level = [values]
    for _ in range(most):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError("it is nested too deep")


def lines_of(path: str | Path, most: int = MOST_TABLE) -> Iterator[bytes]:
    """The lines of a file with their ends; only the last one may have none.

    Raises
    ------
    OSError
        As for `open_regular`; EFBIG if a line has more than `MOST_LINE` bytes.
    """
    with open_regular(path, most) as file:
        while line := file.readline(MOST_LINE + 1):
            if len(line) > MOST_LINE:
                raise OSError(errno.EFBIG, f"a line has more than {_size(MOST_LINE)}", str(path))
            yield line


def blocks_of(path: str | Path, size: int, most: int = MOST_TABLE) -> Iterator[bytes]:
    """Blocks of lines, for files of millions of lines; errors as for `lines_of`.

    Parameters
    ----------
    path : str or Path
    size : int
        Bytes of a block, at least `MOST_LINE`.
    most : int
        Bytes of the file.

    Yields
    ------
    bytes
        Whole lines; the last block may end without a line's end.
    """
    with open_regular(path, most) as file:
        rest = b""
        while data := file.read(size):
            end = data.rfind(b"\n") + 1
            if len(rest) + (end or len(data)) > size + MOST_LINE:
                raise OSError(errno.EFBIG, f"a line has more than {_size(MOST_LINE)}", str(path))
            if end:
                yield rest + data[:end]
                rest = data[end:]
            else:
                rest += data
        if rest:
            yield rest


def plain(text: object) -> str:
    """Text that is safe to show on a terminal: control characters become escapes.

    Examples
    --------
    >>> plain("a\\x1b[2Jb"), plain("서울.png")
    ('a\\\\x1b[2Jb', '서울.png')
    """
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def is_link(path: str | Path) -> bool:
    """Whether a path is a symbolic link, or a junction of Windows; not a file of its cloud."""
    try:
        about = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISLNK(about.st_mode) or getattr(about, "st_reparse_tag", 0) == JUNCTION


def refuse_links(path: Path, what: str) -> None:
    """``UserError`` if something of ours is a link, which may lead to somebody else's files."""
    if is_link(path):
        raise UserError(
            f"{path}, {what}, is a link to another place, which is not touched. Put a real one in "
            "its place, or remove it."
        )


def _refused(number: int, path: str | Path) -> OSError:
    words = {errno.EISDIR: "it is a folder", errno.EINVAL: "it is no regular file"}
    return OSError(number, words[number], str(path))


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
