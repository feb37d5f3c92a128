"""Every change of a file that fails, or is the last before a kill, leaves a whole state.

A sample of ``benchmarks/faults.py``, which tries all: each kind of operation at least once of each
command that needs no torch, and a few of the others. See ``helpers/faults.py`` for how.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.checks import cases, check, expect, sample
from helpers.commands import COMMANDS, Command
from helpers.faults import FAULTS, Fault, Outcome, why_not
from helpers.servers import Servers

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "all is there")
CASES, HEAVY_CASES = 7, 2  # of each command
QUICK = [each for each in COMMANDS if each.quick]


@pytest.mark.parametrize("command", QUICK, ids=lambda command: command.name)
def test_after_a_fault_readers_see_the_old_state_or_the_new_one(
    servers: Servers, command: Command, short_path: Path
) -> None:
    server = servers(command.heavy)
    expected = expect(server, command, short_path)
    tried = sample(expected, HEAVY_CASES if command.heavy else CASES)
    results = [check(server, expected, case, short_path) for case in tried]
    found = [f"{each.case}: {text}" for each in results for text in each.findings]
    assert not found, "\n".join(found)
    kinds = {each.kind for each in expected.outcome.operations}
    assert command.heavy or {case.operation.kind for case in tried} == kinds


def write_twice(folder: str) -> list[str]:
    return ["helpers.parts:write_twice", folder]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("work", "tmp", "run"):
        (tmp_path / "case" / name).mkdir(parents=True)
    return tmp_path / "case"


def run(servers: Servers, root: Path, fault: str, at: int) -> Outcome:
    chosen: Fault = next(each for each in FAULTS if each.name == fault)
    return servers(False).run(root, write_twice("."), chosen, at)


def test_operations_are_counted_in_their_order(servers: Servers, root: Path) -> None:
    outcome = servers(False).run(root, write_twice("."))
    assert outcome.code == 0, outcome.said
    assert [(each.kind, each.name) for each in outcome.operations] == [
        ("open", "/work/a"),
        ("write", "/work/a"),
        ("write", "/work/a"),
        ("fsync", "/work/a"),
        ("rename", "/work/b"),
    ]


@pytest.mark.parametrize(
    ("fault", "at", "left"),
    [
        ("ENOSPC", 2, {"a": b"0123456789"}),
        ("EIO", 3, {"a": b"01234567890123456789"}),
        ("EACCES", 0, {}),
        ("half, then ENOSPC", 1, {"a": b"01234"}),
        ("killed before", 1, {"a": b""}),
        ("killed after", 1, {"a": b"0123456789"}),
        ("killed after half", 1, {"a": b"01234"}),
        ("killed after", 4, {"b": b"01234567890123456789"}),
    ],
)
def test_the_nth_operation_fails_or_is_the_last(
    servers: Servers, root: Path, fault: str, at: int, left: dict[str, bytes]
) -> None:
    outcome = run(servers, root, fault, at)
    assert outcome.hit
    assert outcome.killed == fault.startswith("killed")
    assert {path.name: path.read_bytes() for path in (root / "work").iterdir()} == left


def test_what_runs_for_ever_is_ended(servers: Servers, root: Path) -> None:
    outcome = servers(False).run(root, ["helpers.parts:sleep"], limit_s=0.2)
    assert not outcome.in_time
    assert outcome.faults == ["it did not end"]


def test_each_fault_is_tried_at_each_operation(servers: Servers, tmp_path: Path) -> None:
    command = next(each for each in COMMANDS if each.name == "label again")
    expected = expect(servers(False), command, tmp_path)
    tried = [(case.fault.name, case.at) for case in cases(expected)]
    assert len(tried) == len(set(tried))
    assert {at for _, at in tried} == set(range(len(expected.outcome.operations)))
