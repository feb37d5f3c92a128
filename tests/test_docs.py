"""README, docs, help and the tree say the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import cli

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ROOMS = ("capture", "dataset", "model")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
COMMANDS = (DOCS / "commands.md").read_text(encoding="utf-8")
RECORDING = (DOCS / "recording.md").read_text(encoding="utf-8")
ROOT_PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]
PAGES = [*ROOT_PAGES, *sorted(DOCS.glob("*.md"))]
CURRENT = [page for page in PAGES if page.name != "LOG.md"]  # the log keeps the names of its day
PATH = re.compile(r"(?:[\w*]+/)*[\w*]+\.(?:py|md|sh|nas|cfg|toml|yaml|css|js|html)")
WORDS = {"README.md": 1500, "README.ko.md": 1500}  # a README that nobody finishes helps nobody


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


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", text_of(page), re.M)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def code(page: Path) -> Iterator[str]:
    """Lines of code blocks, continued ones joined, and code within sentences."""
    text = text_of(page).replace("\\\n", " ")
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
def test_every_command_is_documented_and_helps_with_an_example(name: str) -> None:
    assert re.search(rf"^(\$ )?cli {name}\b(?!-)", COMMANDS + README, re.M)
    shown = CliRunner().invoke(cli.main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Example: cli {name}" in shown.output


@pytest.mark.parametrize("name", ["capture", "split", "train", "restore"])
def test_the_four_commands_are_in_the_readme_with_what_they_print(name: str) -> None:
    assert re.search(rf"^cli {name}\b", README, re.M)
    assert re.search(rf"^\$ cli {name}\b", README, re.M)


@pytest.mark.parametrize("name", subcommands())
def test_every_subcommand_is_in_the_manual_and_helps_with_an_example(name: str) -> None:
    assert re.search(rf"\bcli {name}\b(?!-)", COMMANDS + RECORDING)
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


@pytest.mark.parametrize(
    ("looked_for", "path", "holds"),
    [
        ("PNG", "dataset/pictures/png.py", "def encode_png("),
        ("losses", "model/losses.py", "def cycle_loss("),
        ("near-duplicate rule", "dataset/splitting/near_hashes.py", "def near_pairs("),
        ("hotkeys", "capture/control/hotkeys.py", "class Hotkeys"),
        ("token", "dataset/local_server.py", "secrets.token_"),
    ],
)
def test_a_stranger_finds_it_by_the_tree_in_one_step(
    looked_for: str, path: str, holds: str
) -> None:
    purposes = {place: what for place, what in tree() if re.search(rf"\b{looked_for}\b", what)}
    assert path in purposes
    assert holds in (ROOT / path).read_text(encoding="utf-8")


def test_the_tree_names_every_file_once_and_nothing_else() -> None:
    named = sorted(path for path, _ in tree() if path.endswith(".py"))
    rooms = (*ROOMS, "benchmarks")
    there = {p.relative_to(ROOT).as_posix() for room in rooms for p in (ROOT / room).rglob("*.py")}
    there = {path for path in there if not path.endswith("__init__.py")} | {"cli.py"}
    assert named == sorted(there)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_in_the_docs_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", text_of(page)):
        if target.startswith("http"):
            continue
        place = page.parent / target if target else page
        assert place.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(place), f"{page.name}: {target}#{anchor}"


def test_every_page_is_reached_from_the_readme_within_two_links() -> None:
    linked = {ROOT / "README.md"}
    for _ in range(2):
        for page in sorted(linked):
            targets = re.findall(r"\]\(([^)#]+\.md)[)#]", text_of(page))
            linked |= {(page.parent / target).resolve() for target in targets}
    assert set(PAGES) <= linked


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_files_of_the_project_named_in_the_docs_exist(page: Path) -> None:
    """`dataset/labelling/rules.py` from the root; `*` for several, NAME for one to be written."""
    for line in code(page):
        for path in PATH.findall(line):
            if "/" in path and "NAME" not in path and (ROOT / path.split("/")[0]).is_dir():
                assert list(ROOT.glob(path)), f"{page.name}: {path}"


def test_names_that_recipes_give_a_file_are_in_it() -> None:
    """`open_screen` of `capture/screens/mss.py`: the name is there."""
    text = " ".join(text_of(DOCS / "contributing.md").split())
    named = re.findall(r"`(\w+)` (?:of|in) `([\w/]+\.py)`", text)
    assert len(named) >= 4
    for name, path in named:
        assert re.search(rf"\b{name}\b", text_of(ROOT / path)), f"{name} in {path}"
    tests = "".join(text_of(path) for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_make_targets_in_the_docs_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in code(page):
        for target in re.findall(r"^make ([a-z][a-z-]*)", line):
            assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: {target}"


@cache
def said_by_the_code() -> str:
    """All texts of the program; what is filled in is one character that no page has."""
    texts = [(ROOT / "Makefile").read_text(encoding="utf-8")]
    for path in [ROOT / "cli.py", *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "\0" for p in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


@pytest.mark.slow
def test_the_transcript_says_what_the_program_says() -> None:
    """Its longer phrases; what stands between them is numbers and names."""
    transcript = re.findall(r"^```text\n(\$ cli.*?)^```", README, re.S | re.M)[0]
    printed = [line for line in transcript.splitlines() if not line.startswith("$")]
    phrases = re.findall(r"[a-z][a-z ]{14,}[a-z]", "\n".join(printed))
    assert len(phrases) > 4
    said = said_by_the_code()
    assert [each for each in phrases if each not in said] == []


def test_messages_in_the_troubleshooting_page_are_those_of_the_program() -> None:
    said = said_by_the_code()
    symptoms = re.findall(r"^\*\*(.+?)\*\*$", text_of(DOCS / "troubleshooting.md"), re.M)
    quoted = [each for symptom in symptoms for each in re.findall(r'"([^"]+)"', symptom)]
    assert len(quoted) > 15
    for message in quoted:
        for part in re.split(r"…|\bN\b", message):
            assert part.strip(" .") in said, message


@pytest.mark.parametrize("page", WORDS)
def test_the_readme_stays_short(page: str) -> None:
    path = ROOT / page if page == "README.md" else DOCS / page
    assert len(text_of(path).split()) < WORDS[page]
    assert text_of(path).count("\n") < 150


def test_paths_are_found_where_they_stand() -> None:
    assert PATH.findall("see dataset/pictures/png.py and model/*/page.py") == [
        "dataset/pictures/png.py",
        "model/*/page.py",
    ]
