"""The network that comes with the package: where its files lie. docs/network.md is its model card.

Both hold the same weights of preset physical's F: ``F.onnx`` is run without torch, and trainings
start from ``F.safetensors``. ``benchmarks/model/builtin.py`` makes them again.
"""

from __future__ import annotations

from pathlib import Path

BUILTIN = "builtin"  # instead of the name of a run
ONNX_FILE = Path(__file__).with_name("F.onnx")
WEIGHTS_FILE = Path(__file__).with_name("F.safetensors")
