"""The loop of the recording thread: wait for deadlines and commands, and serve them.

What happens at a deadline is up to ``recorder.py``; where commands come from, to ``daemon.py``.
"""

from __future__ import annotations

import math
import queue
from collections.abc import Callable

from capture.clock import now_s, short_waits
from capture.commands import Command, CommandQueue, Reply
from capture.recording.recorder import IDLE_S, Recorder
from capture.status import LOG, Status, while_heard
from dataset.errors import UserError

STATUS_S = 0.25  # between two reports of the status


def record(
    recorder: Recorder,
    commands: CommandQueue,
    on_status: Callable[[Status], None] | None = None,
    watch: Callable[[], None] | None = None,
) -> None:
    """Record and carry out commands until something ends it: the recorder's ``reason``.

    Parameters
    ----------
    recorder : Recorder
    commands : queue of Command
    on_status : callable
        Called with the status a few times per second and after each command, until it fails.
    watch : callable
        Called as often, to look after other things.

    Raises
    ------
    UserError
        Frames can no longer be written, or there was nothing to record.
    """
    with short_waits():
        _record(recorder, commands, None if on_status is None else while_heard(on_status), watch)


def _record(
    recorder: Recorder,
    commands: CommandQueue,
    report: Callable[[Status], None] | None,
    watch: Callable[[], None] | None,
) -> None:
    reported_s = -math.inf
    while recorder.reason is None:
        wait_s = recorder.step()
        if now_s() - reported_s >= STATUS_S:
            reported_s = now_s()
            if watch is not None:
                watch()
            if report is not None:
                report(recorder.status())
        try:
            command = commands.get(timeout=min(wait_s, IDLE_S))
        except queue.Empty:
            continue
        handle_command(recorder, command)
        reported_s = -math.inf
    if report is not None:
        report(recorder.status())


def handle_command(recorder: Recorder, command: Command) -> Reply:
    """Carry out a command and answer it; an error becomes a notice, never an exception."""
    if command.name != "status":
        LOG.info("%s (%s)", " ".join(filter(None, (command.name, command.value))), command.by)
    try:
        _carry_out(recorder, command)
        reply: Reply = {"ok": True, "status": recorder.status().as_dict()}
    except UserError as error:
        recorder.notice = str(error)
        reply = {"ok": False, "error": str(error)}
    if command.reply is not None:
        command.reply.set_result(reply)
    return reply


def _carry_out(recorder: Recorder, command: Command) -> None:
    name, value = command.name, command.value
    if name in ("start", "pause", "toggle", "undo"):
        getattr(recorder, name)()
    elif name == "snap":
        recorder.snap(shot=True)
    elif name == "label":
        recorder.mark(str(value))
    elif name in ("light", "light-step"):
        recorder.light(value)
    elif name == "stop":
        recorder.end(f"stopped by {command.by}")
    elif name == "interrupt":
        recorder.end("interrupted")
