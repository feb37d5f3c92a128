"""The network that comes with the package: where its files lie. docs/network.md is its model card.

Both hold the same weights of preset physical's F: ``F.onnx`` is run without torch, and trainings
start from ``F.safetensors``. ``benchmarks/model/builtin.py`` makes them again.
"""

from __future__ import annotations

from pathlib import Path

BUILTIN = "builtin"  # instead of the name of a run
_FOLDER = Path(__file__).parent / "builtin"
ONNX_FILE, WEIGHTS_FILE = _FOLDER / "F.onnx", _FOLDER / "F.safetensors"
