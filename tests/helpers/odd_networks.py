"""Networks and states that somebody else wrote, for tests: made, damaged, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from dataset.errors import UserError
from model.runs import STATE_FILE


def refusal(read: Callable[[], Any], name: str) -> str:
    """What is said, which names the file in one line."""
    with pytest.raises(UserError) as caught:
        read()
    said = str(caught.value)
    assert name in said
    assert "\n" not in said
    assert "Expected" not in said.split("(")[0]
    return said


def release_bytes(state: Mapping[str, Tensor], **facts: Any) -> bytes:
    """A file of `cli export`; facts that are no text become JSON."""
    texts = {
        key: each if isinstance(each, str) else json.dumps(each) for key, each in facts.items()
    }
    return save(dict(state), {"format": "pt", **texts})


def damage(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a run's newest state."""
    path = run / "checkpoints" / STATE_FILE
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
