"""The structure of a checkout in figures, and of several side by side: before and after.

Read by ``ast`` and ``tokenize`` alone: nothing of a checkout is imported or run, and what is right
is not judged. The packages are capture, dataset, model and cli.py; tests and benchmarks are shown
apart. What the figures mean:

- files in a folder: .py files directly in it, ``__init__.py`` too; folders in it count apart.
  capture/game is one family of like files, and is shown apart.
- imports a file: distinct modules named anywhere in it, also inside functions. ``import x.y`` and
  ``from x.y import a, b`` are one module, x.y. The first rows leave ``__future__`` out, which the
  first review of the tree (9 / 18, model 11) counted; a row of its own counts it likewise.
- lines of code: neither blank, nor only a comment, nor part of a docstring.
- lines of a function: its lines of code from ``def`` to its end, signature and inner functions
  included, decorators not. A docstring of ten lines makes no function long; the row "with
  docstrings" counts all lines.
- docstrings: the share of modules, classes, functions and methods that have one, where neither
  their name nor one around it begins with an underscore; functions inside functions are left out.
- names in two modules: public names of a module's top level that another module of the packages
  defines too; constants apart, which few other files import. "Imported from two" counts those that
  other files import from at least two of the modules. Whether they mean the same is for a reader
  to say: back ends of one interface do.
- 90th percentile: the smallest value that at least 90 % of the values do not exceed.

Example: python benchmarks/structure.py ../before . --list
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import math
import statistics
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

PACKAGES = ("capture", "dataset", "model")
OWN = {*PACKAGES, "cli"}
GAME = "capture/game"
LONG = 35  # lines of a function
FULL = 20  # files in a folder
LARGEST = 6  # folders shown
PAGES = {"JavaScript": ("*.js",), "CSS": ("*.css",), "HTML": ("*.html", "*.j2", "*.jinja")}
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Documented: TypeAlias = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Lists: TypeAlias = dict[str, list[str]]
Figures: TypeAlias = dict[str, str | int | float]


@dataclass(frozen=True)
class Module:
    """A Python file of a checkout: its place in it, and its text."""

    place: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.place)

    @property
    def folder(self) -> str:
        return self.place.rpartition("/")[0]

    @cached_property
    def code(self) -> set[int]:
        """Numbers of the lines of code."""
        lines = self.text.splitlines()
        found: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in NO_CODE:
                found.update(range(token.start[0], token.end[0] + 1))
        return {at for at in found - docstring_lines(self.tree) if lines[at - 1].strip()}

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node

    def function_lines(self) -> Iterator[tuple[int, int, str]]:
        """Of each function its lines of code, all its lines, and where it begins."""
        for node in self.functions():
            span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            code = sum(at in self.code for at in span)
            yield code, len(span), f"{self.place}:{node.lineno} {node.name}"

    def imports(self) -> set[str]:
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                found.add("." * node.level + (node.module or ""))
        return found

    def imported_names(self) -> Iterator[tuple[str, str]]:
        """Of ``from x.y import name`` the file x/y.py and the name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield from ((node.module.replace(".", "/") + ".py", a.name) for a in node.names)


def docstring_lines(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, Documented) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            found.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found


def public(tree: Documented) -> Iterator[tuple[str, Documented]]:
    """A module's public classes and functions, and the public methods of those classes."""
    for node in statements(tree.body):
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from ((f"{node.name}.{name}", inner) for name, inner in public(node))


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body, also those under ``if``, ``try`` and ``with``."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from statements(getattr(node, part, ()))
            for handler in getattr(node, "handlers", ()):
                yield from statements(handler.body)


def top_names(tree: ast.Module) -> Iterator[str]:
    """Public names that a module defines: classes, functions, constants and types."""
    for node in statements(tree.body):
        if isinstance(node, ast.ClassDef | Function):
            names = [node.name]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            inside = (each for target in targets for each in ast.walk(target))
            stored = (each for each in inside if isinstance(each, ast.Name))
            names = [each.id for each in stored if isinstance(each.ctx, ast.Store)]
        else:
            continue
        yield from (name for name in names if not name.startswith("_"))


def read(root: Path, folders: Iterable[str]) -> list[Module]:
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return [
        Module(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in paths
    ]


def read_packages(root: Path) -> list[Module]:
    cli = Module("cli.py", (root / "cli.py").read_text(encoding="utf-8"))
    return [cli, *read(root, PACKAGES)]


def of(package: str, modules: Iterable[Module]) -> list[Module]:
    return [each for each in modules if each.place.startswith(f"{package}/")]


def middle_and_most(values: Sequence[int]) -> str:
    """Median and 90th percentile."""
    if not values:
        return "-"
    rank = math.ceil(0.9 * len(values))
    return f"{statistics.median(values):g} / {sorted(values)[rank - 1]}"


def folder_figures(modules: Sequence[Module], around: Sequence[Module]) -> Figures:
    sizes = Counter(each.folder for each in modules if each.folder)
    game = sizes.pop(GAME, 0)
    figures: Figures = {"files": len(modules)}
    largest = sizes.most_common(LARGEST)
    for rank in range(LARGEST):
        figures[f"largest folder {rank + 1}"] = titled(largest[rank : rank + 1])
    figures[f"folders of more than {FULL}"] = sum(size > FULL for size in sizes.values())
    figures[GAME] = game
    for folder in ("benchmarks", "tests"):
        inside = Counter(each.folder for each in around if each.place.startswith(folder))
        figures[f"largest of {folder}"] = titled(inside.most_common(1))
    return figures


def titled(found: Sequence[tuple[str, int]]) -> str:
    return f"{found[0][0]} {found[0][1]}" if found else "-"


def import_figures(modules: Sequence[Module]) -> Figures:
    figures: Figures = {}
    for title, some in (("all", modules), *((name, of(name, modules)) for name in PACKAGES)):
        names = [each.imports() for each in some]
        own = [sum(name.split(".")[0] in OWN for name in each) for each in names]
        figures[f"{title}: modules"] = middle_and_most(
            [len(each - {"__future__"}) for each in names]
        )
        figures[f"{title}: with __future__"] = middle_and_most([len(each) for each in names])
        figures[f"{title}: of the project"] = middle_and_most(own)
    return figures


def line_figures(root: Path, groups: dict[str, list[Module]]) -> Figures:
    figures: Figures = {}
    for name, modules in groups.items():
        figures[f"{name}: code"] = sum(len(each.code) for each in modules)
        figures[f"{name}: all lines"] = sum(each.text.count("\n") for each in modules)
    outside = ("packages and cli", "benchmarks")
    for kind in ("code", "all lines"):
        figures[f"outside tests: {kind}"] = sum(int(figures[f"{each}: {kind}"]) for each in outside)
    for name, patterns in PAGES.items():
        figures[f"pages: {name}"] = sum(page_lines(root, each) for each in patterns)
    return figures


def page_lines(root: Path, pattern: str) -> int:
    paths = (path for package in PACKAGES for path in (root / package).rglob(pattern))
    return sum(path.read_text(encoding="utf-8").count("\n") for path in paths)


def function_figures(modules: Sequence[Module]) -> tuple[Figures, Lists]:
    found = [function for each in modules for function in each.function_lines()]
    lists: Lists = {
        f"functions over {LONG} lines of code": longest(found, 0),
        f"functions over {LONG} lines with docstrings": longest(found, 1),
    }
    figures: Figures = {
        "functions": len(found),
        "lines of code": middle_and_most([code for code, _, _ in found]),
    }
    figures["lines with docstrings"] = middle_and_most([lines for _, lines, _ in found])
    return figures | {name: len(listed) for name, listed in lists.items()}, lists


def longest(found: Iterable[tuple[int, int, str]], which: Literal[0, 1]) -> list[str]:
    long = [(function[which], function[2]) for function in found if function[which] > LONG]
    return [f"{lines:4} {place}" for lines, place in sorted(long, key=lambda each: -each[0])]


def docstring_figures(modules: Sequence[Module]) -> tuple[Figures, Lists]:
    parts: list[tuple[str, str, Documented]] = [(each.place, "", each.tree) for each in modules]
    parts += [(each.place, name, node) for each in modules for name, node in public(each.tree)]
    bare = [f"{place} {name}" for place, name, node in parts if not ast.get_docstring(node)]
    share = 100 * (1 - len(bare) / len(parts)) if parts else 100.0
    figures: Figures = {"public definitions": len(parts), "with a docstring, %": round(share, 1)}
    return figures, {"public without a docstring": bare}


def name_figures(modules: Sequence[Module]) -> tuple[Figures, Lists]:
    homes: dict[str, set[str]] = defaultdict(set)
    for each in modules:
        for name in top_names(each.tree):
            homes[name].add(each.place)
    twice = {name: places for name, places in sorted(homes.items()) if len(places) > 1}
    used = {pair for each in modules for pair in each.imported_names()}
    shared = {name for name in twice if sum((place, name) in used for place in twice[name]) > 1}
    lists: Lists = {
        "in two modules: classes, functions, types": [n for n in twice if not n.isupper()],
        "in two modules: constants": [n for n in twice if n.isupper()],
        "of both, imported from two": [n for n in twice if n in shared],
    }
    figures: Figures = {"names": len(homes)}
    figures |= {title: len(names) for title, names in lists.items()}
    return figures, {
        title: [f"{name:24} {', '.join(sorted(twice[name]))}" for name in names]
        for title, names in lists.items()
    }


def measure(root: Path) -> tuple[dict[str, Figures], Lists]:
    """All figures of a checkout, by title, and the lists behind them."""
    modules = read_packages(root)
    benchmarks, tests = read(root, ["benchmarks"]), read(root, ["tests"])
    groups = {"packages and cli": modules, "benchmarks": benchmarks, "tests": tests}
    functions, long = function_figures(modules)
    docstrings, bare = docstring_figures(modules)
    names, twice = name_figures(modules)
    sections = {
        "Python files in a folder": folder_figures(modules, [*benchmarks, *tests]),
        "imports a file, median / 90th percentile": import_figures(modules),
        "lines": line_figures(root, groups),
        "functions of the packages and cli": functions,
        "docstrings of the packages and cli": docstrings,
        "public names of the packages and cli": names,
        "tests and words": test_figures(root, tests),
    }
    return sections, long | bare | twice


def test_figures(root: Path, tests: Sequence[Module]) -> Figures:
    named = sum(node.name.startswith("test_") for each in tests for node in each.functions())
    words = (root / "README.md").read_text(encoding="utf-8").split()
    return {
        "test files and helpers": len(tests),
        "test functions": named,
        "README words": len(words),
    }


def show(roots: Sequence[str], found: Sequence[dict[str, Figures]]) -> None:
    width = max(20, *(len(root) + 2 for root in roots), *map(widest, found))
    print(f"{'':46}" + "".join(f"{root:>{width}}" for root in roots))
    for title, first in found[0].items():
        print(f"\n{title}")
        for name in first:
            print(f"  {name:44}" + "".join(f"{cell(each[title][name]):>{width}}" for each in found))


def widest(sections: dict[str, Figures]) -> int:
    return 2 + max(len(cell(value)) for part in sections.values() for value in part.values())


def cell(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def show_lists(root: str, lists: Lists) -> None:
    for title, listed in lists.items():
        print(f"\n{root}: {title} ({len(listed)})")
        for line in listed:
            print(f"  {line}")


def main() -> None:
    here = str(Path(__file__).resolve().parents[1])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("roots", nargs="*", metavar="ROOT", default=[here])
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.add_argument("--list", action="store_true", help="print what the counts stand for")
    asked = parser.parse_args()
    for root in asked.roots:
        if not (Path(root) / "cli.py").is_file():
            parser.error(f"{root} has no cli.py: name the top folder of a checkout")
    measured = {root: measure(Path(root)) for root in asked.roots}
    if asked.json:
        parts = {
            root: {"figures": each, "lists": lists} for root, (each, lists) in measured.items()
        }
        print(json.dumps(parts, indent=1))
        return
    show(list(measured), [sections for sections, _ in measured.values()])
    if asked.list:
        for root, (_, lists) in measured.items():
            show_lists(root, lists)


if __name__ == "__main__":
    main()
