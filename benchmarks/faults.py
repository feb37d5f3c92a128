"""Every command that writes, with every fault at every one of its operations; or twice at once.

The n-th write, rename, link, removal and so on fails (a full disk, an input/output error, no
permission, half a write), or the process is killed there: before, after, half-way. After each the
readers must see the old state or the new one, nothing else of the user's may have changed, and the
same command must succeed when it is run again. With ``--twice`` every command meets itself, or
another one, in the same folder: the first is stopped at each of its operations while the second
runs. Exit code 1 where anything is otherwise. How it works: ``tests/helpers/faults.py``.

Example: python benchmarks/faults.py --only split
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from helpers import checks, twice  # type: ignore[import-not-found]  # noqa: E402
from helpers.commands import (  # type: ignore[import-not-found]  # noqa: E402
    COMMANDS,
    HEAVY,
    PLAIN,
    Command,
)
from helpers.faults import (  # type: ignore[import-not-found]  # noqa: E402
    Injector,
    Server,
    why_not,
)

SHOWN = 3  # findings of a kind that are printed


def kind_of(finding: str) -> str:
    """A finding without its numbers and names, to count alike ones."""
    return re.sub(r"\d+|(?<=: )[\[{\"].*", "#", finding)[:90]


def print_findings(found: Sequence[tuple[str, str]]) -> None:
    """Each kind of finding with how often, and a few of them with where."""
    counts = Counter(kind_of(text) for _, text in found)
    for kind, count in counts.most_common():
        alike = [(where, text) for where, text in found if kind_of(text) == kind]
        print(f"    {count} x {kind}")
        for where, text in alike[:SHOWN]:
            print(f"        {where}\n            {text}", flush=True)


def try_command(server: Server, command: Command, folder: Path, most: int) -> tuple[int, int, int]:
    """All faults of one command: operations, cases and cases with findings."""
    begin = time.perf_counter()
    expected = checks.expect(server, command, folder)
    tried = checks.sample(expected, most) if most else list(checks.cases(expected))
    results = [checks.check(server, expected, case, folder) for case in tried]
    bad = [each for each in results if each.findings]
    operations = len(expected.outcome.operations)
    seconds = time.perf_counter() - begin
    print(f"{command.name:36}{operations:6}{len(tried):7}{len(bad):7}{seconds:8.0f}", flush=True)
    print_findings([(str(each.case), text) for each in bad for text in each.findings])
    return operations, len(tried), len(bad)


def try_pair(server: Server, pair: twice.Pair, folder: Path, most: int) -> tuple[int, int, int]:
    """Two commands that meet at each operation of the first."""
    begin = time.perf_counter()
    found = twice.alone(server, pair, folder)
    places = twice.places(found.operations, most or found.operations)
    met = [twice.meet(server, found, at, folder) for at in places]
    bad = [each for each in met if each.findings]
    codes = ", ".join(f"{codes}: {count}" for codes, count in Counter(e.codes for e in met).items())
    seconds = time.perf_counter() - begin
    print(f"{pair.name:46}{len(met):6}{len(bad):6}{seconds:7.0f}   {codes}", flush=True)
    print_findings([(f"at {each.at}", text) for each in bad for text in each.findings])
    return found.operations, len(met), len(bad)


def run_all(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[int, int, int]]:
    """The commands, or the pairs, that were asked for."""
    work = twice.PAIRS if asked.twice else COMMANDS
    heavy = {True: HEAVY, False: ()}
    injector = Injector(folder)
    for needs in (False, True):
        chosen = [
            each
            for each in work
            if asked.only in each.name and (each.command if asked.twice else each).heavy == needs
        ]
        if not chosen:
            continue
        for each in chosen:
            with injector.server(*PLAIN, *heavy[needs]) as server:
                place = folder / each.name.replace(" ", "_")
                act = try_pair if asked.twice else try_command
                try:
                    yield act(server, each, place, asked.most)
                except AssertionError as error:
                    print(f"{each.name}: {error}", flush=True)
                    yield 0, 1, 1


def main() -> int:
    """Try all of it; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="commands whose name contains this")
    parser.add_argument("--twice", action="store_true", help="two at once instead of faults")
    parser.add_argument("--most", type=int, default=0, help="cases of a command; 0: all")
    asked = parser.parse_args()
    if why_not():
        print(f"left out: {why_not()}")
        return 0
    begin = time.perf_counter()
    if asked.twice:
        print(f"{'two at once':46}{'met':>6}{'bad':>6}{'s':>7}   exit codes: how often")
    else:
        print(f"{'command':36}{'ops':>6}{'cases':>7}{'bad':>7}{'s':>8}")
    with tempfile.TemporaryDirectory(prefix="f") as name:
        counted = list(run_all(asked, Path(name)))
    operations, tried, bad = (sum(column) for column in zip(*counted, strict=True))
    minutes = (time.perf_counter() - begin) / 60
    print(
        f"\n{len(counted)} {'pairs' if asked.twice else 'commands'}, {operations} operations, "
        f"{tried} cases, {bad} with findings, {minutes:.1f} min"
    )
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
