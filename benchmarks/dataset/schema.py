"""Schema libraries on the lines of a manifest: how long each takes to check and type them.

Each library gets the same lines and the same schema: eight fields with limits, seven that are
passed over. What is not installed is left out (``pip install pydantic cattrs`` to compare). By hand
stands for what a manifest needs at the least: ``json.loads``, and a type check of each field.

Example: python benchmarks/dataset/schema.py --lines 1000000
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from split import session_lines

from dataset.sessions.columns import _LINES

FIELDS = {"index": int, "file": str, "wall_ns": int, "monotonic_ns": int}
BLOCK = 16384  # lines that are objects at one time
OPTIONAL = ("viewpoint", "light", "sha256", "phash")


def by_msgspec(lines: list[bytes]) -> int:
    blocks = (lines[at : at + BLOCK] for at in range(0, len(lines), BLOCK))
    return sum(len(_LINES.decode_lines(b"\n".join(block))) for block in blocks)


def by_hand(lines: list[bytes]) -> int:
    count = 0
    for line in lines:
        values = json.loads(line)
        for name, kind in FIELDS.items():
            assert type(values[name]) is kind
        for name in OPTIONAL:
            assert values[name] is None or type(values[name]) is str
        assert 0 <= values["index"] <= 2**53
        assert 1 <= len(values["file"]) <= 1024
        count += 1
    return count


def by_pydantic(lines: list[bytes]) -> int:
    from pydantic import BaseModel, Field  # type: ignore[import-not-found, unused-ignore]

    class Line(BaseModel):
        index: Annotated[int, Field(ge=0, le=2**53)]
        file: Annotated[str, Field(min_length=1, max_length=1024)]
        wall_ns: Annotated[int, Field(ge=-(2**62), le=2**62)]
        monotonic_ns: Annotated[int, Field(ge=-(2**62), le=2**62)]
        viewpoint: Annotated[str, Field(max_length=4096)] | None = None
        light: Annotated[str, Field(max_length=4096)] | None = None
        sha256: Annotated[str, Field(pattern="^[0-9A-Za-z]{0,64}$")] | None = None
        phash: Annotated[str, Field(pattern="^[0-9a-f]{0,16}$")] | None = None

    Line.model_rebuild(_types_namespace={"Annotated": Annotated, "Field": Field})
    return sum(1 for line in lines if Line.model_validate_json(line))


@dataclass
class Plain:
    """The same fields for cattrs, which leaves limits to hooks of one's own."""

    index: int
    file: str
    wall_ns: int
    monotonic_ns: int
    viewpoint: str | None = None
    light: str | None = None
    sha256: str | None = None
    phash: str | None = None


def by_cattrs(lines: list[bytes]) -> int:
    from cattrs.preconf.json import make_converter  # type: ignore[import-not-found, unused-ignore]

    converter = make_converter(detailed_validation=False)
    return sum(1 for line in lines if converter.loads(line, Plain))


def measured(ways: Mapping[str, Callable[[list[bytes]], int]], lines: list[bytes]) -> Iterator[str]:
    for name, way in ways.items():
        begin = time.perf_counter()
        try:
            count = way(lines)
        except ImportError:
            yield f"{name:<10} not installed"
            continue
        seconds = time.perf_counter() - begin
        yield f"{name:<10} {seconds:7.2f} s {seconds / count * 1e6:7.2f} us a line"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    made: Any = session_lines(asked.lines, True, ["0" * 16], random)
    lines = [json.dumps(line).encode() for line, _ in made]
    print(f"{len(lines):,} lines, Python {platform.python_version()}")
    ways = {
        "msgspec": by_msgspec,
        "by hand": by_hand,
        "pydantic": by_pydantic,
        "cattrs": by_cattrs,
    }
    for text in measured(ways, lines):
        print(text, flush=True)


if __name__ == "__main__":
    main()
