"""Keys of a running sway, changed by `swaymsg`, and lines for its configuration.

What `swaymsg` sets lasts until sway is reloaded or ends. Which keys were set is in a note in this
user's folder, so that no others are taken back.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import dropwhile
from pathlib import Path
from typing import Any

from capture import children
from capture.control.endpoints import runtime_folder
from capture.control.keys import Chord, Shortcut, taken_key
from dataset import gate
from dataset.errors import UserError
from dataset.files import remove_file, write_whole

ANSWER_S = 10.0  # longest wait for swaymsg
# Held down, a key counts once; it also counts where a game asks for all keys.
FLAGS = "--no-repeat --inhibited"
NAMES = {"control": "ctrl", "alt": "mod1", "super": "mod4"}  # other names -> ours
MOST_NOTE = 64 << 10  # bytes


@dataclass(frozen=True)
class SetKeys:
    """Which keys were set, and where."""

    socket: str = ""  # of a sway
    keys: list[str] = field(default_factory=list)  # as sway writes them


def config_line(chord: Chord, line: str) -> str:
    """What sway's configuration has to say, for a key to run a command line."""
    return f"bindsym {FLAGS} {chord.written('sway')} exec {line}"


def set_keys(wanted: Sequence[Shortcut]) -> str:
    """Set the keys until sway is reloaded; what was done, and the lines that make it last.

    Raises
    ------
    UserError
        No sway can be reached, or a key is taken; nothing was changed then.
    """
    _refuse_taken(wanted)
    unset_keys(())
    lines = [config_line(each.chord, each.line) for each in wanted]
    keys = [each.chord.written("sway") for each in wanted]
    _note(keys)
    for line in lines:
        _swaymsg(line)
    told = "\n".join(f"  {each}" for each in lines)
    return (
        f"{', '.join(keys)} are set until sway is reloaded. To keep them, add these lines to "
        f"~/.config/sway/config:\n{told}\nBack again: cli capture shortcuts --desktop sway --unset"
    )


def unset_keys(_: Sequence[Shortcut]) -> str:
    """Take back the keys that were set in this sway; what was done."""
    before = _noted()
    own = before.keys if before.socket == _socket() else []
    done = [key for key in own if _unbound(key)]
    remove_file(_note_file())
    return f"{len(done)} keys of this program were taken out of the running sway."


def _unbound(key: str) -> bool:
    """Take a key back, unless a reload has done so; whether it was there."""
    try:
        _swaymsg(f"unbindsym {FLAGS} {key}")
    except UserError:
        return False
    return True


def _refuse_taken(wanted: Sequence[Shortcut]) -> None:
    """Raise `UserError` where the user's configuration has a key for something else.

    Files that it includes are not known to `swaymsg`.
    """
    config = gate.parse_json(_swaymsg("-r", "-t", "get_config"), dict[str, Any])["config"]
    taken = _keys_of_config(config)
    for each in wanted:
        runs = taken.get(_plain(each.chord.written("sway")), each.line)
        if " ".join(each.line.split()) not in runs:
            raise taken_key(each, f"sway's configuration has it for {runs}")


def _keys_of_config(config: str) -> dict[frozenset[str], str]:
    """Key -> what it runs."""
    variables: dict[str, str] = {}
    found = {}
    for line in config.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "set":
            variables[words[1]] = " ".join(words[2:])
        elif words[:1] == ["bindsym"]:
            key, *runs = [*dropwhile(lambda word: word.startswith("--"), words[1:]), ""]
            for name in sorted(variables, key=len, reverse=True):  # as sway does
                key = key.replace(name, variables[name])
            found[_plain(key)] = " ".join(runs).strip()
    return found


def _plain(key: str) -> frozenset[str]:
    """A key with its modifiers, in a form that can be compared."""
    return frozenset(NAMES.get(each, each) for each in key.lower().split("+"))


def _swaymsg(*words: str) -> str:
    """What sway answers to a command (one word) or a question (with options)."""
    _socket()
    command = ["swaymsg", *words] if len(words) > 1 else ["swaymsg", "--", *words]
    done = children.run(command, ANSWER_S)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).replace("\n", " ")
        raise UserError(f"sway refuses ({shlex.join(words)}): {said}.", 1)
    return done.stdout


def _socket() -> str:
    socket = os.environ.get("SWAYSOCK")
    if not socket:
        raise UserError(
            "No running sway can be reached from here: SWAYSOCK is not set.",
            remedy="Run this in a terminal of sway, or add the lines that `cli capture shortcuts "
            "--desktop sway` prints to ~/.config/sway/config.",
        )
    return socket


def _note_file() -> Path:
    return runtime_folder() / "shortcuts.sway"


def _note(keys: list[str]) -> None:
    values = asdict(SetKeys(_socket(), keys))
    write_whole(_note_file(), json.dumps(values).encode(), mode=0o600)


def _noted() -> SetKeys:
    try:
        return gate.read_json(_note_file(), SetKeys, MOST_NOTE)
    except (OSError, ValueError):
        return SetKeys()
