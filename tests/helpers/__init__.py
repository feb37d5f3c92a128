"""Faults for tests: what makes the n-th write fail, the commands that write, and what they left."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
