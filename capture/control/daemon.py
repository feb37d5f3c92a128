"""A recorder as a process: its lock, screen, keys, control channel and log.

It runs in the foreground, or in a process of its own that outlives the terminal. What is recorded,
and when, is up to ``recorder.py``.
"""

from __future__ import annotations

import io
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from itertools import pairwise
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, BinaryIO

from capture import children
from capture.commands import Command, CommandQueue, Reply
from capture.control.channel import ANSWER_BYTES, Answer, control_channel, encode_line
from capture.control.endpoints import lock_recordings
from capture.control.global_keys import GlobalKeys, global_keys
from capture.control.keys import keys_of
from capture.options import CaptureOptions
from capture.recording.loop import handle_command, record
from capture.recording.recorder import Recorder
from capture.recording.session import check_texts
from capture.recording.spool_to_png import SpoolToPng
from capture.screens.mss import open_screen
from capture.signals import signals_into
from capture.status import LOG, Status, Summary, while_heard
from dataset import gate
from dataset.errors import UserError
from dataset.files import move_over, open_to_append
from dataset.own_program import module_command
from dataset.sessions.manifest import SPOOL

RECORDER_LOG = "recorder.log"  # in the folder of sessions
LOG_BYTES, LOG_FILES = 1 << 20, 3  # size of a log, and how many older ones are kept
TOO_EARLY: Reply = {"ok": False, "error": "The desktop asks you first what may be recorded."}
TOO_LATE: Reply = {"ok": False, "error": "The recording has ended."}
RECORDER_START_S = 300.0  # longest wait for a recorder that lives: a busy disk, two dialogs

OnStatus = Callable[[Status], None]
OnProgress = Callable[[int, int], None]


def run_capture(
    options: CaptureOptions,
    on_status: OnStatus | None = None,
    on_progress: OnProgress | None = None,
    warnings: Sequence[str] = (),
) -> Summary:
    """Record one session until a key, a command, a limit, a signal or a closed terminal ends it.

    Parameters
    ----------
    options : CaptureOptions
    on_status : callable
        Called with the status a few times per second; recording goes on if it fails.
    on_progress : callable
        Called with (done, total) frames while a lossless video is converted to PNG.
    warnings : sequence of str
        For the log: what was found before the start.

    Raises
    ------
    UserError
        Another recorder has the folder, there is nothing to record, or frames cannot be written.
        Everything recorded before is whole.
    """
    if not (options.hotkey or options.start or options.background):
        raise UserError(
            "Say how recording begins: `cli capture --hotkey` waits for a key "
            f"({options.key_record}), `cli capture --start` begins at once."
        )
    with running(options, warnings) as commands, ExitStack() as held:
        with ExitStack() as stack:
            screen = stack.enter_context(
                open_screen(options, lambda: asked_to_stop(commands, "asking", TOO_EARLY))
            )
            keys = None
            if options.hotkey:
                keys = stack.enter_context(global_keys(commands, keys_of(options)))
            # The session's lock outlasts the recorder: its frames may still have to become PNG.
            recorder = stack.enter_context(Recorder(options, screen, held))
            if options.start:
                recorder.start()
            try:
                record(recorder, commands, on_status, _looking_after(keys, recorder))
            except KeyboardInterrupt:  # where no handler can be set, as outside the main thread
                handle_command(recorder, Command("interrupt"))
            summary = recorder.close()
        return _convert_spool(summary, options, commands, on_progress)


def _looking_after(keys: GlobalKeys | None, recorder: Recorder) -> Callable[[], None] | None:
    """What restarts dead keys, and tells the player about them."""
    if keys is None:
        return None

    def watch() -> None:
        keys.watch()
        recorder.notice = keys.news() or recorder.notice

    return watch


@contextmanager
def running(options: CaptureOptions, warnings: Sequence[str] = ()) -> Iterator[CommandQueue]:
    """Everything around a recorder: lock, log, control channel, signals.

    Yields
    ------
    queue of Command
        The commands of keys, clients and signals.
    """
    commands: CommandQueue = queue.SimpleQueue()
    with ExitStack() as stack:
        stack.enter_context(lock_recordings(options.out))
        stack.enter_context(_log_to(options.out / RECORDER_LOG))
        for warning in warnings:
            LOG.warning("%s", warning)
        stack.enter_context(control_channel(options.out, commands))
        stack.callback(_reject_all, commands)
        stack.enter_context(signals_into(commands))
        yield commands


def _convert_spool(
    summary: Summary,
    options: CaptureOptions,
    commands: CommandQueue,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Convert the session's lossless video to PNG, if it has one; a stop leaves the rest.

    Raises
    ------
    UserError
        The disk is full; nothing is lost.
    """
    if not (summary.session / SPOOL).is_dir():
        return summary
    if not options.spool_to_png:
        return replace(summary, undeveloped=summary.frames)
    LOG.info("%s: frames become PNG", summary.session.name)
    with signals_into(commands):
        conversion = SpoolToPng(
            summary.session,
            options.disk_floor_bytes,
            while_heard(on_progress or (lambda done, total: None)),
            stop=lambda: asked_to_stop(commands, "developing", TOO_LATE),
        )
        return replace(summary, undeveloped=conversion.run())


def asked_to_stop(commands: CommandQueue, state: str, others: Reply) -> bool:
    """Answer all commands while there is no recording; whether one of them was to stop.

    Parameters
    ----------
    commands : queue of Command
    state : str
        What those are told that ask for the status.
    others : dict
        The reply to all others.
    """
    stop = False
    while (command := _next(commands)) is not None:
        stop |= command.name in ("stop", "interrupt")
        if command.reply is not None:
            known = command.name in ("stop", "status")
            answer: Reply = {"ok": True, "status": {"state": state}}
            command.reply.set_result(answer if known else others)
    return stop


def start_in_background(options: CaptureOptions, warnings: Sequence[str] = ()) -> dict[str, Any]:
    """Start a recorder that outlives this process; its first status.

    Raises
    ------
    UserError
        It ended at once, with the reason that it gave; or it does not start, and was ended.
    """
    check_texts(options)
    with lock_recordings(options.out):
        pass  # a second recorder is refused here, where somebody can read why
    log = options.out / RECORDER_LOG
    with _open_log(log) as stderr:
        child = children.start(
            module_command("capture.control.daemon", _to_json(options), *warnings),
            _environment(),
            outlives=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    limit = threading.Timer(RECORDER_START_S, child.kill)
    limit.start()
    assert child.stdout is not None
    try:
        with child.stdout:
            answer = gate.parse_json(child.stdout.readline(ANSWER_BYTES), Answer)
    except ValueError:  # it was killed, or ended with a traceback, which is in its log
        answer = Answer(error=f"The recorder did not start; see {log}.")
    finally:
        limit.cancel()
    if not answer.ok:
        child.kill()
        child.wait()
        raise UserError(answer.error, 1)
    return answer.status


def main(arguments: list[str], starter: BinaryIO | None = None) -> int:
    """The process in the background; its exit code.

    Parameters
    ----------
    arguments : list of str
        The settings as JSON, then the warnings for the log.
    starter : binary file
        Where the process that started this one reads one `Answer`: the first status, or the error.
    """

    def answer(values: Reply) -> None:
        if starter is not None:
            with starter:  # once: later calls find it closed
                starter.write(encode_line(values))

    def answer_status(status: Status) -> None:
        answer({"ok": True, "status": status.as_dict()})

    fault: UserError | None = None
    try:
        said = str(run_capture(_from_json(arguments[0]), answer_status, warnings=arguments[1:]))
    except UserError as error:
        said, fault = f"Error: {error}", error
    with suppress(OSError, UnicodeError):  # the log's disk is full: the session is whole
        print(said, file=sys.stderr, flush=True)
    if fault is None:
        return 0
    with suppress(OSError, ValueError):  # nobody waits for it any more
        answer({"ok": False, "error": str(fault)})
    return fault.exit_code


def _to_json(options: CaptureOptions) -> str:
    return json.dumps(asdict(options), default=os.fspath)


def _from_json(text: str) -> CaptureOptions:
    """What `_to_json` wrote; ``UserError`` where it is something else."""
    try:
        values = json.loads(text)  # not msgspec: paths need not be UTF-8
        options = gate.settings_from(values, CaptureOptions)
        if values.keys() != asdict(options).keys():
            raise ValueError("some are missing")
    except (ValueError, RecursionError) as error:
        raise UserError(f"These are no settings of a recording: {error}.") from error
    return options


def _environment() -> dict[str, str]:
    """Ours, and where this program was loaded from: a clone need not be installed."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


class _Log(RotatingFileHandler):
    """A log that follows no link, and whose full disk does not end a recording.

    What a process in the background prints is in it, and moves on with it.
    """

    def _open(self) -> io.TextIOWrapper:
        log = open_to_append(self.baseFilename, text=True, movable=True)
        return log  # type: ignore[return-value]

    def doRollover(self) -> None:
        """Begin a new file; while another program holds this one, it grows on."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        log = Path(self.baseFilename)
        names = [log, *(log.with_name(f"{log.name}.{n}") for n in range(1, self.backupCount + 1))]
        free = next((n for n, each in enumerate(names) if not os.path.lexists(each)), len(names))
        with _following(log), suppress(OSError):
            for newer, older in reversed(list(pairwise(names[: free + 1]))):
                move_over(newer, older, wait_s=0)  # no frame waits for it

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop what cannot be logged."""


@contextmanager
def _following(log: Path) -> Iterator[None]:
    """Standard output and error that went to a log go to the file of its name afterwards."""
    numbers = [each for each in (1, 2) if _is_open_at(each, log)]
    try:
        yield
    finally:
        with suppress(OSError), open_to_append(log, movable=True) as file:
            for each in numbers:
                os.dup2(file.fileno(), each)


def _is_open_at(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), os.stat(path))
    except OSError:
        return False


def _open_log(path: Path) -> Any:
    gate.refuse_links(path, "the recorders' log")
    try:
        return open_to_append(path, movable=True)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.", 1) from error


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Append the log to a file, and start a new file at `LOG_BYTES`."""
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


def _reject_all(commands: CommandQueue) -> None:
    """Answer commands that came too late."""
    while (command := _next(commands)) is not None:
        if command.reply is not None:
            command.reply.set_result(TOO_LATE)


def _next(commands: CommandQueue) -> Command | None:
    try:
        return commands.get_nowait()
    except queue.Empty:
        return None


if __name__ == "__main__":
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever else is printed goes to the log
    sys.exit(main(sys.argv[1:], pipe))
