"""The arrow of imports, the fences around heavy packages, and the size of files."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("capture", "dataset", "model")
SOURCES = sorted([ROOT / "cli.py", *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))])

MAY_IMPORT = {
    "dataset": {"dataset"},
    "capture": {"capture", "dataset"},
    "model": {"model", "dataset"},
    "cli": {"capture", "dataset", "model"},
}
FENCES = {  # package -> the only places that import it
    "av": {
        *("dataset/pictures/containers.py", "dataset/pictures/recordings.py"),
        *("dataset/pictures/video_", "model/restoring/video.py", "capture/recording/spool.py"),
        "benchmarks/",
    },
    "PIL": {"dataset/pictures/", "dataset/splitting/sheets.py", "benchmarks/"},
    "mss": {"capture/screens/mss.py"},
    "psutil": {"dataset/memory.py"},
    "dxcam": {"capture/screens/dxcam.py"},
    "pynput": {"capture/control/hotkeys.py", "capture/sweep/key_presser.py"},
    "panda3d": {"capture/game/"},
    "direct": {"capture/game/"},
    "torch": {"model/"},
    "torch_fidelity": {"model/evaluation/inception.py"},
    "torchvision": {"model/"},
    "safetensors": {"model/"},
    "tensorboard": {"model/"},
    "matplotlib": {"model/", "dataset/pictures/fonts.py"},
    "click": {"cli.py"},
    "onnx": {"model/restoring/onnx_export.py"},
    "onnxruntime": {"model/restoring/onnx.py"},
    "flask": {"dataset/local_", "dataset/review/server.py", "model/restoring/page_server.py"},
    "werkzeug": {"dataset/local_server.py", "model/restoring/page_server.py"},
    "playwright": {"benchmarks/"},
}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return place(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_imports_point_to_the_middle(path: Path) -> None:
    room = module_of(path).split(".")[0]
    for name in imported(path):
        other = name.split(".")[0]
        if other in MAY_IMPORT:
            assert other in MAY_IMPORT[room], f"{place(path)} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_heavy_packages_stay_behind_their_fence(path: Path) -> None:
    for name in imported(path):
        allowed = FENCES.get(name.split(".")[0])
        if allowed is not None:
            assert any(place(path).startswith(each) for each in allowed), f"{name} in {place(path)}"


def test_there_is_no_circle() -> None:
    modules = {module_of(path) for path in SOURCES}
    graph = {module_of(path): set(imported(path)) & modules - {module_of(path)} for path in SOURCES}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError on a circle
    assert order.index("dataset.errors") < order.index("cli")


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_files_open_with_what_they_are_for_and_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no module docstring"
    # An option takes a few lines, and all of them belong in one place.
    assert text.count("\n") < (900 if path.name == "cli.py" else 400)


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["capture", "--help"]])
def test_help_loads_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys, cli\n"
        f"try:\n    cli.main({command!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'cv2', 'skimage', 'panda3d', 'mss', 'pynput', 'numpy'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "LOADED []" in done.stdout


def test_setup_cfg_lists_every_package() -> None:
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for room in ROOMS:
        for folder in (ROOT / room).rglob("__init__.py"):
            assert f"\n    {module_of(folder)}\n" in text


def test_setup_cfg_lists_every_file_of_a_page() -> None:
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for room in ROOMS:
        for path in (ROOT / room).rglob("page/*"):
            assert f"\n    {path.parent.name}/{path.name}\n" in text
