"""The window of a double click stays open, and asks what to do; a shell's window does neither."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

from dataset import own_window

MENU = [("Record", ["capture", "--hotkey"]), ("Restore", ["restore", "--serve"])]
TELLS = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from dataset import own_window
Path(sys.argv[1]).write_text(str(own_window.is_own()))
"""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_window, "is_own", lambda: True)


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> Iterator[str]:
    """Give `input` these lines, and no more; the iterator has those that were not read."""
    left = iter(lines)

    def read() -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    return left


def test_a_pipe_or_a_shell_is_no_window_of_our_own() -> None:
    assert not own_window.is_own()


def test_nothing_waits_where_the_window_is_not_our_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = typed(monkeypatch, "unread")
    with pytest.raises(SystemExit), own_window.kept_open():
        raise SystemExit(3)
    assert list(left) == ["unread"]
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "Ctrl-C"])
def test_the_end_of_a_command_waits_for_enter_and_stays_the_end(
    end: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = typed(monkeypatch, "", "unread")
    with pytest.raises(type(end)) as caught, own_window.kept_open():
        raise end
    assert caught.value is end
    assert list(left) == ["unread"]
    assert "Press Enter to close this window." in capsys.readouterr().out


@pytest.mark.usefixtures("own")
def test_a_traceback_is_shown_before_the_wait(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = []
    monkeypatch.setattr("builtins.input", lambda: shown.append(capfd.readouterr().err) or "")
    with pytest.raises(SystemExit) as caught, own_window.kept_open():
        raise ZeroDivisionError("a bug")
    assert caught.value.code == 1
    assert "ZeroDivisionError: a bug" in shown[0]


@pytest.mark.usefixtures("own")
def test_a_key_of_a_shortcut_leaves_no_window_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    left = typed(monkeypatch, "unread")
    with pytest.raises(SystemExit), own_window.kept_open(wanted=False):
        raise SystemExit(0)
    assert list(left) == ["unread"]


def test_the_menu_asks_until_it_knows_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "9", "record", " 2 ")
    assert own_window.choose(MENU) == ["restore", "--serve"]
    said = capsys.readouterr().out
    assert "  1  Record\n  2  Restore\n" in said
    assert str(own_window.recordings()) in said
    shown = said.split("A number,")[0].splitlines()
    assert all(len(line) < 80 for line in shown if str(Path.home()) not in line)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("lines", [[""], []], ids=["Enter", "end of input"])
def test_nothing_chosen_closes_without_asking_again(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = typed(monkeypatch, *lines, *(["unread"] if lines else []))
    with pytest.raises(own_window.Closed) as caught, own_window.kept_open():
        own_window.choose(MENU)
    assert caught.value.code == 0
    assert list(left) == (["unread"] if lines else [])


def test_launchers_are_parts_of_the_program_and_shells_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", r"C:\venv\Scripts\python.exe")
    monkeypatch.setattr(sys, "_base_executable", r"C:\Python313\Python.exe", raising=False)
    for started in (r"C:\venv\Scripts\Unclip", r"C:\venv\Scripts\unclip.exe"):
        monkeypatch.setattr(sys, "argv", [started, "doctor"])
        assert own_window.parts_of_program() == {"python.exe", "unclip.exe", "py.exe"}
    assert not {"cmd.exe", "powershell.exe", "pwsh.exe"} & own_window.parts_of_program()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "win32", reason="consoles of Windows")
@pytest.mark.parametrize(("shell", "own"), [([], "True"), (["cmd.exe", "/c"], "False")])
def test_a_console_is_our_own_unless_a_shell_is_in_it(
    shell: list[str], own: str, tmp_path: Path
) -> None:
    told, script = tmp_path / "told.txt", tmp_path / "tells.py"
    script.write_text(TELLS)
    subprocess.run(
        [*shell, sys.executable, str(script), str(told), str(ROOT)],
        creationflags=subprocess.CREATE_NEW_CONSOLE,
        timeout=60,
        check=True,
    )
    assert told.read_text() == own
