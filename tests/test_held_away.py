"""One way to write, move, delete and lock, and one to read what comes from outside.

``dataset/files.py`` with ``parts.py`` and ``locks.py``, and ``dataset/gate.py``, are those ways;
nothing else in the package calls what is beneath them, apart from the exceptions below, each with
its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("capture", "dataset", "model")
SOURCES = sorted(
    [
        ROOT / "cli.py",
        *(p for room in ("capture", "dataset", "model") for p in (ROOT / room).rglob("*.py")),
    ]
)
FILES, GATE = "dataset/files.py", "dataset/gate.py"
HOMES = (FILES, GATE, "dataset/parts.py", "dataset/locks.py")

# What a module's function is called -> why it is held away.
CHANGES = {
    *(f"os.{name}" for name in ("replace", "rename", "renames", "unlink", "remove", "rmdir")),
    *("os.removedirs", "os.truncate", "os.ftruncate", "os.link", "os.symlink"),
    *("shutil.rmtree", "shutil.move", "shutil.copy", "shutil.copy2", "shutil.copytree"),
    *("tempfile.mkdtemp", "tempfile.mkstemp", "tempfile.NamedTemporaryFile"),
    *("tempfile.TemporaryDirectory", "tempfile.mktemp"),
}
READS = {"json.load", "json.loads", "csv.reader", "csv.DictReader", "io.open"}
# Methods of paths and files, whatever they are called on.
CHANGING = {"unlink", "rmdir", "rename", "truncate", "symlink_to", "hardlink_to", "touch"}
CHANGING |= {"write_text", "write_bytes"}
READING = {"read_text", "read_bytes"}

# place: what -> why that is no way around.
EXCEPTIONS = {
    ("dataset/layout/links.py", "os.link"): "the one way to make links, for data sets",
    ("dataset/layout/links.py", ".symlink_to"): "the one way to make links, for data sets",
    (
        "dataset/sessions/conversion.py",
        "os.link",
    ): "into a folder of its own, which has no name yet",
    (
        "dataset/sessions/conversion.py",
        ".write_bytes",
    ): "into a folder of its own, which has no name yet",
    (
        "dataset/sessions/imports.py",
        ".write_bytes",
    ): "into a folder of its own, which has no name yet",
    (
        "dataset/tables.py",
        "csv.reader",
    ): "tables as spreadsheets save them, of text that the gate has read",
    ("dataset/local_server.py", ".read_bytes"): "files of the page, from our own package",
    ("dataset/local_server.py", "tempfile.mkdtemp"): "for one page, at a place that a browser sees",
    (
        "capture/screens/virtual_display.py",
        "tempfile.mkdtemp",
    ): "for one display; its shell removes it",
    ("capture/control/daemon.py", "json.loads"): "from our parent: its paths need not be UTF-8",
    ("dataset/memory.py", ".read_text"): "the system's own account of memory, not a user's file",
}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def name_of(node: ast.expr) -> str:
    """``os.path.join`` of an expression; a question mark where it is more than names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return "?"


def mode_of(call: ast.Call, first: int) -> str:
    """How a file is opened, by the place of the argument that says it."""
    given = [each.value for each in call.keywords if each.arg == "mode"]
    given += call.args[first : first + 1]
    if not given:
        return "r"
    return given[0].value if isinstance(given[0], ast.Constant) else "?"


def called(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Line, what is called, and where it belongs: each call that is held away."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [each.name for each in node.names]
            names.append(getattr(node, "module", None) or "")
            if any(each.split(".")[0] == "filelock" for each in names):
                yield node.lineno, "filelock", FILES
        if not isinstance(node, ast.Call):
            continue
        name = name_of(node.func)
        method = name.rpartition(".")[2] if "." in name else ""
        if name in CHANGES or method in CHANGING:
            yield node.lineno, name if name in CHANGES else f".{method}", FILES
        elif name in READS or method in READING:
            yield node.lineno, name if name in READS else f".{method}", GATE
        elif method == "replace" and _moves(node):
            yield node.lineno, ".replace of a path", FILES
        elif name == "open" or (method == "open" and _is_path(node)):
            mode = mode_of(node, 1 if name == "open" else 0)
            yield node.lineno, "open", GATE if set(mode) <= set("rbt") else FILES


def _moves(call: ast.Call) -> bool:
    """Whether it is ``Path.replace(target)``: text takes two arguments, dataclasses fields."""
    return len(call.args) == 1 and not call.keywords and name_of(call.func) != "dataclasses.replace"


def _is_path(call: ast.Call) -> bool:
    """Whether it is ``Path.open(mode)``, by its arguments."""
    words = [each.value for each in call.args if isinstance(each, ast.Constant)]
    return not call.args or (
        len(call.args) == 1 and words != [] and set(str(words[0])) <= set("rwaxbt+")
    )


def found() -> list[tuple[str, int, str, str]]:
    """Calls outside of where they belong: file, line, what, where it belongs."""
    return [
        (place(path), line, what, where)
        for path in SOURCES
        for line, what, where in called(ast.parse(path.read_text(encoding="utf-8")))
        if place(path) not in HOMES and (place(path), what) not in EXCEPTIONS
    ]


@pytest.mark.slow
@pytest.mark.parametrize("where", [FILES, GATE])
def test_there_is_no_way_around(where: str) -> None:
    around = [f"{file}:{line}: {what}" for file, line, what, home in found() if home == where]
    assert not around, f"these belong into {where}:\n" + "\n".join(around)


def test_each_exception_is_still_needed() -> None:
    there = {
        (place(path), what)
        for path in SOURCES
        for _, what, _ in called(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert set(EXCEPTIONS) <= there


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("os.replace(a, b)", "os.replace"),
        ("path.unlink(missing_ok=True)", ".unlink"),
        ("(a / b).replace(c)", ".replace of a path"),
        ("file.truncate(3)", ".truncate"),
        ("from filelock import FileLock", "filelock"),
        ("json.loads(text)", "json.loads"),
        ("open(path, 'rb')", "open"),
        ("open(path, 'ab')", "open"),
        ("path.open()", "open"),
        ("path.read_text()", ".read_text"),
        ("text.replace('a', 'b')", None),
        ("replace(options, a=1)", None),
        ("av.open(str(path))", None),
        ("webbrowser.open(address)", None),
    ],
)
def test_calls_are_told_apart(code: str, expected: str | None) -> None:
    assert [what for _, what, _ in called(ast.parse(code))] == ([expected] if expected else [])
