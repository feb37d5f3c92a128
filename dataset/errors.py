"""The one exception that a user can mend, and how several are told. Imports nothing."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """A fault that the user can mend: what is wrong, and what to do about it.

    Only ``cli.py`` shows it, as one message without a traceback.

    Parameters
    ----------
    what : str
        One to three plain sentences: what is wrong, with the path or flag it concerns. They may
        end with the remedy, where nobody needs it apart.
    exit_code : int
        2 for a fault in what was asked, 1 for a fault met on the way.
    remedy : str
        What to do, for those who show it apart.

    Examples
    --------
    >>> error = UserError("There is no monitor 3.", remedy="Choose another --monitor.")
    >>> str(error)
    'There is no monitor 3. Choose another --monitor.'
    """

    def __init__(self, what: str, exit_code: int = 2, *, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".rstrip())
        self.what, self.remedy = what, remedy
        self.exit_code = exit_code


def several(what: str, faults: Sequence[str], most: int = 3) -> str:
    """Many faults as one message: how many there are, and the first few.

    Parameters
    ----------
    what : str
        What they have in common, without a full stop.
    faults : sequence of str
        Sentences, one at least. A single one stands for itself.

    Examples
    --------
    >>> several("3 of 9 pictures cannot be used", ["a is GIF.", "b is PDF.", "c."], most=2)
    '3 of 9 pictures cannot be used. a is GIF. b is PDF. And 1 more.'
    """
    return faults[0] if len(faults) == 1 else f"{what}. {first_of(faults, most)}"


def first_of(faults: Sequence[str], most: int = 3) -> str:
    """The first few of many faults, and how many more there are, on one line."""
    more = [f"And {len(faults) - most:,} more."] if len(faults) > most else []
    return " ".join([*faults[:most], *more])


class BrokenPictures(UserError):
    """Pictures of a list that cannot be used, each with its reason.

    Parameters
    ----------
    faults : sequence of str
        Sentences, one at least.
    of : int
        How many pictures there are.
    """

    def __init__(self, faults: Sequence[str], of: int) -> None:
        super().__init__(
            several(f"{len(faults):,} of {of:,} pictures cannot be used", faults, most=5),
            1,
            remedy="Leave them out, get whole copies, or convert them to PNG.",
        )
        self.faults, self.of = list(faults), of
