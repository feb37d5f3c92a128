"""Keys of the desktop that run the control commands: printed, set, pressed and taken back."""

from __future__ import annotations

import ast
import os
import queue
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from helpers import ROOT
from helpers.command_line import run_cli
from helpers.processes import Thread
from helpers.waiting import soon
from helpers.wayland_desktop import Desktop, wayland_desktop
from helpers.wayland_programs import program

from capture.commands import CommandQueue
from capture.control import desktop_file, shortcuts_sway
from capture.control.channel import control_channel
from capture.control.keys import NOTATIONS, chords_of, keys_of, parse_chord, wanted_shortcuts
from capture.locks import recorder_lock
from capture.options import CaptureOptions
from dataset import own_program
from dataset.errors import UserError

OWN = [sys.executable, str(ROOT / "cli.py")]
MEDIA_KEYS = "org.gnome.settings-daemon.plugins.media-keys"
CUSTOM = "/org/gnome/settings-daemon/plugins/media-keys/custom-keybindings"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<f9>", ["F9", "F9", "F9", "F9"]),
        ("<ctrl>+<f12>", ["Ctrl+F12", "<Control>F12", "Ctrl+F12", "CTRL+F12"]),
        ("<cmd>+<ALT>+K", ["Alt+Super+k", "<Alt><Super>k", "Mod1+Mod4+k", "ALT+LOGO+k"]),
        (
            "<shift>+<page_up>",
            ["Shift+Page_Up", "<Shift>Page_Up", "Shift+Page_Up", "SHIFT+Page_Up"],
        ),
        ("<ctrl>++", ["Ctrl+plus", "<Control>plus", "Ctrl+plus", "CTRL+plus"]),
        ("]", ["bracketright"] * 4),
        ("ㄱ", ["U3131"] * 4),
    ],
)
def test_a_key_is_written_as_each_desktop_does(text: str, written: list[str]) -> None:
    chord = parse_chord(text)
    assert [chord.written(each) for each in NOTATIONS] == written


@pytest.mark.parametrize(
    "text", ["<f99>", "", "<ctrl>", "a+b", "f9", "<65>", "<alt_gr>+a", "<ctrl>+", "\x00"]
)
def test_what_is_no_key_of_a_desktop_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="for 'stop' is not a key"):
        chords_of({"stop": text})


def test_keysyms_are_those_of_x11(display: str) -> None:
    from Xlib import XK

    for text in ("<f1>", "<f12>", "<page_down>", "<delete>", "<esc>", "]", "é", "~", "7"):
        chord = parse_chord(text)
        assert chord.keysym in (XK.string_to_keysym(chord.name), ord(text[0]))


@pytest.mark.parametrize(
    ("names", "said"),
    [("ubuntu:GNOME", ["GNOME"]), ("KDE", ["KDE"]), ("sway", ["sway"]),
     ("Hyprland", ["GNOME", "KDE", "sway"]), ("", ["GNOME", "KDE", "sway"])],
)  # fmt: skip
def test_the_desktop_that_runs_is_explained_and_without_one_all_are(
    names: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", names)
    printed = run_cli("capture", "shortcuts")
    heads = {each: f"\n{each}" in f"\n{printed}" for each in ("GNOME", "KDE", "sway")}
    assert [each for each, there in heads.items() if there] == said


def test_other_systems_are_told_that_keys_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capture.control.shortcuts.sys.platform", "win32")
    assert "hears keys itself" in run_cli("capture", "shortcuts", code=2)


@pytest.mark.parametrize("desktop", ["gnome", "kde", "sway"])
def test_what_is_printed_runs_this_program(desktop: str, tmp_path: Path) -> None:
    out = tmp_path / "it's here"
    words = ("--desktop", desktop, "--out", str(out), "--key-record", "<cmd>+r")
    printed = run_cli("capture", "shortcuts", *words)
    assert ("Mod4+r" if desktop == "sway" else "Super+r") in printed
    lines = [line.partition(str(OWN[0])) for line in printed.splitlines() if "--notify" in line]
    commands = [shlex.split(begin + rest) for _, begin, rest in lines]
    told = [each[3:-3] for each in commands]
    assert told == [each.split() for each in keys_of(CaptureOptions())]
    assert all(each[:2] == OWN and each[-2:] == ["--out", str(out)] for each in commands)
    done = subprocess.run(
        commands[0], cwd="/", capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PATH": "/nowhere", "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert "No recorder is running" in done.stderr


def test_the_script_that_pip_makes_is_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "unclip"
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert own_program.own_command("doctor") == [*OWN, "doctor"]
    script.touch(0o755)
    assert own_program.own_command("doctor") == [str(script), "doctor"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert own_program.own_command("doctor") == [sys.executable, "doctor"]


@pytest.mark.parametrize("change", ["--set", "--unset"])
@pytest.mark.parametrize(
    ("names", "why"),
    [("KDE", "KDE Plasma has no command"), ("Hyprland", "neither GNOME nor sway"),
     ("sway", "SWAYSOCK is not set")],
)  # fmt: skip
def test_a_desktop_that_cannot_be_told_is_named_with_the_way_on(
    change: str, names: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", names)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("SWAYSOCK", raising=False)
    printed = run_cli("capture", "shortcuts", change, code=2)
    assert why in printed
    assert "cli capture shortcuts" in printed


def test_set_and_unset_are_one_or_the_other() -> None:
    words = ("--desktop", "gnome", "--set", "--unset")
    assert "together" in run_cli("capture", "shortcuts", *words, code=2)


class Gnome:
    """GNOME's settings in a file of the test's own, by the real `gsettings`."""

    def __init__(self) -> None:
        self.set(MEDIA_KEYS, "custom-keybindings", f"['{CUSTOM}/custom0/']")
        self.set(self.of("custom0"), "name", "Terminal")
        self.set(self.of("custom0"), "binding", "<Primary><Alt>t")

    @staticmethod
    def of(name: str) -> str:
        return f"{MEDIA_KEYS}.custom-keybinding:{CUSTOM}/{name}/"

    def set(self, *words: str) -> None:
        subprocess.run(["gsettings", "set", *words], check=True, timeout=60)

    def get(self, *words: str) -> str:
        done = subprocess.run(
            ["gsettings", "get", *words], check=True, capture_output=True, text=True, timeout=60
        )
        return str(ast.literal_eval(done.stdout.removeprefix("@as ")))

    @property
    def names(self) -> list[str]:
        paths = ast.literal_eval(self.get(MEDIA_KEYS, "custom-keybindings"))
        return [each.removeprefix(CUSTOM).strip("/") for each in paths]


@pytest.fixture
def gnome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gnome:
    if program("gsettings") is None or not Path("/usr/share/glib-2.0/schemas").is_dir():
        pytest.skip("needs gsettings: apt-get install libglib2.0-bin gsettings-desktop-schemas")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "ubuntu:GNOME")
    monkeypatch.setenv("GSETTINGS_BACKEND", "keyfile")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    try:
        return Gnome()
    except subprocess.CalledProcessError:
        pytest.skip("GNOME's schemas of keys are not here: gnome-settings-daemon-common")


OURS = [f"unclip-{each}" for each in
        ("toggle", "snap", "label-x", "label-y", "undo", "light-step", "stop")]  # fmt: skip


@pytest.mark.slow
def test_gnome_gets_the_keys_beside_the_users_own(gnome: Gnome, tmp_path: Path) -> None:
    out = tmp_path / "it's here"
    printed = run_cli("capture", "shortcuts", "--set", "--out", str(out))
    assert "Ctrl+F12     End the session" in printed
    assert gnome.names == ["custom0", *OURS]
    assert gnome.get(gnome.of("unclip-stop"), "binding") == "<Control>F12"
    assert gnome.get(gnome.of("unclip-stop"), "name") == "unclip: End the session"
    command = shlex.split(gnome.get(gnome.of("unclip-label-x"), "command"))
    assert command == [*OWN, "capture", "label", "X", "--notify", "--out", str(out)]
    run_cli("capture", "shortcuts", "--set", "--key-stop", "<cmd>+<f12>")
    assert gnome.names == ["custom0", *OURS], "nothing twice"
    assert gnome.get(gnome.of("unclip-stop"), "binding") == "<Super>F12"
    assert "7 shortcuts" in run_cli("capture", "shortcuts", "--unset")
    assert gnome.names == ["custom0"]
    assert gnome.get(gnome.of("unclip-stop"), "command") == ""
    assert gnome.get(gnome.of("custom0"), "binding") == "<Primary><Alt>t"
    assert "0 shortcuts" in run_cli("capture", "shortcuts", "--unset")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "by"), [("<ctrl>+<alt>+t", "it runs 'Terminal'"), ("<alt>+<f4>", "GNOME's close")]
)
def test_a_key_that_gnome_uses_is_refused_and_nothing_is_set(
    key: str, by: str, gnome: Gnome
) -> None:
    printed = run_cli("capture", "shortcuts", "--set", "--key-snap", key, code=2)
    assert by in printed
    assert "--key-snap" in printed
    assert gnome.names == ["custom0"]


@pytest.mark.parametrize(
    ("script", "why"),
    [("echo no such schema >&2; exit 1", "no such schema"), ("echo nonsense", "something unknown")],
)
def test_a_gnome_that_refuses_is_told_with_the_way_on(
    script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gsettings").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "gsettings").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    printed = run_cli("capture", "shortcuts", "--desktop", "gnome", "--set", code=1)
    assert why in printed
    assert "prints what to enter" in printed


def test_a_machine_without_gsettings_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    printed = run_cli("capture", "shortcuts", "--desktop", "gnome", "--set", code=1)
    assert "Cannot run gsettings" in printed


class Recorder:
    """What takes commands like a recorder, from the keys of a desktop whose sway may be nobody.

    What sway runs then is not allowed to run Python: it notes the words, and we run them.
    """

    def __init__(self, desktop: Desktop, stack: ExitStack) -> None:
        self.got: list[str] = []
        self._commands: CommandQueue = queue.SimpleQueue()
        self._words, self._ended = desktop.run / "words", threading.Event()
        self.script = desktop.folder / "unclip"
        run = shlex.join(OWN) if os.getuid() else f"echo >>{shlex.quote(str(self._words))}"
        self.script.write_text(f'#!/bin/sh\n{run} "$@"\n')
        self.script.chmod(0o755)
        out = desktop.folder / "captures"
        stack.enter_context(recorder_lock(out, None))
        stack.enter_context(control_channel(out, self._commands))
        for work in (self._answer, self._run):
            thread = Thread(work)
            thread.start()
            stack.callback(thread.join)
        stack.callback(self._ended.set)

    def _answer(self) -> None:
        while not self._ended.is_set():
            with suppress(queue.Empty):
                command = self._commands.get(timeout=0.05)
                self.got.append(" ".join(filter(None, (command.name, command.value))))
                assert command.reply is not None
                command.reply.set_result({"ok": True, "status": {"state": "recording"}})

    def _run(self) -> None:
        done = 0
        while not self._ended.wait(0.05):
            lines = self._words.read_text().splitlines() if self._words.exists() else []
            for each in lines[done:]:
                subprocess.run([*OWN, *each.split()], check=True, timeout=60)
            done = len(lines)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Desktop, Recorder]]:
    with wayland_desktop() as desktop, ExitStack() as stack:
        recorder = Recorder(desktop, stack)
        monkeypatch.setattr(sys, "argv", [str(recorder.script)])
        yield desktop, recorder


@pytest.mark.slow
def test_a_key_in_sways_configuration_commands_a_recorder(
    recorder: tuple[Desktop, Recorder],
) -> None:
    desktop, heard = recorder
    lines = run_cli("capture", "shortcuts", "--key-x", "<cmd>+x").splitlines()
    config = desktop.folder / "sway.conf"
    more = "\n".join(each for each in lines if each.strip().startswith("bindsym"))
    config.write_text(f"{config.read_text()}\n{more}\n")
    desktop.sway("reload")
    for number, key in enumerate(("F9", "logo+x", "ctrl+F12"), 1):
        desktop.press(key)
        soon(lambda number=number: len(heard.got) == number)
    assert heard.got == ["toggle", "label X", "stop"]
    run_cli("capture", "shortcuts", "--set", "--key-x", "<cmd>+x")  # the same keys are no fault
    desktop.press("F10")
    soon(lambda: heard.got[3:] == ["snap"])


@pytest.mark.slow
def test_keys_of_a_running_sway_are_set_and_taken_back(recorder: tuple[Desktop, Recorder]) -> None:
    desktop, heard = recorder
    users = desktop.run / "users"
    desktop.sway("bindsym", "F2", "exec", "touch", str(users))
    printed = run_cli("capture", "shortcuts", "--set", "--key-snap", "<f11>")
    assert "bindsym --no-repeat --inhibited F11 exec" in printed
    desktop.press("F11", "F2")
    soon(lambda: heard.got == ["snap"] and users.exists())
    run_cli("capture", "shortcuts", "--set")
    desktop.press("F11", "ctrl+F8")
    soon(lambda: heard.got[1:])
    assert heard.got == ["snap", "undo"], "F11 is no key any more"
    assert "7 keys" in run_cli("capture", "shortcuts", "--unset")
    users.unlink()
    desktop.press("F9", "F10", "F2")
    soon(users.exists)
    time.sleep(1)
    assert heard.got == ["snap", "undo"]
    assert "0 keys" in run_cli("capture", "shortcuts", "--unset")


@pytest.mark.slow
def test_keys_of_the_users_own_configuration_are_left_alone() -> None:
    with wayland_desktop() as desktop:
        config = desktop.folder / "sway.conf"
        config.write_text(
            f"{config.read_text()}\nset $mod Mod4\nbindsym --locked $mod+F7 exec true\n"
        )
        desktop.sway("reload")
        words = ("capture", "shortcuts", "--set", "--key-x", "<cmd>+<f7>")
        printed = run_cli(*words, code=2)
        assert "The key Super+F7 is taken already: sway's configuration has it" in printed
        assert "--key-x" in printed
        assert "0 keys" in run_cli("capture", "shortcuts", "--unset")
        desktop.kill("sway")
        assert "sway refuses" in run_cli("capture", "shortcuts", "--set", code=1)


def test_lines_for_sway_say_which_keys_they_have() -> None:
    wanted = wanted_shortcuts(CaptureOptions())
    config = "\n".join(shortcuts_sway.config_line(each.chord, each.line) for each in wanted)
    found = shortcuts_sway._keys_of_config(config)
    assert found[frozenset({"ctrl", "f12"})].endswith("capture stop --notify")


def test_the_desktop_file_names_this_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    asked: list[tuple[object, ...]] = []
    bus = type("Bus", (), {"call": lambda self, *words: asked.append(words)})()
    desktop_file.register(bus)
    assert asked == [], "not without the user's word"
    printed = run_cli("capture", "shortcuts", "--install-desktop-file")
    path = tmp_path / "applications" / "unclip.Recorder.desktop"
    assert str(path) in printed
    text = path.read_text(encoding="utf-8")
    assert f'Exec="{OWN[0]}" "{OWN[1]}" "capture" "--hotkey"\n' in text
    desktop_file.register(bus)
    assert asked == [(desktop_file.REGISTRY, "Register", "sa{sv}", "unclip.Recorder", {})]
