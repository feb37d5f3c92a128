"""The manifest of a capture session: ``session.json`` and ``frames.jsonl``.

A session is a folder ``captures/<session>/``. Its frames are ``frames/NNNNNN.png``; each has one
line in ``frames.jsonl``, appended after the file was renamed into place, so every line points to
a complete file. Labels that the player changed afterwards are in ``amendments.jsonl``; readers
apply them. Nothing here reads pixels or decides a label.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from dataset import gate
from dataset.errors import UserError
from dataset.files import cut_file, open_to_append, write_whole
from dataset.gate import Count, Nanoseconds, Text
from dataset.paths import check_path, regular_names

FRAMES_FILE = "frames.jsonl"
AMENDMENTS_FILE = "amendments.jsonl"
SESSION_FILE = "session.json"
HUD_MASK = "hud_mask.png"  # in a session's folder: white where statistics ignore pixels
SHOTS = "shots"  # folder of a session: the light of single frames, NNNNNN.jxr
SPOOL = "spool"  # folder of a session whose frames are still to become PNG
SPOOL_JOURNAL = "journal.jsonl"  # in it: a line for each of them

FrameKey = tuple[str, str]  # session, file
Digest = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z]{0,64}$")]
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{0,16}$")]


@dataclass(frozen=True)
class Frame:
    """One line of ``frames.jsonl``."""

    index: Count  # running number in the session, from 0
    file: str  # path relative to the session folder, with forward slashes
    width: Count  # pixels
    height: Count  # pixels
    wall_ns: Nanoseconds  # time.time_ns() at the grab
    monotonic_ns: Nanoseconds  # a clock that is never set back: intervals come from this one
    missed_before: Count = 0  # intervals skipped between the frame before and this one
    duplicates_before: Count = 0  # intervals whose picture was that of the frame before: no file
    snap: bool = False  # asked for by itself, between the intervals
    duplicate_of: Count | None = None  # index of a near-identical earlier frame
    label: Text | None = None  # "X" or "Y" when the player said so
    light: Text | None = None  # free text: state of the light source
    viewpoint: Text | None = None  # frames of one viewpoint differ in their light only
    sha256: Digest | None = None  # of the file's bytes
    phash: Hash | None = None  # perceptual hash, hexadecimal
    picture_ns: Nanoseconds | None = None  # when the desktop took it, on the clock of monotonic_ns
    extra: dict[str, Any] = field(default_factory=dict)  # keys that this version does not know

    def to_json(self) -> str:
        """The line without its end; unknown keys are written back as they were read."""
        values = asdict(self)
        values.update(values.pop("extra"))
        if self.picture_ns is None:  # only some desktops say so
            del values["picture_ns"]
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str | bytes, name: str = FRAMES_FILE) -> Frame:
        """Parse one line of a file of this name.

        Raises
        ------
        ValueError
            It is no object with the required keys, a value is of another type or out of range, or
            the file that it names is outside the session.
        """
        values = gate.parse_json(line, dict[str, Any])
        extra = {key: values.pop(key) for key in values.keys() - KNOWN_KEYS}
        gate.check_depth(extra)
        frame = gate.to_typed(values, cls)
        if frame.file or name != SPOOL_JOURNAL:  # those of the journal have no file yet
            check_path(frame.file)
        return replace(frame, extra=extra)


KNOWN_KEYS = frozenset(each.name for each in fields(Frame)) - {"extra"}


class ManifestWriter:
    """Writes the ``frames.jsonl`` of a session, one flushed line per frame. Not thread-safe.

    ``FileExistsError`` if the manifest exists, unless ``resume`` continues it.
    """

    def __init__(self, session: str | Path, name: str = FRAMES_FILE, resume: bool = False) -> None:
        self.path = Path(session) / name
        self._file = open_to_append(self.path, new=not resume)

    def append(self, frame: Frame) -> None:
        """Write and flush one frame's line."""
        # Half a character, as file names may have, is no UTF-8.
        self._file.write(frame.to_json().encode(errors="replace") + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_frames(session: str | Path) -> Iterator[Frame]:
    """Yield the frames of a session in order, with amendments applied.

    A cut-off last line (kill -9, full disk) is skipped: its frame was never fully recorded.

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
    """Yield the lines of a manifest without amendments; errors as for `read_frames`."""
    path = Path(folder) / name
    try:
        for number, line in enumerate(gate.lines_of(path), start=1):
            try:
                if not line.isspace():
                    yield Frame.from_json(line, name)
            except ValueError as error:
                if not line.endswith(b"\n"):  # cut off by a crash
                    return
                raise _damaged(path, number, error) from error
    except OSError as error:
        raise UserError(
            f"{folder} is no capture session: cannot read {path.name} ({error.strerror})."
        ) from error


def _damaged(path: Path, number: int, error: ValueError) -> UserError:
    return UserError(f"{path}, line {number} is damaged ({error}). Remove that line.")


def files_exist(session: str | Path, names: Sequence[str]) -> list[bool]:
    """Whether each file of a manifest exists: a regular file in the session's own folder.

    Each folder is listed once; asking for a million files one by one is slow.
    """
    listed: dict[str, set[str]] = {}
    found = []
    for file in names:
        inside, name = os.path.split(os.path.join(session, file))
        if inside not in listed:
            listed[inside] = regular_names(inside, session)
        found.append(name in listed[inside])
    return found


def cut_tail(folder: str | Path, name: str = FRAMES_FILE) -> int:
    """Remove an incomplete last line, so that lines can be appended; returns its bytes.

    Raises
    ------
    UserError
        The file cannot be read or written, or is a link.
    """
    path = Path(folder) / name
    try:
        data = gate.read_regular(path, gate.MOST_TABLE)
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            cut_file(path, whole)
    except OSError as error:
        raise UserError(f"Cannot mend {path}: {error.strerror}.", 1) from error
    return len(data) - whole


@dataclass(frozen=True)
class _Amendment:
    """One line of ``amendments.jsonl``."""

    first: Count
    end: Count
    label: Text | None


def amend_labels(session: str | Path, first: int, end: int, label: str | None) -> None:
    """Change the label of the frames with ``first <= index < end``."""
    line = json.dumps({"first": first, "end": end, "label": label})
    path = Path(session) / AMENDMENTS_FILE
    try:
        with open_to_append(path) as file:
            file.write(line.encode() + b"\n")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.", 1) from error


def _read_amendments(session: Path) -> list[tuple[int, int, str | None]]:
    path, found = session / AMENDMENTS_FILE, []
    try:
        for number, line in enumerate(gate.lines_of(path), start=1):
            try:
                values = gate.parse_json(line, _Amendment)
            except ValueError as error:
                if not line.endswith(b"\n"):  # cut off by a crash
                    break
                raise _damaged(path, number, error) from error
            found.append((values.first, values.end, values.label))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    return found


def write_session(session: str | Path, settings: dict[str, Any]) -> None:
    """Write ``session.json`` atomically; ``UserError`` if that fails."""
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    write_whole(Path(session) / SESSION_FILE, text.encode(errors="replace"))


def read_session(session: str | Path) -> dict[str, Any]:
    """The settings in ``session.json``; empty if there are none.

    Raises
    ------
    UserError
        The file is there and cannot be read, or is damaged.
    """
    path = Path(session) / SESSION_FILE
    try:
        return gate.read_json(path, dict[str, Any])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}). Mend it, or remove it.") from error


def find_sessions(captures: str | Path) -> list[Path]:
    """All session folders directly under ``captures`` (or ``captures`` itself), by name.

    Raises
    ------
    UserError
        The folder is missing or holds no session.
    """
    root = Path(captures)
    if gate.is_regular(root / FRAMES_FILE):
        return [root]
    found = sorted(path.parent for path in root.glob(f"*/{FRAMES_FILE}"))
    found = [each for each in found if not each.name.startswith(".")]  # one that is being made
    if not found:
        raise UserError(
            f"No recorded frames under {root}. Record some with `cli capture --hotkey`, or bring "
            "in screenshots with `cli import FOLDER`."
        )
    return found
