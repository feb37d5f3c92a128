"""A planned data set on disk: the CycleGAN folders, ``split.json``, ``pairs.csv``, ``README.md``.

``split.json`` is also the journal: it names every file before the first is made and stays
``"complete": false`` until the last is there, so that the next run can clear up after any stop.
Nothing that it does not name is ever removed or replaced.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.errors import UserError
from dataset.images import write_whole

FOLDERS = ("trainA", "trainB", "testA", "testB")
SPLIT_FILE, CARD_FILE, PAIRS_FILE = "split.json", "README.md", "pairs.csv"
VERSION = 1


def check_out(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier split of ours.

    Raises
    ------
    UserError
        It is no folder, or neither empty nor ours.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file. Name another folder with --out.")
    if out.is_dir() and any(out.iterdir()) and _read_journal(out) is None:
        raise UserError(
            f"{out} already holds something that `cli split` did not write. Nothing was touched; "
            "name another folder with --out, or move that one away."
        )


def write_data_set(
    out: Path,
    files: Mapping[str, Path],
    record: dict[str, Any],
    texts: Mapping[str, str],
    link: str,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Replace an earlier split of ours by this one.

    Parameters
    ----------
    out : Path
    files : mapping
        Path relative to `out`, with forward slashes -> the frame that it stands for.
    record : dict
        What ``split.json`` says; ``record["files"]`` lists the paths of `files`.
    texts : mapping
        Other files by name, with their contents.
    link : str
        hard | symlink | copy.
    on_progress : callable, optional
        Called with (files made, files to make).

    Returns
    -------
    int
        Files that had to be copied.

    Raises
    ------
    UserError
        The folder is not ours, or something cannot be written.
    """
    check_out(out)
    old = _listed(out)
    try:
        for folder in FOLDERS:
            (out / folder).mkdir(parents=True, exist_ok=True)
        head = {"tool": "unclip", "version": VERSION}
        _write_json(
            out / SPLIT_FILE,
            head
            | {"complete": False, "files": [{"path": each} for each in sorted(old | {*files})]},
        )
        for name in old:
            (out / name).unlink(missing_ok=True)
        copied = 0
        for done, (name, frame) in enumerate(files.items(), start=1):
            copied += _place(frame.resolve(), out / name, link)
            if on_progress:
                on_progress(done, len(files))
        for name, text in texts.items():
            write_whole(out / name, text.encode())
        _write_json(out / SPLIT_FILE, head | {"complete": True} | record)
    except FileExistsError as error:
        raise UserError(
            f"{error.filename2 or error.filename} is in the way. Move it away."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot write into {out}: {error.strerror}. Run it again.", 1) from error
    return copied


def _place(frame: Path, target: Path, link: str) -> bool:
    """Make one file stand for a frame; True if it was copied."""
    if target.is_symlink() or target.exists():
        raise FileExistsError(17, "File exists", str(target))
    if link == "symlink":
        try:
            target.symlink_to(frame)
        except OSError as error:
            raise UserError(
                f"Cannot make the symbolic link {target} ({error.strerror}). Use --link hard, or "
                "--link copy; Windows allows symbolic links in developer mode only.",
                1,
            ) from error
        return False
    if link == "hard":
        try:
            os.link(frame, target)
            return False
        except OSError:
            pass  # another device, or a file system without links: copy
    shutil.copyfile(frame, target)
    return True


def _read_journal(out: Path) -> dict[str, Any] | None:
    """The ``split.json`` of an earlier run; None where there is none of ours."""
    try:
        values = json.loads((out / SPLIT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and values.get("tool") == "unclip" else None


def _listed(out: Path) -> set[str]:
    """Pictures that an earlier run made. Anything outside the four folders is passed over."""
    entries: Sequence[dict[str, str]] = (_read_journal(out) or {}).get("files", [])
    paths = (entry["path"] for entry in entries)
    return {
        path
        for path in paths
        if len(parts := path.split("/")) == 2
        and parts[0] in FOLDERS
        and "\\" not in parts[1]
        and parts[1] not in ("", ".", "..")
    }


def _write_json(path: Path, values: dict[str, Any]) -> None:
    """One line for each group and file, so that two splits can be compared by eye."""
    lists = {key: values[key] for key in ("groups", "files") if key in values}
    rest = {key: value for key, value in values.items() if key not in lists}
    text = json.dumps(rest, indent=1, ensure_ascii=False)[:-2]
    for key, entries in lists.items():
        lines = ",\n".join("  " + json.dumps(each, ensure_ascii=False) for each in entries)
        text += f',\n "{key}": [\n{lines}\n ]'
    write_whole(path, f"{text}\n}}\n".encode())
