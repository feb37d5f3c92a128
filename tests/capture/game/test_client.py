"""The end of a game in another process, whatever else holds on to it."""

from __future__ import annotations

import sys
import time

import psutil
import pytest

from capture.game.client import GameProcess
from capture.game.options import GameOptions

# A game that leaves a program behind, which keeps the pipe of its errors open.
LEAVES_ONE = """
import json, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(6)"],
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(json.dumps({"ready": True}), flush=True)
sys.stdin.readline()
"""


def test_a_game_ends_although_another_program_holds_its_pipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "capture.game.client.command", lambda options: [sys.executable, "-c", LEAVES_ONE]
    )
    with GameProcess(GameOptions()) as game:
        begin = time.monotonic()
    assert time.monotonic() - begin < 5.5
    for each in game.readers:
        each.join(20)
    assert not psutil.pid_exists(game.process.pid)
