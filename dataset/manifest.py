"""The record of one capture session on disk: ``session.json`` and ``frames.jsonl``.

A session is a folder ``captures/<session>/``. Its frames lie in ``frames/NNNNNN.png``; each has
one line in ``frames.jsonl``, appended after the file was renamed into place, so every line
points to a whole file. What a player took back afterwards stands in ``amendments.jsonl``, and
readers see it applied. Nothing here reads pixels, nothing here decides a label.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from dataset.errors import UserError

FRAMES_FILE = "frames.jsonl"
AMENDMENTS_FILE = "amendments.jsonl"
SESSION_FILE = "session.json"
SPOOL = "spool"  # folder of a session whose frames are still to become PNG
JOURNAL = "journal.jsonl"  # in it: a line for each of them


@dataclass(frozen=True)
class Frame:
    """One line of ``frames.jsonl``."""

    index: int  # running number in the session, from 0
    file: str  # path relative to the session folder, with forward slashes
    width: int  # pixels
    height: int  # pixels
    wall_ns: int  # time.time_ns() at the grab
    monotonic_ns: int  # time.monotonic_ns() at the grab: intervals come from this one
    missed_before: int = 0  # intervals skipped between the frame before and this one
    duplicates_before: int = 0  # intervals whose picture was that of the frame before: no file
    snap: bool = False  # asked for by itself, between the intervals
    duplicate_of: int | None = None  # index of a near-identical earlier frame
    label: str | None = None  # "X" or "Y" when the player said so
    light: str | None = None  # free text: state of the light source
    viewpoint: str | None = None  # frames of one viewpoint differ in their light only
    sha256: str | None = None  # of the file's bytes
    phash: str | None = None  # perceptual hash, hexadecimal
    extra: dict[str, Any] = field(default_factory=dict)  # keys that this version does not know

    def to_json(self) -> str:
        """The line without its end; unknown keys are written back as they were read."""
        values = asdict(self)
        values.update(values.pop("extra"))
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Frame:
        """Parse one line. ``ValueError`` if it is not an object with the required keys."""
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        extra = {key: values.pop(key) for key in values.keys() - KNOWN_KEYS}
        try:
            return cls(**values, extra=extra)
        except TypeError as error:
            raise ValueError(str(error)) from error


KNOWN_KEYS = frozenset(each.name for each in fields(Frame)) - {"extra"}


class ManifestWriter:
    """Writes the ``frames.jsonl`` of a session, one flushed line a frame. Not thread-safe.

    A manifest belongs to one recording: ``FileExistsError`` where there is one already, unless
    ``resume`` says to go on with it.
    """

    def __init__(self, session: str | Path, name: str = FRAMES_FILE, resume: bool = False) -> None:
        self.path = Path(session) / name
        self._file = open(self.path, "ab" if resume else "xb")  # noqa: SIM115 - closed by close()

    def append(self, frame: Frame) -> None:
        """Write one frame's line and hand it to the operating system at once."""
        self._file.write(frame.to_json().encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_frames(session: str | Path) -> Iterator[Frame]:
    """Yield the frames of a session in order, with amendments applied.

    A cut-off last line (kill -9, full disk) is passed over: its frame was never recorded whole.

    Raises
    ------
    UserError
        There is no manifest, a line that is not the last cannot be parsed, or the recording
        was not turned into PNG yet.
    """
    session = Path(session)
    if (session / SPOOL).is_dir():
        raise UserError(
            f"{session} holds frames that are not PNG yet: it is still being recorded, or was cut "
            f"off. Once it has ended, run: cli capture repair {session}",
            1,
        )
    amended = _read_amendments(session)
    for frame in read_lines(session):
        for first, end, label in amended:
            if first <= frame.index < end:
                frame = replace(frame, label=label)
        yield frame


def read_lines(folder: str | Path, name: str = FRAMES_FILE) -> Iterator[Frame]:
    """Yield the lines of a manifest as they stand there; errors as of `read_frames`."""
    path = Path(folder) / name
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{folder} is no capture session: cannot read {path.name}.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield Frame.from_json(line.decode())
        except ValueError as error:
            if number == len(lines):
                return
            raise UserError(
                f"{path}, line {number} is damaged ({error}). Remove that line."
            ) from error


def cut_tail(folder: str | Path, name: str = FRAMES_FILE) -> int:
    """Remove what stands behind the last whole line, so that lines can be appended; its bytes."""
    with open(Path(folder) / name, "r+b") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        file.truncate(whole)
    return len(data) - whole


def amend_labels(session: str | Path, first: int, end: int, label: str | None) -> None:
    """Note that the frames with ``first <= index < end`` have this label after all."""
    line = json.dumps({"first": first, "end": end, "label": label})
    with open(Path(session) / AMENDMENTS_FILE, "ab") as file:
        file.write(line.encode() + b"\n")


def _read_amendments(session: Path) -> list[tuple[int, int, str | None]]:
    try:
        lines = (session / AMENDMENTS_FILE).read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):  # a line cut off by a crash
            values = json.loads(line)
            found.append((int(values["first"]), int(values["end"]), values["label"]))
    return found


def write_session(session: str | Path, settings: dict[str, Any]) -> None:
    """Write ``session.json``, renamed into place."""
    path = Path(session) / SESSION_FILE
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(aside, path)


def read_session(session: str | Path) -> dict[str, Any]:
    """The settings in ``session.json``; empty when there are none."""
    try:
        values = json.loads((Path(session) / SESSION_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def find_sessions(captures: str | Path) -> list[Path]:
    """All session folders directly under ``captures`` (or ``captures`` itself), by name.

    Raises
    ------
    UserError
        The folder is missing or holds no session.
    """
    root = Path(captures)
    if (root / FRAMES_FILE).is_file():
        return [root]
    found = sorted(path.parent for path in root.glob(f"*/{FRAMES_FILE}"))
    if not found:
        raise UserError(
            f"No recorded frames under {root}. Record some with `cli capture --hotkey`, or bring "
            "in screenshots with `cli import FOLDER`."
        )
    return found
