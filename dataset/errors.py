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
    if len(faults) == 1:
        return faults[0]
    more = [f"And {len(faults) - most:,} more."] if len(faults) > most else []
    return " ".join([f"{what}.", *faults[:most], *more])
