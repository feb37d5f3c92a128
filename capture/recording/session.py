"""The folder of one recording and its ``session.json``."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from capture.clock import now_s
from capture.options import CaptureOptions
from dataset.errors import UserError
from dataset.files import Held, write_whole
from dataset.gate import CONTROLS, LONGEST_TEXT, plain
from dataset.labelling.hud_mask import read_mask
from dataset.names import check_name
from dataset.sessions.manifest import HUD_MASK, SESSION_FILE, write_session

SESSION_FORMAT = 1  # raised when older readers would misunderstand it
FINISH_S = 10.0  # how long a file that another program holds is waited for at the end


class Session:
    """A new session folder with an empty ``frames/``.

    Parameters
    ----------
    options : CaptureOptions
    screen : dict
        What is recorded and through what.
    claim : callable
        Called with the folder before anything is written to it, to take its lock.

    Raises
    ------
    UserError
        The name is taken or not a file name, or the folder cannot be created.
    """

    def __init__(
        self, options: CaptureOptions, screen: dict[str, Any], claim: Callable[[Path], object]
    ) -> None:
        mask = None if options.hud_mask is None else read_mask(options.hud_mask)[1]
        self.path = create_session(options.out, options.session)
        claim(self.path)
        self._facts: dict[str, Any] = {
            "format": SESSION_FORMAT,
            "session": self.path.name,
            "state": "recording",
            "started": _now(),
            "ended": None,
            "reason": None,
            "machine": {
                "system": platform.platform(),
                "processor": platform.processor() or platform.machine(),
                "python": platform.python_version(),
            },
            "screen": screen,
            "options": {
                key: plain(value) if isinstance(value, Path) else value
                for key, value in asdict(options).items()
            },
        }
        if mask is not None:
            write_whole(self.path / HUD_MASK, mask)
            self._facts["hud_mask"] = HUD_MASK
        self._write()

    def note(self, **facts: Any) -> None:
        """Add facts to the file; if another program holds it, with the next ones or at the end."""
        self._facts.update(facts)
        with suppress(Held):
            self._write()

    def finish(self, reason: str, counts: dict[str, Any], **facts: Any) -> None:
        """Note when and why it ended, its counts, and further facts.

        Raises
        ------
        Held
            Another program has held the file for `FINISH_S`; what a repair does about it.
        """
        self._facts.update(facts, state="ended", ended=_now(), reason=reason, counts=counts)
        end = now_s() + FINISH_S
        while True:
            try:
                return self._write()
            except Held as error:
                if now_s() >= end:
                    raise Held(
                        f"All {counts['lines']} frames are whole, but the end could not be noted "
                        f"in {self.path / SESSION_FILE}: a player, an editor, a virus scanner or a "
                        f"backup may have it open. Close that, then run: cli capture repair "
                        f"{self.path}",
                        1,
                    ) from error

    def _write(self) -> None:
        write_session(self.path, self._facts)


def create_session(out: Path, name: str | None) -> Path:
    """Create ``out/<name>/frames``; without a name: date and time, made unique.

    Raises
    ------
    UserError
        The name is taken or not a file name, or the folder cannot be created.
    """
    if name is not None:
        check_name(name, "a session")
    stem = name or time.strftime("%Y%m%d-%H%M%S")
    number = 1
    while True:
        path = out / (stem if number == 1 else f"{stem}-{number}")
        try:
            (path / "frames").parent.mkdir(parents=True)
            (path / "frames").mkdir()
            return path
        except FileExistsError as error:
            if name is not None or not path.is_dir():
                raise UserError(
                    f"{path} exists already. Choose another name, or remove it first."
                ) from error
            number += 1
        except OSError as error:
            raise UserError(f"Cannot make {path}: {error.strerror}.") from error


def check_options(options: CaptureOptions) -> None:
    """``UserError`` if an option makes no sense or the disk is full already."""
    check_texts(options)
    if not 0 < options.fps <= 1000:
        raise UserError(f"--fps must be over 0 and at most 1000, not {options.fps:g}.")
    if options.size is not None and min(options.size) < 1:
        raise UserError("--size must be at least 1x1.")
    for each in fields(options):
        value, choices = getattr(options, each.name), each.metadata.get("choices")
        if choices and value is not None and value not in choices:
            raise UserError(f"--{each.name} must be one of {', '.join(choices)}, not {value!r}.")
    if options.hud_mask is not None:
        read_mask(options.hud_mask)  # says itself what is wrong
    out = options.out.absolute()
    there = next(each for each in (out, *out.parents) if os.path.exists(each))
    if shutil.disk_usage(there).free < options.disk_floor_bytes:
        raise UserError(
            f"{low_disk(options)} Make room there, or record to another disk with --out.", 1
        )


def check_texts(options: Any) -> None:
    """``UserError`` if a text among the options cannot be stored as it is.

    Parameters
    ----------
    options : dataclass
        Its fields are named like the options of the command line.
    """
    for each in fields(options):
        value = getattr(options, each.name)
        if isinstance(value, str) and (len(value) > LONGEST_TEXT or CONTROLS.search(value)):
            raise UserError(
                f"--{each.name.replace('_', '-')} is too long, or has control characters or bytes "
                f"in another encoding than the terminal's: {plain(value[:80])!r}. Type it again."
            )


def low_disk(options: CaptureOptions, reserve_bytes: int = 0) -> str:
    """The message when the disk floor is reached, now or by what is still to be written."""
    where = f"{options.disk_floor_bytes / 1e9:g} GB are free on the disk of {options.out}."
    if reserve_bytes:
        to_come = f"{reserve_bytes / 1e9:.2g} GB"
        return f"Once all frames are PNG ({to_come} to come), less than {where}"
    return f"Less than {where}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
