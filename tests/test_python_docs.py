"""Every block of docs/python.md runs, in order and in one namespace, on a small scale."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.painted import PaintedWindow, noise

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
SMALL = {  # what the page says -> what is quick enough for a test
    "duration_s=60.0": "duration_s=0.6",
    "viewpoints=330, size=(256, 256), minutes=3.0": (
        "viewpoints=8, least_viewpoints=8, size=(96, 96), minutes=0.01"
    ),
    "fit=True, seed=0": "counts=(5, 4, 3, 2), fit=True, seed=0",
    "minutes=10.0,": (
        'steps=2, size=32, batch_size=1, precision="fp32", '
        "network=NetworkOptions(4, 1, 4, residual=True),"
    ),
    "summary.steps + 100": "summary.steps + 1",
    "from model.options import PRESETS": "from model.options import PRESETS, NetworkOptions",
    'run="first"))': 'run="first", frames=1, oracles=False, methods=("network", "gamma")))',
}


def blocks(page: Path = PAGE) -> Iterator[tuple[int, str]]:
    """(line number, code) of each Python block."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.S | re.M):
        yield text[: match.start(1)].count("\n"), match[1]


def made_small(code: str) -> str:
    for shown, quick in SMALL.items():
        code = code.replace(shown, quick)
    return code


def test_what_is_made_small_is_on_the_page() -> None:
    text = "".join(code for _, code in blocks())
    for shown in SMALL:
        assert text.count(shown) == 1, shown


def test_every_stage_has_a_short_block() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for stage in ("Record", "Label", "Split", "Train", "Restore", "Evaluate"):
        section = re.split(r"^## ", text.split(f"\n## {stage}\n")[1], flags=re.M)[0]
        assert "```python" in section, stage
    for line, code in blocks():
        assert code.count("\n") <= 30, f"line {line}"


def test_functions_named_beside_the_blocks_exist() -> None:
    prose = re.sub(r"^```.*?^```", "", PAGE.read_text(encoding="utf-8"), flags=re.S | re.M)
    found = re.findall(r"`((?:capture|dataset|model)(?:\.\w+)+)\.(\w+)\(", prose)
    assert found
    for module, name in found:
        path = PAGE.parent.parent / f"{module.replace('.', '/')}.py"
        defined = {getattr(node, "name", "") for node in ast.parse(path.read_text("utf-8")).body}
        assert name in defined, f"{module}.{name}"


@pytest.mark.usefixtures("display", "own_runtime")
def test_the_page_runs_from_a_recording_to_a_restored_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"__name__": "docs"}
    with PaintedWindow("Flight Simulator", size=(160, 120)) as window:
        window.paint(noise(1, window.size))
        for line, code in blocks():
            # Lines are counted as on the page, so that a traceback points there.
            exec(compile("\n" * line + made_small(code), PAGE, "exec"), names)
    assert (tmp_path / "restored.png").is_file()
    assert any((tmp_path / "restored").iterdir())
    said = capsys.readouterr().out
    assert "true pairs in the test" in said
    assert "Cannot read no such picture.png" in said
