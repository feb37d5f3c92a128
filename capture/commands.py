"""The commands of a recorder, and their replies.

Keys, control clients and signals put a `Command` on one queue; the recording thread takes it.
"""

from __future__ import annotations

import queue
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from dataset.gate import CONTROLS, LONGEST_TEXT

COMMAND_NAMES = (
    "status",  # answer only
    "start",  # record from now on
    "pause",  # take no more intervals
    "toggle",  # start, pause, resume
    "snap",  # one frame now
    "label",  # frames from now on are X or Y (the value); the same again removes it
    "undo",  # take back the last label, also from the frames that got it
    "light",  # free text on the light (the value), for the frames from now on
    "light-step",  # the light was moved one step: "step 1", "step 2" and so on
    "stop",  # end the session
    "interrupt",  # end the session: Ctrl-C, SIGTERM, or a closed terminal
)
KEY_LABELS = ("X", "Y")

Reply = dict[str, Any]  # what JSON can carry


@dataclass(frozen=True)
class Command:
    """One command, and where its reply goes.

    Raises
    ------
    ValueError
        There is no such command, or its value is wrong.
    """

    name: str  # one of COMMAND_NAMES
    value: str | None = None  # of "label" (X or Y) and "light" (free text, "": none)
    by: str = "program"  # the sender, for the log: key, control, signal, program
    reply: Future[Reply] | None = field(default=None, compare=False)  # set when it is done

    def __post_init__(self) -> None:
        if self.name not in COMMAND_NAMES:
            raise ValueError(f"unknown command {self.name!r}: there are {', '.join(COMMAND_NAMES)}")
        if self.name == "label" and self.value not in KEY_LABELS:
            raise ValueError(f"a label is X or Y, not {self.value!r}")
        if self.name == "light":
            _check_text(self.value)
        if self.name not in ("label", "light") and self.value is not None:
            raise ValueError(f"{self.name} takes no value")


def _check_text(value: object) -> None:
    if not isinstance(value, str):
        raise ValueError("light needs a text")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"the text on the light has more than {LONGEST_TEXT} characters")
    if CONTROLS.search(value):
        raise ValueError(
            "the text on the light has control characters, or bytes in another encoding than the "
            "terminal's"
        )


CommandQueue = queue.SimpleQueue[Command]
