"""GNOME's custom shortcuts, read and changed by `gsettings`: ours are added, others stay.

Ours have paths that begin with `unclip-`, by which they are known later.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence

from capture import children
from capture.control.keys import Shortcut, taken_key
from dataset.errors import UserError

MEDIA_KEYS = "org.gnome.settings-daemon.plugins.media-keys"
LIST = "custom-keybindings"
FOLDER = "/org/gnome/settings-daemon/plugins/media-keys/custom-keybindings/"
OURS = f"{FOLDER}unclip-"
SYSTEM = (  # schemas with keys of GNOME's own
    "org.gnome.desktop.wm.keybindings",
    "org.gnome.mutter.keybindings",
    "org.gnome.mutter.wayland.keybindings",
    "org.gnome.shell.keybindings",
    MEDIA_KEYS,
)
ANSWER_S = 10.0  # longest wait for gsettings
ENTER = "`cli capture shortcuts --desktop gnome` prints what to enter in GNOME's settings instead."


def set_keys(wanted: Sequence[Shortcut]) -> str:
    """Add the shortcuts, and change ours of before; what was done.

    Raises
    ------
    UserError
        There are no such settings, or a key is taken; nothing was changed then.
    """
    paths = _paths()
    _refuse_taken(wanted, [each for each in paths if not each.startswith(OURS)])
    for each in wanted:
        where = _custom(_path(each))
        for key, value in (
            ("name", f"unclip: {each.what}"),
            ("command", each.line),
            ("binding", each.chord.written("gtk")),
        ):
            _gsettings("set", where, key, json.dumps(value))
    added = [path for path in map(_path, wanted) if path not in paths]
    _gsettings("set", MEDIA_KEYS, LIST, json.dumps([*paths, *added]))  # last: now they count
    keys = "\n".join(f"  {each.chord.written('shown'):12} {each.what}" for each in wanted)
    back = "cli capture shortcuts --desktop gnome --unset"
    return f"Set in GNOME's settings:\n{keys}\nBack again: {back}"


def unset_keys(_: Sequence[Shortcut]) -> str:
    """Take ours back; what was done."""
    paths = _paths()
    ours = [each for each in paths if each.startswith(OURS)]
    if ours:
        _gsettings("set", MEDIA_KEYS, LIST, _listed([each for each in paths if each not in ours]))
    for each in ours:
        _gsettings("reset-recursively", _custom(each))
    return f"{len(ours)} shortcuts of this program were taken out of GNOME's settings."


def _path(shortcut: Shortcut) -> str:
    return f"{OURS}{shortcut.command.replace(' ', '-').lower()}/"


def _custom(path: str) -> str:
    return f"{MEDIA_KEYS}.custom-keybinding:{path}"


def _listed(paths: list[str]) -> str:
    return json.dumps(paths) if paths else "@as []"


def _paths() -> list[str]:
    """The paths of all custom shortcuts."""
    said = _gsettings("get", MEDIA_KEYS, LIST).removeprefix("@as ")
    try:
        return [str(each) for each in ast.literal_eval(said)]
    except (ValueError, SyntaxError) as error:
        raise UserError(f"gsettings says something unknown: {said!r}.", 1, remedy=ENTER) from error


def _refuse_taken(wanted: Sequence[Shortcut], others: list[str]) -> None:
    """Raise `UserError` where a key is one of the user's or of GNOME's own."""
    taken = {}
    for path in others:
        binding = _gsettings("get", _custom(path), "binding").strip("'\"")
        taken[_plain(binding)] = f"it runs {_gsettings('get', _custom(path), 'name')}"
    schemas = set(_gsettings("list-schemas").split())
    for schema in (each for each in SYSTEM if each in schemas):
        for line in _gsettings("list-recursively", schema).splitlines():
            _, key, values = line.split(" ", 2)
            taken |= {_plain(each): f"GNOME's {key}" for each in re.findall(r"'([^']*)'", values)}
    for each in wanted:
        by = taken.get(_plain(each.chord.written("gtk")))
        if by is not None:
            raise taken_key(each, by)


def _plain(binding: str) -> tuple[frozenset[str], str]:
    """A key as GTK writes it, in a form that can be compared."""
    names = {"primary": "control", "ctrl": "control", "ctl": "control", "mod1": "alt"}
    modifiers = re.findall(r"<([^>]*)>", binding.lower())
    return frozenset(names.get(each, each) for each in modifiers), binding.lower().split(">")[-1]


def _gsettings(*words: str) -> str:
    done = children.run(["gsettings", *words], ANSWER_S)
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise UserError(f"GNOME's settings cannot be changed: {said}.", 1, remedy=ENTER)
    return done.stdout.strip()
