"""README, help and the tree say the same."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    return sorted(cli.main.commands)


def tree() -> list[tuple[str, str]]:
    """(path, what it is for) of each line of the tree in the README."""
    block = re.search(r"```text\ncli\.py.*?```", README, re.S)
    assert block, "the README has no tree"
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


@pytest.mark.parametrize("name", commands())
def test_every_option_has_help(name: str) -> None:
    for parameter in cli.main.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"cli {name} {parameter.name}"


def test_options_in_the_readme_exist() -> None:
    known = {
        text
        for name in commands()
        for parameter in cli.main.commands[name].params
        for text in parameter.opts
    }
    for line in re.findall(r"^cli .*$", README, re.M):
        for option in re.findall(r"(?<=\s)--[a-z-]+", line.split("#")[0]):
            assert option in known, line


def test_the_tree_names_every_file_and_nothing_else() -> None:
    named = {path for path, _ in tree() if path.endswith(".py")}
    rooms = ("capture", "dataset", "model", "benchmarks")
    there = {p.relative_to(ROOT).as_posix() for room in rooms for p in (ROOT / room).rglob("*.py")}
    there = {path for path in there if not path.endswith("__init__.py")} | {"cli.py"}
    assert named == there


def test_links_in_the_docs_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)\b", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
