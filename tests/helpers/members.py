"""Frames for grouping, written one by one; the program reads them from manifests as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataset.sessions.columns import NO_VIEWPOINT, Columns


@dataclass(frozen=True)
class Member:
    """What grouping needs to know of one frame."""

    session: str
    index: int  # running number in the session
    time_ns: int  # monotonic within the session
    viewpoint: str | None = None
    timed: bool = True  # False: imported screenshots, whose times are those of a copy
    sha256: str | None = None
    phash: str | None = None  # hexadecimal


def columns_of(members: Sequence[Member]) -> Columns:
    """The same frames as columns."""
    names = sorted({each.session for each in members})
    scenes: dict[tuple[str, str], int] = {}
    viewpoints = [
        NO_VIEWPOINT
        if each.viewpoint is None
        else scenes.setdefault((each.session, each.viewpoint), len(scenes))
        for each in members
    ]
    return Columns(
        np.array([names.index(each.session) for each in members], np.int64),
        np.array([each.index for each in members], np.int64),
        np.array([each.time_ns for each in members], np.int64),
        np.array(viewpoints, np.int64),
        np.array([each.timed for each in members], np.bool_),
        np.array([(each.sha256 or "").encode() for each in members], "S64"),
        np.array([int(each.phash or "0", 16) for each in members], np.uint64),
    )
