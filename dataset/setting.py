"""A setting's one description: its default, its help text and the values it may have.

Commands make their options from it, so that a setting is explained once. Standard library only.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, TypeVar

Value = TypeVar("Value")


def setting(default: Value, text: str = "", **about: Any) -> Value:
    """A field of a frozen dataclass of settings.

    Parameters
    ----------
    default : immutable value
    text : str
        One line for ``--help``, units included; empty where no command has an option for it.
    about
        ``choices``: all valid values. ``old_choices``: earlier words for them, still accepted.
        ``least``, ``most``, ``below``: bounds of a number.
        ``flag``: the option's name, where it differs from the field's. ``short``, ``aliases``:
        further names. ``shown``: the default in
        words. ``metavar``. ``form``: of several numbers, such as ``WxH``. ``folder``: whether a
        path is a folder.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Options:
    ...     steps: int = setting(10, "Number of steps.", least=1)
    >>> Options().steps, Options.__dataclass_fields__["steps"].metadata["help"]
    (10, 'Number of steps.')
    """
    return field(default=default, metadata={"help": text, **about})
