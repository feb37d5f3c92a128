"""Memory that is free for restoring a picture, measured on each call. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from dataset.errors import UserError

CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, which the machine's figure ignores
USABLE = 0.9  # of free memory: other programs take some meanwhile
# In messages of torch and onnxruntime; oneDNN only says what it could not create.
SIGNS = re.compile(
    "allocate memory|out of memory|could not (create|execute) a primitive(?! desc)"
    "|could not create a memory"
)
ADVICE = "Close other programs, make it smaller, or say --detail guided."
PLAIN_ADVICE = "Close other programs, or make it smaller."  # where no smaller copy is restored


def free_memory() -> int:
    """Free memory in bytes, within a container's limit."""
    return min(int(psutil.virtual_memory().available), _free_in_container())


@contextmanager
def room_for(
    width: int, height: int, needed: int, free: int, advice: str = ADVICE
) -> Iterator[None]:
    """Restore a picture in this context: running out of memory becomes a ``UserError``.

    Parameters
    ----------
    width, height : int
        Of the picture, pixels.
    needed, free : int
        Bytes that it needs at least, and that are free.
    advice : str
        What to do, at the end of the message.
    """
    check_room(width, height, needed, free, advice)
    try:
        yield
    except Exception as error:
        if not ran_out(error):
            raise
        raise UserError(
            f"A picture of {width}x{height} takes more memory than is free. {advice}", 1
        ) from error


def check_room(width: int, height: int, needed: int, free: int, advice: str = ADVICE) -> None:
    """``UserError`` if a picture needs more memory than is free; as for `room_for`."""
    if needed > USABLE * free:
        raise UserError(
            f"A picture of {width}x{height} takes {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free. {advice}",
            1,
        )


def ran_out(error: Exception | str) -> bool:
    """Whether an error of torch or onnxruntime means that memory ran out."""
    return SIGNS.search(str(error)) is not None


def _free_in_container() -> int:
    try:
        limit = int((CGROUP / "memory.max").read_text("ascii"))
        return limit - int((CGROUP / "memory.current").read_text("ascii"))
    except (OSError, ValueError):  # no container, or one without a limit
        return 2**63
