"""Two commands at once in one folder: one of them stopped at an operation while the other runs.

Afterwards the state is that of one of them, or of both in an order; never a mixture. Who loses
says so in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.checks import PATIENCE_S, is_broken, is_part, look, owned
from helpers.commands import BY_NAME, EVALUATE, PARTS, RESUME, Command, fresh, prepared, results_of
from helpers.faults import Outcome, Server


@dataclass(frozen=True)
class Pair:
    """Two commands that meet; the first is stopped on its way."""

    name: str
    command: Command  # whose folder and readers
    other: Sequence[str] = ()  # empty: the same command

    @property
    def calls(self) -> tuple[Sequence[str], Sequence[str]]:
        return self.command.call, self.other or self.command.call


def _pair(name: str, other: Sequence[str] = (), called: str = "") -> Pair:
    return Pair(called or f"{name} + {name}", BY_NAME[name], other)


PAIRS = [
    _pair("import pictures"),
    _pair("import a video"),
    _pair("repair"),
    _pair("repair a spool"),
    _pair("label"),
    _pair("label again", [f"{PARTS}label_one", "captures", "1", "drop"], "label + review"),
    _pair("label, edited by hand"),
    _pair(
        "label, edited by hand",
        [f"{PARTS}label_one", "captures", "2", "drop"],
        "label, edited by hand + review",
    ),
    _pair("review"),
    _pair("split"),
    _pair(
        "split",
        ["cli", "split", "--counts", "3,3,1,1", "--seed", "5", "--link", "copy"],
        "split + another split",
    ),
    _pair("split, copies, over an earlier one"),
    _pair("restore"),
    _pair("restore --compare --overwrite"),
    _pair("restore a video"),
    _pair("capture"),
    _pair("capture, h264"),
    _pair("train"),
    _pair("train --resume"),
    _pair("train --resume", [*RESUME, "--steps", "3"], "train --resume + another"),
    _pair("evaluate --out"),
    _pair(
        "evaluate --out over an earlier one",
        [*EVALUATE, "--methods", "ycbcr"],
        "evaluate + another evaluate",
    ),
    _pair("export, safetensors"),
    _pair("export, onnx"),
    _pair("figures"),
    _pair("demo, over an earlier one"),
]


@dataclass(frozen=True)
class Alone:
    """A pair, and the states that may come of it."""

    pair: Pair
    template: Path
    states: list[Any]
    operations: int
    mine: dict[str, str]


def alone(server: Server, pair: Pair, folder: Path) -> Alone:
    """Run each by itself, and both in either order."""
    template = prepared(pair.command, folder / "made")
    orders = [[pair.calls[0]]] if not pair.other else [[0], [1], [0, 1], [1, 0]]
    states: list[Any] = []
    operations = 0
    mine: dict[str, str] = {}
    for order in orders:
        root = fresh(template, folder / "case")
        mine = owned(pair.command, root)
        for at in order:
            call = pair.calls[at] if isinstance(at, int) else at
            outcome = server.run(root, call, limit_s=PATIENCE_S)
            operations = operations or len(outcome.operations)
        state = look(pair.command, root)
        if state not in states:
            states.append(state)
    return Alone(pair, template, states, operations, mine)


@dataclass
class Met:
    """What became of two at once."""

    at: int  # the operation at which the first one waited; -1: both began together
    outcomes: tuple[Outcome, Outcome]
    findings: list[str]

    @property
    def codes(self) -> str:
        return " ".join(str(each.code) for each in self.outcomes)


def meet(server: Server, found: Alone, at: int, folder: Path, patience_s: float = 0.7) -> Met:
    """Let two meet at an operation of the first, and look at what is left."""
    pair = found.pair
    root = fresh(found.template, folder / "case")
    outcomes = server.run_two(root, pair.calls, at, patience_s)
    findings = [
        f"{which}: {fault}"
        for which, each in zip(("first", "second"), outcomes, strict=True)
        for fault in each.faults
    ]
    state = look(pair.command, root)
    if is_broken(state):
        findings.append(f"a reader stumbles: {state[1]}")
    elif not any(each.code == 0 for each in outcomes):
        findings.append("none of the two succeeds")
    elif state not in found.states and not _is_mine(pair, state, found.states):
        findings.append(f"a mixture: {results_of(state)}")
    if owned(pair.command, root) != found.mine:
        findings.append("the user's own files are changed")
    parts = [path.relative_to(root).as_posix() for path in root.rglob("*.part")]
    if parts:
        findings.append(f"left behind: {', '.join(parts[:3])}")
    return Met(at, outcomes, findings)


def _is_mine(pair: Pair, state: Any, states: list[Any]) -> bool:
    """Files that are each by itself of one or the other; recordings that ended early."""
    if pair.command.each and isinstance(state, dict):
        return all(any(value == each.get(name) for each in states) for name, value in state.items())
    return pair.command.prefix and any(is_part(state, each) for each in states) and state != []


def places(operations: int, count: int) -> list[int]:
    """Operations spread over all of them, and -1 for a common start."""
    step = max(1, operations // count)
    return [-1, *range(step // 2 if step > 1 else 0, operations, step)]
