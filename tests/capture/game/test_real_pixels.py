"""The game's window has the size that was asked for, also where Windows scales the desktop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

pytestmark = pytest.mark.slow

SETTING = """
from panda3d.core import ConfigVariableBool
from capture.game.engine import engine
engine()
print(ConfigVariableBool("dpi-aware", False).get_value())
"""
WINDOW = """
import ctypes
from capture.game.engine import draw_frame, open_window
from capture.screens.window import find_window
window = open_window("real pixels", (300, 200))
draw_frame()
aware = ctypes.c_int()
ctypes.windll.shcore.GetProcessDpiAwareness(None, ctypes.byref(aware))
print(aware.value, *find_window("real pixels").rectangle()[2:])
"""


def said_by(code: str, folder: Path) -> list[str]:
    with (folder / "said.txt").open("wb") as said:  # a pipe would stay open in what Wine starts
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said,
            timeout=90, check=True,
        )  # fmt: skip
    return (folder / "said.txt").read_text(encoding="utf-8").split()


def test_the_engine_is_told_to_ask_for_real_pixels(tmp_path: Path) -> None:
    assert said_by(SETTING, tmp_path) == ["True"]


@pytest.mark.skipif(sys.platform != "win32", reason="about Windows' scaling")
def test_the_window_of_windows_has_the_pixels_asked_for(tmp_path: Path) -> None:
    assert said_by(WINDOW, tmp_path) == ["2", "300", "200"]  # 2: aware of each monitor's scaling
