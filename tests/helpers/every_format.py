"""Runs a command on a folder of every format, and says what became of each file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from cli import main
from tests.helpers.made_every_format import READ, Each

COUNTED = re.compile(r"eft out: (.*?)\. [A-Z]")
COMMANDS = ("restore", "import", "expose")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    said: str
    fates: dict[str, str]  # by name: READ, or ``named: WORDS``; not of what was counted
    counted: Counter[str]  # by kind


def run(command: str, paths: Sequence[Path], out: Path) -> Ran:
    """`cli restore`, `cli import` or `cli expose` of files or a folder."""
    how = ["-o", str(out), "--method", "cielab"] if command == "restore" else ["--out", str(out)]
    done = CliRunner().invoke(main, [command, *map(str, paths), *how])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    said = done.output.replace("\r", "\n")  # of the progress
    fates = _named(said)
    if command == "restore":
        arrows = (line.split(" -> ")[0] for line in said.splitlines() if " -> " in line)
        fates |= {Path(each).name: READ for each in arrows}
    else:
        fates |= dict.fromkeys(_sources(out), READ)
    return Ran(done.exit_code, said, fates, _counted(said))


def expected(command: str, files: Sequence[Each]) -> dict[str, str]:
    """By name, what is to become of each file."""
    column = {"restore": "restore", "import": "imports", "expose": "expose"}[command]
    return {each.name: getattr(each, column) for each in files}


def _named(said: str) -> dict[str, str]:
    found = re.findall(
        r"^(?:Error: |skipped: )(?:.*[/\\])?([^/\\]*?\.\w+) (.*)$", said, re.MULTILINE
    )
    return {name: f"named: {words}" for name, words in found}


def _sources(out: Path) -> set[str]:
    lines = (line for file in out.glob("*/frames.jsonl") for line in file.read_text().splitlines())
    return {Path(json.loads(line)["source"]).name for line in lines}


def _counted(said: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for listed in COUNTED.findall(said):
        for part in listed.split(", "):
            count, _, kind = part.partition(" ")
            found[kind] += int(count)
    return found
