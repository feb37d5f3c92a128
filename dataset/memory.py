"""How much memory a picture may take on this machine, measured when it is asked for. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from dataset.errors import UserError

CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, which the machine's figure ignores
USABLE = 0.9  # of what is free: others take some meanwhile
# In what torch and onnxruntime raise; oneDNN only says that it could not make what it needs.
SIGNS = re.compile(
    "allocate memory|out of memory|could not (create|execute) a primitive(?! desc)"
    "|could not create a memory"
)
ADVICE = "Close other programs, make it smaller, or say --detail guided."


def free_memory() -> int:
    """Memory that is free now, bytes; a container's limit counts."""
    return min(int(psutil.virtual_memory().available), _free_in_container())


@contextmanager
def room_for(width: int, height: int, needed: int, free: int) -> Iterator[None]:
    """Within it a picture is restored; too little memory, before or meanwhile, is a ``UserError``.

    Parameters
    ----------
    width, height : int
        Of the picture, pixels.
    needed, free : int
        Bytes that it takes at least, and that there are.
    """
    check_room(width, height, needed, free)
    try:
        yield
    except Exception as error:
        if not ran_out(error):
            raise
        raise UserError(
            f"A picture of {width}x{height} takes more memory than is free. {ADVICE}", 1
        ) from error


def check_room(width: int, height: int, needed: int, free: int) -> None:
    """``UserError`` where a picture takes more memory than there is; as for `room_for`."""
    if needed > USABLE * free:
        raise UserError(
            f"A picture of {width}x{height} takes {needed / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free. {ADVICE}",
            1,
        )


def ran_out(error: Exception | str) -> bool:
    """Whether torch or onnxruntime failed for want of memory, which both raise in several ways."""
    return SIGNS.search(str(error)) is not None


def _free_in_container() -> int:
    try:
        limit = int((CGROUP / "memory.max").read_text())
        return limit - int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # no container, or one without a limit
        return 2**63
