"""The answer to a command that a key of the desktop gave: a notification, as no terminal is there.

While frames are recorded only errors are shown: a notification would be on the frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from capture.commands import Reply
from capture.recording.notify import LONGEST_S, notify
from capture.status import Status, format_status
from dataset.errors import UserError


@contextmanager
def shown_answer(wanted: bool) -> Iterator[Callable[[Reply], None]]:
    """Within it, a ``UserError`` is shown; so is the answer that is given to what it yields."""

    def show(answer: Reply) -> None:
        status = answer["status"]
        if wanted and status["state"] != "recording":
            _show(format_status(Status(**status)) if "session" in status else status["state"])

    try:
        yield show
    except UserError as error:
        if wanted:
            _show(str(error))
        raise


def _show(text: str) -> None:
    """Show it before this process ends."""
    notify("unclip", text).join(LONGEST_S)
