"""A folder of every picture format: each file is read or named, and none is silently left out."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from dataset.errors import UserError
from dataset.layout.readers import left_out_beside
from dataset.pictures.formats import PICTURES
from dataset.pictures.left_out import left_out
from dataset.pictures.picture import decode_picture
from model.options import RestoreOptions
from model.restoring.uploads import ServeLimits, Upload, open_light
from tests.helpers.every_format import COMMANDS, expected, run
from tests.helpers.made_every_format import READ, Each, all_files

Folder = tuple[Path, list[Each]]
WAYS = re.compile("convert it|develop it|save (it|them)", re.IGNORECASE)


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


def test_the_page_reads_each_file_or_says_what_to_do(folder: Folder) -> None:
    for each in folder[1]:
        if "video" in each.what:
            continue
        fate = sent(each)
        assert (fate == READ) >= (each.restore == READ), (each.name, fate)
        assert fate == READ or WAYS.search(fate), (each.name, fate)


def sent(each: Each) -> str:
    """What becomes of a file that the page is sent."""
    try:
        if open_light(Upload(each.name, each.data), ServeLimits(), RestoreOptions()) is None:
            decode_picture(each.data, each.name)
    except UserError as error:
        return str(error)
    return READ


def test_evaluate_and_train_count_all_that_they_leave_out(folder: Folder) -> None:
    place, files = folder
    (told,) = left_out_beside([place / "8.png"])
    others = [
        place / each.name
        for each in files
        if Path(each.name).suffix.lower() not in PICTURES and not each.name.startswith(".")
    ]
    assert f": left out {left_out(others)}. Readable are " in told
    assert "`cli expose`" in told
