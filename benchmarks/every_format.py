"""A folder of every picture format: what `cli restore`, `cli import` and `cli expose` do with each.

Each file is read, named with a reason, or counted by its kind; hidden files are passed over. Exit
code 1 where a file is none of these. The files are those of ``tests/helpers/made_every_format.py``.

Example: python benchmarks/every_format.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dataset.pictures.left_out import left_out  # noqa: E402
from tests.helpers.every_format import COMMANDS, Ran, run  # noqa: E402
from tests.helpers.made_every_format import all_files  # noqa: E402

WIDTHS = (18, 30, 26, 26, 26)
LOST = "silently left out"


def line(*cells: str) -> str:
    return " ".join(
        cell[:width].ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)
    ).rstrip()


def fate(path: Path, ran: Ran) -> str:
    """What became of a file."""
    if path.name in ran.fates:
        return ran.fates[path.name].removeprefix("named: ")
    if path.name.startswith("."):
        return "passed over"
    kind = left_out([path]).removeprefix("1 ")
    counted_as = kind if ran.counted[kind] else "more"  # of many suffixes, some are not named
    ran.counted[counted_as] -= 1
    return f"counted: {kind}" if ran.counted[counted_as] >= 0 else LOST


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="unclip-every-") as name:
        place = Path(name, "in")
        place.mkdir()
        files = all_files(place)
        for each in files:
            (place / each.name).write_bytes(each.data)
        runs = [run(command, [place], Path(name, command)) for command in COMMANDS]
        print(line("file", "what", *COMMANDS))
        told = [[fate(place / each.name, ran) for ran in runs] for each in files]
    for each, fates in zip(files, told, strict=True):
        print(line(each.name, each.what, *fates))
    lost = sum(fates.count(LOST) for fates in told)
    print(f"{len(files)} files, {lost} of them silently left out")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
