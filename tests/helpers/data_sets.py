"""What tests read of a data set that was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def record(data: Path) -> dict[str, Any]:
    values = json.loads((data / "split.json").read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values


def all_bytes(data: Path) -> dict[str, bytes]:
    files = (each for each in data.rglob("*") if each.is_file())
    return {each.relative_to(data).as_posix(): each.read_bytes() for each in files}
