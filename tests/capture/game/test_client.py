"""The end of a game in another process, whatever else holds on to it."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest
from helpers.waiting import SOON_S

from capture.game.client import GameProcess
from capture.game.options import GameOptions

# A game that leaves a program behind, which keeps the pipe of its errors open.
LEAVES_ONE = """
import json, subprocess, sys
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"],
                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
with open(sys.argv[1], "w", encoding="utf-8") as file:
    file.write(str(left.pid))
print(json.dumps({"ready": True}), flush=True)
sys.stdin.readline()
"""


def test_a_game_ends_although_another_program_holds_its_pipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "left"
    monkeypatch.setattr(
        "capture.game.client.command", lambda options: [sys.executable, "-c", LEAVES_ONE, str(note)]
    )
    with GameProcess(GameOptions()) as game:
        left = psutil.Process(int(note.read_text(encoding="utf-8")))
    assert left.is_running()  # nobody waited for it
    left.kill()
    for each in game.readers:
        each.join(SOON_S)
    assert not psutil.pid_exists(game.process.pid)
