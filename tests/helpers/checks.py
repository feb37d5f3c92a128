"""What must hold after a fault: readers see the old state or the new one, and a second try works.

Every finding is a sentence that says what is wrong; none is raised, so that all can be listed.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.pictures.hashing import sha256
from helpers.commands import Command, fresh, prepared, results_of
from helpers.faults import ALL, FAULTS, Fault, Operation, Outcome, Server
from helpers.readers import REFUSED

PATIENCE_S = 180.0  # for the first time, which loads what the command needs
BROKEN = "broken"  # a state that a reader stumbles over


@dataclass(frozen=True)
class Case:
    """One fault at one operation of a command."""

    command: Command
    fault: Fault
    at: int
    operation: Operation

    def __str__(self) -> str:
        what = f"{self.operation.kind} of {self.operation.name}"
        return f"{self.command.name}: {self.fault.name} at operation {self.at}, {what}"


@dataclass(frozen=True)
class Expected:
    """A command without a fault."""

    command: Command
    template: Path
    old: Any
    new: Any
    states: list[Any]  # in their order, where a part of the new one is a state as well
    mine: dict[str, str]
    outcome: Outcome


@dataclass
class Result:
    """What became of one case."""

    case: Case
    outcome: Outcome
    findings: list[str]


def look(command: Command, root: Path) -> Any:
    """What readers see; ``BROKEN`` and why, where they stumble."""
    try:
        return command.look(root / "work")
    except Exception:
        last = traceback.format_exc().strip().splitlines()[-1]
        return [BROKEN, last[:300]]


def is_broken(state: Any) -> bool:
    return isinstance(state, list) and state[:1] == [BROKEN]


def expect(server: Server, command: Command, folder: Path) -> Expected:
    """Run a command without a fault, in a copy of its folder."""
    template = prepared(command, folder / "made")
    root = fresh(template, folder / "case")
    old, mine = look(command, root), owned(command, root)
    outcome = server.run(root, command.call, limit_s=PATIENCE_S)
    assert outcome.code == 0, f"{command.name} fails by itself: {outcome.code} {outcome.said}"
    new = look(command, root)
    assert not is_broken(new), f"{command.name}: {new}"
    assert owned(command, root) == mine, f"{command.name} changes the user's files"
    states = command.states(template, folder / "states") if command.states else []
    return Expected(command, template, old, new, states, mine, outcome)


def owned(command: Command, root: Path) -> dict[str, str]:
    """The user's own files: those beside the folder, and those that the command only reads."""
    found = [path for path in (root / "mine").rglob("*") if path.is_file()]
    for pattern in command.mine:
        found += [path for path in (root / "work").glob(pattern) if path.is_file()]
    return {path.relative_to(root).as_posix(): sha256(path.read_bytes()) for path in found}


def cases(expected: Expected) -> Iterator[Case]:
    """Every fault at every operation at which it can happen."""
    for at, operation in enumerate(expected.outcome.operations):
        for fault in FAULTS:
            if operation.kind in fault.kinds:
                yield Case(expected.command, fault, at, operation)


def sample(expected: Expected, count: int) -> list[Case]:
    """Some cases, always the same, faults by turns: each kind of operation at least once.

    Of commands that take long, no more than asked for.
    """
    every = list(cases(expected))
    chosen: list[Case] = []
    for turn, kind in enumerate(sorted(ALL)):
        of_kind = [case for case in every if case.operation.kind == kind]
        if of_kind:
            chosen.append(of_kind[(turn * 7919 + 3) % len(of_kind)])
    if expected.command.heavy and count < len(chosen):
        return chosen[:: max(1, len(chosen) // count)][:count]
    left = max(0, count - len(chosen))
    step = max(1, len(every) // (left + 1))
    return chosen + every[step // 2 :: step][:left]


def check(server: Server, expected: Expected, case: Case, folder: Path) -> Result:
    """Let a fault happen, look at what is left, and do it again without one."""
    command = case.command
    root = fresh(expected.template, folder / "case")
    outcome = server.run(root, command.call, case.fault, case.at)
    findings = list(outcome.faults)
    state = look(command, root)
    findings += _judge(expected, outcome, state, case)
    findings += _changed(expected, root)
    if not outcome.killed and case.operation.kind != "unlink":
        findings += _litter(root, "left behind", expected.template)
    findings += _again(server, expected, root, state)
    return Result(case, outcome, findings)


def _judge(expected: Expected, outcome: Outcome, state: Any, case: Case) -> list[str]:
    """Whether what readers see is a state that they may see."""
    if is_broken(state):
        return [f"a reader stumbles: {state[1]}"]
    told = outcome.said.count(expected.command.known) if expected.command.known else 0
    if outcome.code == 0 and state != expected.new:
        return [f"exit code 0, but not the new state: {results_of(state)}"]
    if outcome.killed != (case.fault.kills and outcome.hit):
        return [f"it ended otherwise than asked for: {outcome.code}, {outcome.last_line}"]
    if not allowed(expected, state, told):
        return [f"neither the old state nor the new one: {results_of(state)}"]
    if expected.states and not outcome.killed and state != expected.states[told]:
        return [f"what was refused counts, or what was told does not: {results_of(state)}"]
    return []


def allowed(expected: Expected, state: Any, told: int = 0) -> bool:
    """Whether a state may be there after an accident."""
    command, old, new = expected.command, expected.old, expected.new
    if expected.states:
        return state in expected.states[told:]
    if state in (old, new) or (command.refused and state == REFUSED):
        return True
    if command.each and isinstance(state, dict):
        olds, news = old or {}, new or {}
        return all(state.get(n) in (olds.get(n), news.get(n)) for n in {*state, *olds, *news})
    return command.prefix and is_part(state, new)


def is_part(state: Any, whole: Any) -> bool:
    """Some of the rows in their order, or fewer steps; nothing is a part of everything."""
    if isinstance(state, int) and isinstance(whole, int):
        return state <= whole
    if state is None or not isinstance(state, list) or not isinstance(whole, list):
        return state is None
    rest = iter(whole)
    return all(row in rest for row in state)


def _changed(expected: Expected, root: Path) -> list[str]:
    now = owned(expected.command, root)
    names = sorted(n for n in {*now, *expected.mine} if now.get(n) != expected.mine.get(n))
    return [f"the user's own files are changed: {', '.join(names[:5])}"] if names else []


def _litter(root: Path, when: str, before: Path | None = None) -> list[str]:
    """Parts of files that are not whole, except those that were there before."""
    parts = [path.relative_to(root) for path in root.rglob("*.part")]
    new = [path.as_posix() for path in parts if before is None or not (before / path).exists()]
    return [f"{when}: {', '.join(new[:3])}"] if new else []


def _again(server: Server, expected: Expected, root: Path, before: Any) -> list[str]:
    """Do what a user would do, until it is done."""
    command, said = expected.command, []
    for call in command.again or (command.call,):
        outcome = server.run(root, call)
        said.append(outcome.last_line)
        if outcome.faults:
            return [f"again: {each}" for each in outcome.faults]
        if outcome.code == 0:
            break
    state = look(command, root)
    if is_broken(state):
        return [f"again: a reader stumbles: {state[1]}"]
    enough = command.prefix and is_part(state, expected.new)
    if enough and before != REFUSED:
        enough = is_part(before, state)  # nothing that was there is lost
    findings = _litter(root, "left behind when it was done again") + _changed(expected, root)
    if state != expected.new and not enough:
        findings.append(f"again: not the new state ({' | '.join(said)}): {results_of(state)}")
    elif outcome.code != 0 and "exist" not in outcome.said:
        findings.append(f"again: exit code {outcome.code}: {' | '.join(said)}")
    return findings
