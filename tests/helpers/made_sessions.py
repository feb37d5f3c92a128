"""Sessions for tests: real PNGs in real folders with a real manifest, made in no time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dataset.pictures.png import encode_png
from dataset.sessions.manifest import Frame, ManifestWriter, write_session

SECOND = 1_000_000_000


def picture(clipped: float, size: int = 20) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A grey picture whose uppermost rows, the given share of it, are white."""
    image = np.full((size, size, 3), 90, np.uint8)
    image[: round(size * clipped)] = 255
    return image


def frame(index: int, seconds: float, **values: Any) -> Frame:
    """A frame at a time, with a hash of its own unless told otherwise."""
    name = hashlib.sha256(f"{values.pop('scene', '')}{index}".encode()).hexdigest()
    plain = Frame(
        index=index,
        file=f"frames/{index:06d}.png",
        width=20,
        height=20,
        wall_ns=1_700_000_000 * SECOND + round(seconds * SECOND),
        monotonic_ns=round(seconds * SECOND),
        sha256=name,
        phash=name[:16],
    )
    return replace(plain, **values)


def make_session(
    captures: Path, name: str, frames: Sequence[Frame], clipped: Sequence[float], **settings: Any
) -> Path:
    """Write a session; frames with the same clipped share are hard links to one PNG."""
    session = captures / name
    (session / "frames").mkdir(parents=True)
    write_session(session, settings)
    first: dict[float, Path] = {}
    with ManifestWriter(session) as manifest:
        for each, share in zip(frames, clipped, strict=True):
            path = session / each.file
            if share in first:
                os.link(first[share], path)
            else:
                path.write_bytes(encode_png(picture(share)))
                first[share] = path
            manifest.append(each)
    return session


def make_sweep(
    captures: Path, name: str, viewpoints: int, lights: Sequence[float], **settings: Any
) -> Path:
    """A light sweep: each viewpoint once for every clipped share, a frame a second."""
    frames: list[Frame] = []
    clipped: list[float] = []
    for viewpoint in range(viewpoints):
        for light in lights:
            at = len(frames)
            frames.append(
                frame(at, at, scene=name, viewpoint=f"v{viewpoint}", light=f"sun {light}")
            )
            clipped.append(light)
    return make_session(captures, name, frames, clipped, **settings)
