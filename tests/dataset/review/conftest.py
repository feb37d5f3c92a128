"""A review that answers, for the tests of the server and of its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.reviews import Client, make_captures, serving


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    return make_captures(tmp_path / "captures")


@pytest.fixture
def client(captures: Path) -> Iterator[Client]:
    with serving(captures) as speaker:
        yield speaker
