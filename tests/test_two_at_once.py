"""Every command twice at once in one folder: the state is that of one of them, never a mixture.

Real processes: the first is stopped between two of its operations, the second runs until it ends
or waits for the first, which then goes on. ``benchmarks/faults.py --twice`` stops at all of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.faults import why_not
from helpers.servers import Servers
from helpers.twice import PAIRS, Pair, alone, meet, places

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "all is there")
MEETINGS = 2
QUICK = [each for each in PAIRS if each.command.quick]


@pytest.mark.parametrize("pair", QUICK, ids=lambda pair: pair.name)
def test_two_at_once_leave_the_state_of_one(servers: Servers, pair: Pair, short_path: Path) -> None:
    server = servers(pair.command.heavy)
    found = alone(server, pair, short_path)
    count = 1 if pair.command.heavy else MEETINGS
    met = [meet(server, found, at, short_path) for at in places(found.operations, count)]
    findings = [f"at {each.at} ({each.codes}): {text}" for each in met for text in each.findings]
    assert not findings, "\n".join(findings)
