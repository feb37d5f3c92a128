"""The arrow of imports, the fences around heavy packages, and the size of files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from helpers.processes import printed_by

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
        *("dataset/pictures/recordings.py", "dataset/pictures/video_"),
        *("model/restoring/video.py", "capture/recording/spool.py"),
        "capture/screens/ddagrab.py",
        "benchmarks/",
    },
    "PIL": {"dataset/pictures/", "dataset/splitting/sheets.py", "benchmarks/"},
    "mss": {"capture/screens/mss.py"},
    "psutil": {"dataset/memory.py", "dataset/parts.py", "capture/screens/own_terminal.py"},
    "dxcam": {"capture/screens/dxcam.py"},
    "jeepney": {"capture/portal.py"},
    "pynput": {"capture/control/hotkeys.py", "capture/sweep/key_presser.py"},
    "panda3d": {"capture/game/"},
    "direct": {"capture/game/"},
    "torch": {"model/"},
    "torch_fidelity": {"model/evaluation/inception.py"},
    "flip_evaluator": {"model/metrics.py"},
    "torchvision": {"model/"},
    "safetensors": {"model/"},
    "tensorboard": {"model/"},
    "matplotlib": {"model/", "dataset/labelling/histogram.py"},
    "click": {"cli.py", "dataset/command_options.py"},
    "onnx": {"model/restoring/export.py"},
    "onnxruntime": {"model/restoring/onnx.py"},
    "flask": {
        "dataset/local_server.py",
        "dataset/review/server.py",
        "model/restoring/page_server.py",
    },
    "werkzeug": {"dataset/local_server.py", "model/restoring/page_server.py"},
    "playwright": {"benchmarks/"},
    "imagecodecs": {"dataset/pictures/jpegxr_decoder.py", "dataset/pictures/hdr_"},
    "pillow_heif": {"dataset/pictures/hdr_"},
    "OpenEXR": {"dataset/pictures/hdr_exr.py", "dataset/pictures/hdr_writing.py", "benchmarks/"},
}


WINGS = {  # wing -> the wings of its room that it imports; every wing imports its room's own files
    "capture": set(),
    "capture.screens": set(),
    "capture.recording": {"capture.screens"},
    "capture.control": {"capture.recording", "capture.screens"},
    "capture.doctor": {"capture.control", "capture.recording", "capture.screens"},
    "capture.sweep": {"capture.control", "capture.recording", "capture.screens"},
    "capture.game": {"capture.recording", "capture.screens"},
    "dataset": set(),
    "dataset.pictures": set(),
    "dataset.layout": {"dataset.pictures"},
    "dataset.sessions": {"dataset.layout", "dataset.pictures"},
    "dataset.labelling": {"dataset.sessions", "dataset.layout", "dataset.pictures"},
    "dataset.review": {
        *("dataset.labelling", "dataset.sessions", "dataset.layout", "dataset.pictures"),
    },
    "dataset.splitting": {
        *("dataset.labelling", "dataset.sessions", "dataset.layout", "dataset.pictures"),
    },
    "model": set(),
    "model.training": set(),
    "model.restoring": set(),
    "model.figures": {"model.training", "model.restoring"},
    "model.evaluation": {"model.figures", "model.training", "model.restoring"},
}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return place(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(path): path for path in SOURCES}


@lru_cache
def imported(text: str) -> tuple[str, ...]:
    """Every module that a file imports anywhere, also inside functions."""
    return tuple(_imported(text))


def _imported(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_by(path: Path) -> tuple[str, ...]:
    return imported(path.read_text(encoding="utf-8"))


def wing_of(path: Path) -> str:
    return "cli" if path.name == "cli.py" else module_of(path.parent)


def beyond_room(path: Path, text: str) -> list[str]:
    """What a file imports against the arrow between the rooms."""
    allowed = MAY_IMPORT[wing_of(path).split(".")[0]]
    return [name for name in imported(text) if name.split(".")[0] in MAY_IMPORT.keys() - allowed]


def beyond_wing(path: Path, text: str) -> list[str]:
    """What a file imports against the arrow between the wings of its room."""
    wing = wing_of(path)
    room = wing.split(".")[0]
    allowed = {wing, room, *WINGS.get(wing, set())}
    ours = [name for name in imported(text) if name.split(".")[0] == room and name in MODULES]
    return [name for name in ours if wing_of(MODULES[name]) not in allowed]


def beyond_package(path: Path, text: str) -> list[str]:
    """What a file imports of packages that only certain files import."""
    return [
        name
        for name in imported(text)
        if not any(place(path).startswith(each) for each in FENCES.get(name.split(".")[0], {""}))
    ]


@pytest.mark.parametrize("path", SOURCES, ids=place)
@pytest.mark.parametrize("fence", [beyond_room, beyond_wing, beyond_package])
def test_no_file_imports_beyond_a_fence(
    fence: Callable[[Path, str], list[str]], path: Path
) -> None:
    assert fence(path, path.read_text(encoding="utf-8")) == []


MOVERS = frozenset({"dataset/files.py", "dataset/parts.py"})  # who wait for a file that is held
STARTERS = frozenset(  # who open no window of a console; doctor and display never run on Windows
    {"capture/children.py", "capture/recording/notify.py", "capture/doctor/linux.py",
     "capture/screens/virtual_display.py", "dataset/pictures/jpegxr_decoder.py"}
)  # fmt: skip
CALLS = {  # what only these files do, so that it is done in one way
    **{f"os.{name}": MOVERS for name in ("replace", "rename", "unlink", "remove", "rmdir")},
    **{name: MOVERS for name in ("shutil.rmtree", "shutil.move")},
    **{name: MOVERS for name in (".rename", ".unlink", ".rmdir")},  # of a path
    **{f"subprocess.{name}": STARTERS for name in ("Popen", "run", "call", "check_output")},
    "os.kill": frozenset({"dataset/parts.py"}),  # on Windows, any signal ends a process
    "signal.signal": frozenset({"dataset/stopping.py"}),
}


def calls_beyond(path: Path, text: str) -> list[str]:
    """What a file names, to call or to hand on, that only others may."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            whole = f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else ""
            known = next((each for each in (whole, f".{node.attr}") if each in CALLS), None)
            if known is not None and place(path) not in CALLS[known]:
                found.append(known)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_what_is_done_in_one_way_is_done_in_its_place(path: Path) -> None:
    assert calls_beyond(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("call", CALLS)
def test_a_call_out_of_its_place_is_seen(call: str) -> None:
    written = call if not call.startswith(".") else f"Path('x'){call}"
    assert calls_beyond(ROOT / "dataset" / "errors.py", f"{written}('x')") == [call]


def test_the_library_of_pipewire_is_loaded_in_one_place() -> None:
    loading = [place(path) for path in SOURCES if "libpipewire-" in strings_of(path)]
    assert loading == ["capture/screens/libpipewire.py"]
    asking = {place(path) for path in SOURCES if "capture.screens.libpipewire" in imported_by(path)}
    assert asking == {
        *("capture/screens/pipewire.py", "capture/screens/wayland.py"),
        "capture/doctor/wayland.py",
    }


def strings_of(path: Path) -> str:
    """The texts of a file that name a library to load."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [each.value for each in ast.walk(tree) if isinstance(each, ast.Constant)]
    return " ".join(each for each in texts if isinstance(each, str) and each.endswith(".so.0"))


@pytest.mark.parametrize("wing", [wing for wing in WINGS if wing != "model.evaluation"])
def test_a_fence_between_wings_shows_where_it_is_broken(wing: str) -> None:
    room = wing.split(".")[0]
    inside = next(path for path in SOURCES if wing_of(path) == wing)
    beyond = {each for each in WINGS if each.startswith(room)} - WINGS[wing] - {wing, room}
    assert beyond
    for other in beyond:
        name = next(module for module, path in MODULES.items() if wing_of(path) == other)
        module, _, member = name.rpartition(".")
        assert beyond_wing(inside, f"def late():\n    import {name}\n") == [name]
        assert name in beyond_wing(inside, f"from {module} import {member}\n")


@pytest.mark.parametrize("package", FENCES)
def test_a_fence_around_a_package_shows_where_it_is_broken(package: str) -> None:
    outside = ROOT / "dataset" / "errors.py"
    assert beyond_package(outside, f"import {package}.part\n") == [f"{package}.part"]


@pytest.mark.parametrize(("room", "name"), [("dataset", "capture"), ("capture", "model")])
def test_an_arrow_between_rooms_shows_where_it_is_broken(room: str, name: str) -> None:
    inside = ROOT / room / "options.py"
    assert f"{name}.options" in beyond_room(inside, f"import {name}.options\n")


def test_every_wing_has_its_fence() -> None:
    assert {wing_of(path) for path in SOURCES} - {"cli"} == set(WINGS)


def test_tests_stand_in_folders_that_mirror_the_wings() -> None:
    tests = {path.parent for room in ROOMS for path in (ROOT / "tests" / room).rglob("test_*.py")}
    wings = {".".join(folder.relative_to(ROOT / "tests").parts) for folder in tests}
    assert wings <= set(WINGS)
    assert set(WINGS) - wings <= set(ROOMS)


def test_there_is_no_circle() -> None:
    graph = {
        name: set(imported_by(path)) & MODULES.keys() - {name} for name, path in MODULES.items()
    }
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
    assert "LOADED []" in printed_by(code)


def test_setup_cfg_lists_every_package() -> None:
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for room in ROOMS:
        for folder in (ROOT / room).rglob("__init__.py"):
            assert f"\n    {module_of(folder)}\n" in text


def test_setup_cfg_lists_every_file_of_a_page() -> None:
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for room in ROOMS:
        folders = ((ROOT / room).rglob(f"{name}/*") for name in ("page", "templates"))
        for path in (each for folder in folders for each in folder):
            assert f"\n    {path.parent.name}/{path.name}\n" in text
