"""The names of a data set's files, and their tables: ``split.json`` and ``metadata.csv``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataset.layout.readers import LAYOUTS
from dataset.options import SplitOptions
from dataset.splitting.gather import Table
from dataset.splitting.leaks import Near
from dataset.splitting.plan import Plan, Pool
from dataset.tables import table_text


def name_files(table: Table, plan: Plan, folders: Sequence[str]) -> dict[int, str]:
    """Path in the data set of each chosen frame, ``trainA/<session>_NNNNNN.png``.

    Unique whatever the case, and ASCII only: other people's CycleGAN code opens files with
    OpenCV, which fails on anything else on Windows.
    """
    chosen = [(at, 0) for at in plan.train] + [(at, 2) for at in plan.test]
    slugs = _slugs(table)
    return {
        at: f"{folders[first + int(table.domain[at])]}/{slugs[int(table.keys.session[at])]}"
        f"_{int(table.keys.index[at]):06d}{Path(table.file[at]).suffix.lower()}"
        for at, first in chosen
    }


def _slugs(table: Table) -> dict[int, str]:
    """A plain name for each session that has a frame in the table."""
    slugs: dict[int, str] = {}
    taken: set[str] = set()
    for session in sorted(set(table.keys.session.tolist())):
        name = table.sessions[session]
        plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:60] or "session"
        slug, number = plain, 1
        while slug.lower() in taken:
            number += 1
            slug = f"{plain}-{number}"
        slugs[session] = slug
        taken.add(slug.lower())
    return slugs


def record_split(
    table: Table,
    pool: Pool,
    plan: Plan,
    paths: Mapping[int, str],
    options: SplitOptions,
    left_out: dict[str, int],
    leaks: dict[str, Any],
    nearest: Sequence[Near],
) -> dict[str, Any]:
    """The contents of ``split.json``.

    The original of a file is `file` in the folder that `sessions` gives for its `session`, which
    is relative to the data set where both are on one drive, and absolute where they are not.
    """
    folders = LAYOUTS[options.layout]
    used = sorted({int(table.keys.session[at]) for at in paths})
    settings = {key: _plain(value) for key, value in asdict(options).items()}
    return {
        "counts": dict(zip(folders, plan.counts, strict=True)),
        "wanted": dict(zip(folders, options.counts, strict=True)),
        "seed": options.seed,
        "options": settings | {"source": path_from(options.source, options.out), "out": "."},
        "paths": "relative to the folder of this file, or absolute on another drive",
        "sessions": {table.sessions[at]: path_from(table.folders[at], options.out) for at in used},
        "left_out": left_out,
        "leaks": _named(leaks, table, paths, nearest),
        "groups": _groups(table, pool, plan, paths),
        "files": [_origin(table, pool, at, path) for at, path in paths.items()],
    }


def path_from(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with forward slashes; absolute on another drive."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # Windows: no way leads from one drive to another
        return path.resolve().as_posix()


def _plain(value: Any) -> Any:
    return value.as_posix() if isinstance(value, Path) else value


def _named(
    leaks: dict[str, Any], table: Table, paths: Mapping[int, str], nearest: Sequence[Near]
) -> dict[str, Any]:
    """The leak report with names of files in place of numbers of frames."""
    closest = leaks["closest_frames"]
    return leaks | {
        "closest_session": table.session(closest[0]) if closest else None,
        "closest_frames": [paths[at] for at in closest] if closest else None,
        "worst": [
            {"test": paths[e.test], "train": paths[e.train], "bits": e.bits, "seconds": e.seconds}
            for e in nearest
        ],
    }


def _groups(table: Table, pool: Pool, plan: Plan, paths: Mapping[int, str]) -> list[dict[str, Any]]:
    sides: dict[int, dict[str, Any]] = {}
    test = set(plan.test)
    for at in paths:
        group = int(pool.group[at])
        side = "test" if at in test else "train"
        entry = sides.setdefault(group, {"group": group, "side": side, "X": 0, "Y": 0})
        entry["XY"[table.domain[at]]] += 1
    return [sides[group] for group in sorted(sides)]


def _origin(table: Table, pool: Pool, at: int, path: str) -> dict[str, Any]:
    marked = {"repeats_another_session": True} if table.repeats[at] else {}
    return {
        "path": path,
        "session": table.session(at),
        "file": table.file[at],
        "label": "XY"[table.domain[at]],
        "source": table.source[at],
        "group": int(pool.group[at]),
        "sha256": table.keys.sha256[at].decode() or None,
    } | marked


def metadata_csv(table: Table, pool: Pool, chosen: Sequence[int], paths: Mapping[int, str]) -> str:
    """``metadata.csv`` of one side, as Hugging Face's imagefolder reads it."""
    return table_text(
        ("file_name", "label", "session", "frame", "group"),
        (
            (
                paths[at].split("/", 1)[1],  # relative to the table
                "XY"[table.domain[at]],
                table.session(at),
                int(table.keys.index[at]),
                int(pool.group[at]),
            )
            for at in chosen
        ),
    )
