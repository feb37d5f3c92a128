"""One recorder as a process: its lock, screen, keys, control channel and log.

In the foreground, or in a process of its own that outlives the terminal. What is recorded and
when is decided in ``recorder.py``.
"""

from __future__ import annotations

import io
import json
import logging
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, fields, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from capture.commands import Command, Commands, Reply
from capture.control.channel import control_channel, tell
from capture.control.hotkeys import Hotkeys, keys_of
from capture.doctor.doctor import warnings_at_start
from capture.locks import only_recorder, read_place
from capture.options import CaptureOptions
from capture.recording.loop import obey, record
from capture.recording.recorder import Recorder
from capture.recording.session import check_texts
from capture.recording.spool_to_png import Development
from capture.screens.mss import open_screen
from capture.signals import signals_into
from capture.status import Status, Summary, while_heard
from dataset import gate
from dataset.errors import UserError
from dataset.files import open_to_append
from dataset.sessions.manifest import SPOOL

LOG = logging.getLogger("unclip.capture")
LOG_FILE = "recorder.log"  # in the folder of sessions
LOG_BYTES, LOG_FILES = 1 << 20, 3  # a log of before is kept so often
TOO_LATE: Reply = {"ok": False, "error": "The recording has ended."}
LOG_MOST = 64 << 20  # bytes of a log that is read for its last words
START_S = 20.0  # longest wait for a recorder in the background to answer

OnStatus = Callable[[Status], None]
OnProgress = Callable[[int, int], None]


def run_capture(
    options: CaptureOptions,
    on_status: OnStatus | None = None,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Record one session until a key, a command, a limit, a signal or a closed terminal ends it.

    Parameters
    ----------
    options : CaptureOptions
    on_status : callable
        Told the status a few times a second, until that fails: recording goes on.
    on_progress : callable
        Called with (done, total) frames while a lossless video becomes PNG.

    Raises
    ------
    UserError
        Another recorder has the folder, there is nothing to record, or frames cannot be written;
        whatever was recorded before is whole.
    """
    if not (options.hotkey or options.start or options.background):
        raise UserError(
            "Say how recording begins: `cli capture --hotkey` waits for a key "
            f"({options.key_record}), `cli capture --start` begins at once."
        )
    with running(options) as commands, ExitStack() as held:
        with ExitStack() as stack:
            screen = stack.enter_context(open_screen(options))
            watch = None
            if options.hotkey:
                watch = stack.enter_context(Hotkeys(commands, keys_of(options))).watch
            # The session's lock outlasts the recorder: its frames are still to become PNG.
            recorder = stack.enter_context(Recorder(options, screen, held))
            if options.start:
                recorder.start()
            try:
                record(recorder, commands, on_status, watch)
            except KeyboardInterrupt:  # where no handler can be set, as outside the main thread
                obey(recorder, Command("interrupt"))
            summary = recorder.close()
        return developed(summary, options, commands, on_progress)


@contextmanager
def running(options: CaptureOptions) -> Iterator[Commands]:
    """Everything around a recorder: lock, log, control channel, signals.

    Yields
    ------
    queue of Command
        What keys, clients and signals want.
    """
    commands: Commands = queue.SimpleQueue()
    with ExitStack() as stack:
        stack.enter_context(only_recorder(options.out))
        stack.enter_context(_log_to(options.out / LOG_FILE))
        for finding in warnings_at_start(options):
            LOG.warning("%s: %s %s", finding.name, finding.message, finding.remedy or "")
        stack.enter_context(control_channel(options.out, commands))
        stack.callback(_turn_away, commands)
        stack.enter_context(signals_into(commands))
        yield commands


def developed(
    summary: Summary,
    options: CaptureOptions,
    commands: Commands,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Turn the session's lossless video into PNG, if it has one; a stop leaves the rest for later.

    Raises
    ------
    UserError
        The disk is full; nothing is lost.
    """
    if not (summary.session / SPOOL).is_dir():
        return summary
    if not options.develop:
        return replace(summary, undeveloped=summary.frames)
    LOG.info("%s: frames become PNG", summary.session.name)
    with signals_into(commands):
        development = Development(
            summary.session,
            options.disk_floor_bytes,
            while_heard(on_progress or (lambda done, total: None)),
            stop=lambda: _asked_to_stop(commands),
        )
        return replace(summary, undeveloped=development.run())


def _asked_to_stop(commands: Commands) -> bool:
    """Answer everybody while frames become PNG; whether one of them wants it stopped."""
    stop = False
    while (command := _next(commands)) is not None:
        stop |= command.name in ("stop", "interrupt")
        if command.reply is not None:
            done = command.name in ("stop", "status")
            answer: Reply = {"ok": True, "status": {"state": "developing"}}
            command.reply.set_result(answer if done else TOO_LATE)
    return stop


def start_in_background(options: CaptureOptions) -> dict[str, Any]:
    """Start a recorder that outlives this process; its status once it answers.

    Raises
    ------
    UserError
        It ended at once: with the reason that it gave.
    """
    check_texts(options)
    with only_recorder(options.out):
        pass  # a second recorder is refused here, where somebody can read why
    with _open_log(options.out / LOG_FILE) as log:
        said_before = log.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            [sys.executable, "-m", "capture.control.daemon", _written(options)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
            **_detached(),
        )
    end = time.monotonic() + START_S
    while time.monotonic() < end and child.poll() is None:
        place = read_place(options.out)
        if place is not None and place.pid == child.pid:
            with suppress(UserError):  # it may be about to end, and say why
                return dict(tell(place, "status")["status"])
        time.sleep(0.05)
    child.kill()
    child.wait()
    raise UserError(_last_words(options.out / LOG_FILE, said_before), 1)


def main(arguments: list[str]) -> int:
    """The process in the background: record by the settings given as JSON; its exit code."""
    code = 0
    try:
        said, to = str(run_capture(_read_options(arguments[0]))), sys.stdout
    except UserError as error:
        said, to, code = f"Error: {error}", sys.stderr, error.exit_code
    with suppress(OSError, UnicodeError):  # the log's disk is full: the session is whole
        print(said, file=to, flush=True)
    return code


def _written(options: CaptureOptions) -> str:
    """Settings as JSON. Paths need not be UTF-8, and are written as in addresses."""
    return json.dumps(
        {
            key: quote_from_bytes(os.fsencode(value)) if isinstance(value, Path) else value
            for key, value in asdict(options).items()
        }
    )


def _read_options(text: str) -> CaptureOptions:
    """What `_written` wrote; ``UserError`` where it is something else."""
    kinds = get_type_hints(CaptureOptions)
    paths = {name for name, kind in kinds.items() if kind in (Path, Path | None)}
    kinds.update(dict.fromkeys(paths, str | None))
    settings = msgspec.defstruct(
        "Settings", [(each.name, kinds[each.name]) for each in fields(CaptureOptions)]
    )
    try:
        values = msgspec.structs.asdict(gate.parse_json(text, settings))
    except ValueError as error:
        raise UserError(f"These are no settings of a recording: {error}.") from error
    for name in paths:
        if values[name] is not None:
            values[name] = Path(os.fsdecode(unquote_to_bytes(values[name])))
    return CaptureOptions(**values)


def _environment() -> dict[str, str]:
    """Ours, and where this program was loaded from: a clone may not be installed."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _detached() -> dict[str, Any]:
    """How a process is started that a closed terminal does not end."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
        return {"creationflags": flags}
    return {"start_new_session": True}


def _last_words(log: Path, said_before: int) -> str:
    """The error with which a recorder ended, behind so many bytes of its log."""
    try:
        said = gate.read_regular(log, LOG_MOST)[said_before:].decode("utf-8", "replace")
    except OSError as error:
        return f"The recorder did not start, and {log} cannot be read: {error.strerror}."
    _, found, words = said.rpartition("Error: ")
    return words.strip() if found else f"The recorder did not start; see {log}."


class _Log(RotatingFileHandler):
    """A log that is written through no link, and whose full disk is no fault of a recording."""

    def _open(self) -> io.TextIOWrapper:
        return open_to_append(self.baseFilename, text=True)  # type: ignore[return-value]

    def handleError(self, record: logging.LogRecord) -> None:
        """What cannot be logged is left out."""


def _open_log(path: Path) -> Any:
    gate.refuse_links(path, "the recorders' log")
    try:
        return open_to_append(path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.", 1) from error


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Append what recorders do to a file that is renamed away when it has grown."""
    _open_log(path).close()  # says why it cannot be opened
    handler = _Log(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.setLevel(level)
        LOG.removeHandler(handler)
        with suppress(OSError):  # what a full disk has no room for
            handler.close()


def _turn_away(commands: Commands) -> None:
    """Answer what was asked too late."""
    while (command := _next(commands)) is not None:
        if command.reply is not None:
            command.reply.set_result(TOO_LATE)


def _next(commands: Commands) -> Command | None:
    try:
        return commands.get_nowait()
    except queue.Empty:
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
