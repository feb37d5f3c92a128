"""Ctrl-C, SIGTERM and a closed terminal become commands on a queue: no write is interrupted."""

from __future__ import annotations

from contextlib import AbstractContextManager

from capture.commands import Command, CommandQueue
from dataset.stopping import stops_caught


def signals_into(commands: CommandQueue) -> AbstractContextManager[None]:
    """While in the context, what asks this process to end is a command: `stops_caught`.

    A recorder that a script started with ``&`` hears ``kill -INT`` as well.
    """
    return stops_caught(lambda: commands.put(Command("interrupt", by="signal")), if_ignored=True)
