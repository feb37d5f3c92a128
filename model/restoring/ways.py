"""The ways in which the page of ``cli restore --serve`` restores a picture, to compare them.

They are what the command was asked for, and two beside it: only its clipped areas (``--keep
unclipped``), and the earlier method in CIELAB (``--method cielab``). The network is loaded once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from dataset.errors import UserError
from model.options import RestoreOptions
from model.restoring import baselines, keeping
from model.restoring.methods import Restore

RESTORED = "restored"  # as asked for
WAYS: dict[str, Callable[[Restore], Restore]] = {
    RESTORED: lambda restore: restore,
    "unclipped": keeping.keeping_unclipped,
    "cielab": lambda restore: baselines.cielab,
}
"""Name -> what makes the way of the command's own method; results are named after it."""


def ways_beside(options: RestoreOptions) -> tuple[str, ...]:
    """The ways that differ from what these options ask for, after that itself.

    Examples
    --------
    >>> ways_beside(RestoreOptions(keep="unclipped"))
    ('restored', 'cielab')
    """
    plain = replace(options, method="cielab", threshold=None, keep="nothing")
    same = {"unclipped": options.keep == "unclipped", "cielab": options == plain}
    return tuple(way for way in WAYS if not same.get(way))


def find_way(name: str, offered: Collection[str]) -> str:
    """A way by its name.

    Raises
    ------
    UserError
        It is not offered.
    """
    if name not in offered:
        raise UserError(f"There is no way {name!r}. Choose one of: {', '.join(offered)}.")
    return name


def parse_share(text: str) -> float:
    """A share of the correction, as ``--strength`` takes it.

    Raises
    ------
    UserError
        It is not a number from 0 to 1.
    """
    try:
        share = float(text)
    except ValueError:
        share = float("nan")
    if not 0 <= share <= 1:
        raise UserError(f"The strength {text!r} is not a share. Choose a number from 0 to 1.")
    return share
