"""README, docs, help and the tree say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RECORDING = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[str]:
    return sorted(cli.main.commands)


def all_commands(group: click.Group = cli.main, before: str = "") -> dict[str, click.Command]:
    """Name as it is typed, ``capture sweep``, -> command; groups and what is in them."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found[before + name] = command
        if isinstance(command, click.Group):
            found |= all_commands(command, f"{before}{name} ")
    return found


def subcommands() -> list[str]:
    return sorted(name for name in all_commands() if " " in name)


def code(page: Path) -> Iterator[str]:
    """Lines of code blocks, continued ones joined, and code within sentences."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for block in re.findall(r"^ *```\w*\n(.*?)```", text, re.S | re.M):
        yield from block.splitlines()
    prose = re.sub(r"^ *```.*?```", "", text, flags=re.S | re.M)
    for span in re.findall(r"`([^`]+)`", prose):
        yield " ".join(span.split())  # it may go on in the next line


def calls(line: str) -> Iterator[tuple[str, list[str]]]:
    """(command, options) of each call of ``cli`` in a line of code; comments are left out."""
    for call in re.findall(r"(?:^|[\s/\\])cli(?:\.exe)?((?: +\S+)+)", line.split(" #")[0]):
        name, known = "", all_commands()
        for word in call.split():
            if f"{name} {word}".strip() not in known:
                break
            name = f"{name} {word}".strip()
        yield name or call.split()[0], re.findall(r"(?<=\s)--[a-z][a-z-]*", call)


def tree() -> list[tuple[str, str]]:
    """(path, what it is for) of each line of the tree in docs/architecture.md."""
    block = re.search(r"```text\ncli\.py.*?```", ARCHITECTURE, re.S)
    assert block, "docs/architecture.md has no tree"
    found, folders = [], []
    for line in block.group().splitlines()[1:-1]:
        match = re.match(r"( *)(\S+)\s+(\S.*)", line)
        assert match, line
        depth = len(match[1]) // 2
        folders[depth:] = [match[2]]
        found.append(("".join(folders), match[3]))
    return found


@pytest.mark.parametrize("name", commands())
def test_every_command_is_in_the_readme_and_helps_with_an_example(name: str) -> None:
    assert f"cli {name}" in README
    shown = CliRunner().invoke(cli.main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Example: cli {name}" in shown.output


@pytest.mark.parametrize("name", subcommands())
def test_every_subcommand_is_in_the_manual_and_helps_with_an_example(name: str) -> None:
    assert re.search(rf"\bcli {name}\b(?!-)", README + RECORDING)
    shown = CliRunner().invoke(cli.main, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Example: cli {name}( |$)", shown.output, re.M)


@pytest.mark.parametrize("name", sorted(all_commands()))
def test_every_option_has_help(name: str) -> None:
    for parameter in all_commands()[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"cli {name} {parameter.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_in_the_docs_exist(page: Path) -> None:
    known = all_commands()
    for line in code(page):
        for name, options in calls(line):
            if not re.fullmatch(r"[a-z][a-z -]*", name):
                continue  # `cli …` and the like
            assert name in known, f"{page.name}: {line}"
            there = {each for parameter in known[name].params for each in parameter.opts}
            there |= {each for parameter in known[name].params for each in parameter.secondary_opts}
            for option in options:
                assert option in there | {"--help"}, f"{page.name}: {line}"


def test_calls_are_found_where_they_stand() -> None:
    assert list(calls("DISPLAY=:90 cli capture sweep --key x  # cli none --bad")) == [
        ("capture sweep", ["--key"])
    ]
    assert list(calls("$ cli capture --hotkey --no-develop")) == [
        ("capture", ["--hotkey", "--no-develop"])
    ]
    assert list(calls("see cli.py")) == []


def test_the_tree_names_every_file_and_nothing_else() -> None:
    named = {path for path, _ in tree() if path.endswith(".py")}
    rooms = ("capture", "dataset", "model", "benchmarks")
    there = {p.relative_to(ROOT).as_posix() for room in rooms for p in (ROOT / room).rglob("*.py")}
    there = {path for path in there if not path.endswith("__init__.py")} | {"cli.py"}
    assert named == there


def test_links_in_the_docs_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)\b", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
