"""A folder of every picture format: each file is read or named, and none is silently left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.every_format import COMMANDS, expected, run
from tests.helpers.made_every_format import READ, Each, all_files

Folder = tuple[Path, list[Each]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    place = tmp_path_factory.mktemp("every")
    files = all_files(place)
    for each in files:
        (place / each.name).write_bytes(each.data)
    return place, files


@pytest.mark.parametrize("command", COMMANDS)
def test_each_file_of_a_folder_is_read_named_or_counted(
    command: str, folder: Folder, tmp_path: Path
) -> None:
    place, files = folder
    ran = run(command, [place], tmp_path / "out")
    wanted = expected(command, files)
    counted = Counter(
        fate.removeprefix("counted: ") for fate in wanted.values() if fate.startswith("counted: ")
    )
    read = {name for name, fate in wanted.items() if fate == READ}
    assert {name for name, fate in ran.fates.items() if fate == READ} == read
    for name, fate in wanted.items():
        if fate.startswith("named: "):
            assert fate.removeprefix("named: ") in ran.fates.get(name, ""), name
    if command != "expose":
        assert ran.counted == counted
    hidden = sum(fate == "passed over" for fate in wanted.values())
    assert len(ran.fates) + ran.counted.total() + hidden == len(files)
