"""The check of known holes: a hole ends with 1, a machine that can ask nobody says so with 0."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from typing import Any

import pytest
from helpers import ROOT

spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
assert spec is not None
assert spec.loader is not None
audit: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)

SOUND = {"name": "a", "version": "1.0", "vulns": []}
HOLE = {"id": "PYSEC-1", "aliases": ["CVE-2"], "fix_versions": ["1.1"], "description": "bad"}
HOLED = {"name": "b", "version": "1.0", "vulns": [HOLE]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found"}


def run(monkeypatch: pytest.MonkeyPatch, *answers: list[dict[str, Any]] | str) -> tuple[int, int]:
    """The exit code, and how many services were asked, when they answer so."""
    asked = iter(answers)
    count = 0

    def answer(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        nonlocal count
        count += 1
        said = next(asked)
        if said == "hangs":
            raise subprocess.TimeoutExpired(command, 1)
        if isinstance(said, str):
            return subprocess.CompletedProcess(command, 1, "", said)
        return subprocess.CompletedProcess(command, 1, json.dumps({"dependencies": said}), "")

    monkeypatch.setattr(audit.subprocess, "run", answer)
    monkeypatch.setattr(audit.importlib.util, "find_spec", lambda name: name)
    return audit.main(), count


def test_a_hole_is_named_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [SOUND, HOLED]) == (1, 1)
    said = capsys.readouterr().out
    assert "b 1.0: PYSEC-1 CVE-2, mended in 1.1" in said
    assert "1 known holes in 2 packages" in said


def test_packages_without_holes_end_with_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [SOUND, UNKNOWN]) == (0, 1)
    said = capsys.readouterr().out
    assert "not checked: c: Dependency not found" in said
    assert "0 known holes in 1 packages" in said


@pytest.mark.parametrize("first", ["Traceback\nConnectionError: no route", "hangs", [UNKNOWN], ""])
def test_another_service_is_asked_where_the_first_cannot_be(
    monkeypatch: pytest.MonkeyPatch, first: list[dict[str, Any]] | str
) -> None:
    assert run(monkeypatch, first, [HOLED]) == (1, 2)


def test_where_nobody_can_be_asked_it_says_that_nothing_was_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, [UNKNOWN], "Traceback\nConnectionError: no route") == (0, 2)
    said = capsys.readouterr().out
    assert "NOT CHECKED" in said
    assert "it knows none of the packages" in said
    assert "ConnectionError: no route" in said


def test_without_pip_audit_the_install_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit.importlib.util, "find_spec", lambda name: None)
    assert audit.main() == 2
    assert "Install with" in capsys.readouterr().err
