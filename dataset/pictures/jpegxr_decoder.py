"""Decodes a JPEG XR in a process of its own, by the package imagecodecs.

The library inside is old, and reads and writes beyond its memory on some damaged files: what
happens to it then must not happen to a recording, a training or a page. The process takes the file
on standard input, and answers a line with type and shape, then the samples.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.own_program import module_command

LIMIT_S = 120  # 4K takes one or two
NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
HEAD = re.compile(rb"<f([24]) (\d{1,9}) (\d{1,9}) ([1-4])\n")
REFUSED = 3  # exit code


def decode(data: bytes) -> NDArray[Any]:
    """Samples (H, W, C), half or 32-bit floats.

    Raises
    ------
    ValueError
        The file is damaged, or its samples are not floating-point.
    """
    home = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(each for each in (home, os.environ.get("PYTHONPATH")) if each)
    try:
        done = subprocess.run(
            module_command("dataset.pictures.jpegxr_decoder"),
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
            creationflags=NO_WINDOW,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"it takes over {LIMIT_S} s") from error
    head = HEAD.match(done.stdout)
    if done.returncode or head is None:
        raise ValueError("it is damaged or cut off")
    size, *shape = (int(each) for each in head.groups())
    if len(done.stdout) - head.end() != size * shape[0] * shape[1] * shape[2]:
        raise ValueError("it is damaged or cut off")
    return np.frombuffer(done.stdout, f"<f{size}", offset=head.end()).reshape(shape)


def main() -> None:
    """The process; its exit code is not 0 for a file that is refused."""
    from imagecodecs import jpegxr_decode  # deferred: only here

    with os.fdopen(os.dup(1), "wb") as out:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # the library says there what it does not know
        try:
            found = jpegxr_decode(sys.stdin.buffer.read())
        except (RuntimeError, ValueError, MemoryError):
            sys.exit(REFUSED)
        found = np.ascontiguousarray(np.atleast_3d(found))
        shape = " ".join(map(str, found.shape))
        out.write(f"{found.dtype.str} {shape}\n".encode())
        out.write(found.data)


if __name__ == "__main__":
    main()
