"""Consent that the user gave in the desktop's dialog, kept so that it is asked for once.

The portal gives a token for it, which only it understands, and another at each use. They are kept
for each kind of question, where only this user can read them. Asks no portal.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from dataset import gate
from dataset.errors import UserError
from dataset.files import remove_file, write_whole

MOST_TOKEN = 4096  # bytes
TOKEN = re.compile(r"[\x21-\x7e]+")  # one word; they are UUIDs today


def consent_folder() -> Path:
    """Where they are kept: ``$XDG_STATE_HOME/unclip/consent``, or under ``~/.local/state``."""
    state = os.environ.get("XDG_STATE_HOME", "")
    root = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return root / "unclip" / "consent"


def kept_token(kind: str) -> str | None:
    """The token of the last consent of a kind, such as ``monitor``; None if there is none."""
    try:
        text = gate.read_regular(consent_folder() / kind, MOST_TOKEN).decode().strip()
    except (OSError, ValueError):
        return None
    return text if TOKEN.fullmatch(text) else None


def keep_token(kind: str, token: str | None) -> None:
    """Keep the token for the next time; None: forget the one before. Its failure ends nothing."""
    folder = consent_folder()
    with suppress(OSError, UserError):
        if token is None:
            remove_file(folder / kind)
        elif len(token) <= MOST_TOKEN and TOKEN.fullmatch(token):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(folder / kind, token.encode(), mode=0o600)


def forget_all() -> str:
    """Forget all consent; says what there was, and where.

    Raises
    ------
    UserError
        A file cannot be removed.
    """
    folder = consent_folder()
    try:
        kinds = sorted(each.name for each in folder.iterdir())
        for kind in kinds:
            remove_file(folder / kind)
    except FileNotFoundError:
        kinds = []
    except OSError as error:
        raise UserError(f"Cannot forget consent in {folder}: {error.strerror}.", 1) from error
    if not kinds:
        return f"There was no consent to forget in {folder}."
    return f"Forgotten: consent for {', '.join(kinds)}, in {folder}. The desktop will ask again."
