"""Options of the command line, made of settings: one for each field that has a help text.

Knows click, and no command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click

from dataset.names import check_length, check_windows_path

Presets = Mapping[str, Callable[[], Any]]  # name -> what makes its settings


class Numbers(click.ParamType):
    """Whole numbers with a separator between them: ``1280x720`` or ``0,0,640,480``."""

    def __init__(self, name: str, separator: str, count: int, least: int | None = 0) -> None:
        self.name, self.separator, self.count, self.least = name, separator, count, least

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in str(value).lower().split(self.separator))
        except ValueError:
            numbers = ()
        if len(numbers) != self.count or (self.least is not None and min(numbers) < self.least):
            quoted = " (PowerShell needs quotes around it)" if self.separator == "," else ""
            self.fail(f"{value!r} is not of the form {self.name}{quoted}", param, context)
        return numbers


class Place(click.Path):
    """A path; on Windows one that leads to a file or folder, rather than to a device."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path: Any = super().convert(value, param, ctx)
        if os.name == "nt" and isinstance(param, click.Option):  # arguments may be patterns
            check_windows_path(path, param.opts[-1])
            check_length(path, param.opts[-1], folder=not self.file_okay)
        return path


FOLDER, FILE = Place(file_okay=False, path_type=Path), Place(path_type=Path)


def options_of(
    settings: type, *names: str, without: tuple[str, ...] = (), changing: Presets | None = None
) -> Callable[..., Any]:
    """Options made of a dataclass of settings, in its order.

    Parameters
    ----------
    settings : type
        The dataclass. Its fields with a help text become options.
    names, without
        Only these fields; all but these.
    changing : mapping, optional
        Presets that the options change, by name: their value is None where they are not given.
    """
    kinds = get_type_hints(settings)
    made = [
        _option(each, kinds[each.name], changing)
        for each in fields(settings)
        if each.metadata.get("help") and each.name in (names or kinds) and each.name not in without
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(made):
            command = option(command)
        return command

    return decorate


def _option(field: Field[Any], kind: Any, changing: Presets | None) -> Callable[..., Any]:
    """One option. Types follow the field's annotation and the bounds beside it."""
    about = field.metadata
    flags = [about.get("flag", field.name), *about.get("aliases", ())]
    flags = ["--" + each.replace("_", "-") for each in flags]
    kinds = {each for each in get_args(kind) or (kind,) if each is not type(None)}
    shown = about.get("shown", "") if not changing else _presets(field, changing)
    default = None if changing else field.default
    if kinds == {bool}:
        if changing or default:
            flags = [f"{each}/--no-{each[2:]}" for each in flags]
        return click.option(
            *flags, field.name, default=default, is_flag=True, help=_helped(about["help"], shown)
        )
    return click.option(
        *about.get("short", ()),
        *flags,
        field.name,
        type=_type_of(about, kinds),
        default=default,
        metavar=about.get("metavar", about.get("form")),
        show_default=not shown and default not in (None, ""),
        help=_helped(about["help"], shown),
    )


def _helped(text: str, shown: str) -> str:
    return f"{text}  [{shown if ':' in shown else f'default: {shown}'}]" if shown else text


def _presets(field: Field[Any], presets: Presets) -> str:
    """The default in words: of each preset, where they differ."""
    if "shown" in field.metadata:
        return str(field.metadata["shown"])
    wide = {name: make() for name, make in presets.items()}
    values = {
        name: str(getattr(each, field.name, getattr(each.network, field.name, "")))
        for name, each in wide.items()
    }
    if len(set(values.values())) == 1:
        return "" if values["paper"] in ("None", "") else values["paper"]
    return ", ".join(f"{name}: {value}" for name, value in values.items())


def _type_of(about: Any, kinds: set[Any]) -> Any:
    """click's type of an option."""
    bounds = {"min": about.get("least"), "max": about.get("most", about.get("below"))}
    if about.get("choices"):
        return Choice(about["choices"], about.get("old_choices", {}))
    if "form" in about:
        separator = "," if "," in about["form"] else "x"
        count = about["form"].count(separator) + 1
        return Numbers(about["form"], separator, count, about.get("least", int(separator == "x")))
    if kinds == {Path}:
        return FOLDER if about.get("folder") else FILE
    if bounds == {"min": None, "max": None}:
        return kinds.pop()
    return (
        click.IntRange(**bounds)
        if kinds == {int}
        else click.FloatRange(**bounds, max_open="below" in about)
    )


class Choice(click.Choice):
    """A choice that also takes the words of earlier versions."""

    def __init__(self, choices: Sequence[str], old: Mapping[str, str]) -> None:
        super().__init__(choices)
        self.old = old

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(self.old.get(value, value), param, ctx)
