"""A few damaged inputs for every reader of what comes from outside; the same ones each time.

``benchmarks/fuzz.py`` tries as many as there is time for, each reader in a process of its own.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT

INPUTS = 25
FEWER = {"journal": 8, "spool": 8, "video": 4, "log": 10, "picture": 50, "hdr": 60, "frame": 50}
NAMES = [
    *("line", "manifest", "journal", "spool", "labels", "statistics", "review", "amendments"),
    *("session", "split", "pairs", "options", "exposure", "log", "held-out", "best-note"),
    *("frame-cache", "checkpoint", "pth", "safetensors", "onnx", "physical-onnx", "picture"),
    *("hdr", "frame", "hud", "imported", "video", "review-page", "restore-page", "control"),
    *("page-bytes", "recorder-answer", "endpoint", "flightgear", "video-format", "consent"),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("measured_once"),
    # What libraries say of damaged files is shown to nobody: commands say it in their own words.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(sys.platform == "win32", reason="some readers are sockets of POSIX"),
]


@pytest.fixture(scope="module")
def fuzz() -> Iterator[Any]:
    """The benchmark; what its readers hold open is closed at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import fuzz
        import fuzz_doors

        from capture.control import channel

        patch.setattr(channel._Server, "handle_error", channel._Server.handle_error)
        patch.setenv("XDG_RUNTIME_DIR", "")
        patch.setenv("XDG_STATE_HOME", "")
        with fuzz_doors.OPEN:
            yield fuzz


def test_no_reader_is_left_out(fuzz: Any) -> None:
    assert list(fuzz.READERS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_is_damaged_is_read_or_refused(fuzz: Any, name: str, tmp_path: Path) -> None:
    seeds, mutate, read = fuzz.READERS[name](tmp_path)
    chance = random.Random(f"{name} 0")
    for number in range(FEWER.get(name, INPUTS)):
        data = mutate(chance, seeds)
        outcome = fuzz.attempt(read, data)
        assert outcome in ("read", "refused"), f"input {number}: {outcome}: {data[:200]!r}"


def test_what_must_not_happen_is_a_finding(fuzz: Any, tmp_path: Path) -> None:
    def refuse(data: bytes) -> None:
        raise ValueError(data)

    def break_down(data: bytes) -> None:
        raise KeyError(data)

    assert fuzz.attempt(len, b"") == "read"
    assert fuzz.attempt(refuse, b"") == "refused"
    assert fuzz.attempt(break_down, b"") == "KeyError: b''"
