"""How this program starts its own modules, and what it says where something is not installed."""

from __future__ import annotations

import sys
from importlib import metadata

import pytest

from dataset import own_program


def test_a_module_is_started_by_this_python() -> None:
    assert own_program.module_command("capture.game", "--hud") == [
        *(sys.executable, "-m", "capture.game", "--hud")
    ]


def test_a_clone_has_a_version_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert own_program.version() == "of a clone, not installed"


def test_nothing_is_installed_into_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_program.how_to_install("train") == "Install with: pip install 'unclip[train]'"
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "pip" not in own_program.how_to_install("train")
    assert "windows.md" in own_program.how_to_install("train")
