"""Fixtures of the tests of `model`."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _measured_once(measured_once: None) -> None:
    """Every training here measures the machine once."""
