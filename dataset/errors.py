"""The one exception that a user can mend. Imports nothing."""

from __future__ import annotations


class UserError(Exception):
    """A fault that the user can mend.

    The message says what is wrong, which path or flag it concerns and what to do next.
    Only ``cli.py`` shows it, without a traceback.

    Parameters
    ----------
    message : str
        One to three plain sentences.
    exit_code : int
        2 for a fault in what was asked, 1 for a fault met on the way.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
