"""A data set is read whole or not at all, and one process at a time makes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT
from helpers.made_sessions import make_sweep
from helpers.processes import Process

from dataset.errors import UserError
from dataset.layout.folders import OUR_FOLDERS
from dataset.layout.pairs import list_pairs, read_pairs
from dataset.layout.readers import (
    CACHE_FOLDER,
    SPLIT_FILE,
    SPLIT_LOCK,
    check_data_set_complete,
    find_frames,
)
from dataset.options import SplitOptions
from dataset.splitting.split import split_captures
from model.evaluation.evaluate import evaluate_run
from model.figures.figures import make_figures
from model.options import EvaluateOptions
from model.training.frame_cache import open_frames

pytestmark = pytest.mark.slow

COUNTS = (9, 9, 4, 4)
HOSTILE_SPLITS = {
    "cut off": '{"tool": "unclip", "complete": true, "fil',
    "files null": '{"tool": "unclip", "complete": true, "files": null}',
    "files text": '{"tool": "unclip", "complete": true, "files": "trainA"}',
    "path number": '{"tool": "unclip", "complete": true, "files": [{"path": 7}]}',
    "path with NUL": '{"tool": "unclip", "complete": true, "files": [{"path": "a\\u0000b"}]}',
    "half a character": '{"tool": "unclip", "files": [{"path": "\\ud800.png"}]}',
    "outside": '{"tool": "unclip", "files": [{"path": "../secret.png"}]}',
    "absolute": '{"tool": "unclip", "files": [{"path": "/etc/passwd"}]}',
    "complete text": '{"tool": "unclip", "complete": "yes"}',
    "deep": "[" * 100_000,
    "deep in ours": '{"tool": "unclip", "files": ' + "[" * 100_000,
    "not UTF-8": b'{"tool": "unclip", "files": [{"path": "\xff"}]}',
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_sweep(tmp_path / "captures", "sweep", 20, [0, 0.5])
    return split(tmp_path)


def split(root: Path, **values: Any) -> Path:
    split_captures(SplitOptions(root / "captures", root / "data", COUNTS, **values))
    return root / "data"


def write(path: Path, text: str | bytes) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


def everything(folder: Path) -> dict[str, bytes]:
    return {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and each.name != SPLIT_LOCK
    }


def evaluate(data: Path) -> None:
    evaluate_run(EvaluateOptions(data=data, methods=("gamma",), oracles=False))


def draw(data: Path) -> None:
    run = data.parent / "runs" / "one"
    run.mkdir(parents=True, exist_ok=True)
    make_figures(data, run.parent, "one", device="cpu")


READERS: list[Callable[[Path], object]] = [
    check_data_set_complete,
    lambda data: find_frames(data, "testB"),
    lambda data: open_frames(data, "trainA", 16, 0),
    evaluate,
    draw,
]
NAMES = ["check_data_set_complete", "find_frames", "open_frames", "evaluate", "figures"]
every_reader = pytest.mark.parametrize("read", READERS, ids=NAMES)


def edit(data: Path, **values: Any) -> None:
    record = json.loads((data / SPLIT_FILE).read_text(encoding="utf-8"))
    write(data / SPLIT_FILE, json.dumps(record | values))


@every_reader
def test_what_a_split_did_not_finish_is_refused(data: Path, read: Callable[[Path], object]) -> None:
    edit(data, complete=False)
    with pytest.raises(UserError, match="was stopped") as caught:
        read(data)
    assert caught.value.exit_code == 1
    assert not (data / CACHE_FOLDER).exists()


@every_reader
def test_a_picture_that_is_missing_is_named(data: Path, read: Callable[[Path], object]) -> None:
    gone = next((data / "trainA").iterdir())
    gone.unlink()
    with pytest.raises(UserError, match=f"trainA/{gone.name} .*cannot be found"):
        read(data)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
@every_reader
@pytest.mark.parametrize("name", ["picture", SPLIT_FILE])
def test_a_pipe_is_not_waited_for(data: Path, read: Callable[[Path], object], name: str) -> None:
    path = next((data / "trainB").iterdir()) if name == "picture" else data / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match=path.name):
        read(data)


@pytest.mark.parametrize("text", HOSTILE_SPLITS.values(), ids=HOSTILE_SPLITS.keys())
def test_a_damaged_split_json_is_told(tmp_path: Path, text: str | bytes) -> None:
    write(tmp_path / SPLIT_FILE, text)
    for read in READERS:
        with pytest.raises(UserError, match=r"split\.json is damaged"):
            read(tmp_path)


@pytest.mark.parametrize("text", ["[]", '{"train": ["000.png"]}', '{"tool": "coco", "files": 7}'])
def test_a_split_json_of_another_program_is_nobodys_concern(data: Path, text: str) -> None:
    write(data / SPLIT_FILE, text)
    next((data / "trainA").iterdir()).unlink()
    assert len(find_frames(data, "trainA")) == 8


def test_pictures_of_ones_own_need_no_split_json(data: Path) -> None:
    (data / SPLIT_FILE).unlink()
    next((data / "trainA").iterdir()).unlink()
    assert len(find_frames(data, "trainA")) == 8


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Another process that makes a data set there, until it is asked to end."""
    code = "import sys; from pathlib import Path; from dataset.layout.folders import hold_out\n"
    code += "with hold_out(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(out)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with Process(command, cwd=ROOT, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield
        finally:
            process.communicate(timeout=60)


def test_nobody_reads_or_makes_what_another_process_makes(data: Path) -> None:
    before = everything(data)
    with held(data):
        for read in READERS:
            with pytest.raises(UserError, match="`cli split` is at work"):
                read(data)
        with pytest.raises(UserError, match="Another `cli split` is at work") as caught:
            split(data.parent, seed=3)
    assert caught.value.exit_code == 1
    assert everything(data) == before
    check_data_set_complete(data)


def test_of_two_splits_at_once_one_leaves_a_whole_data_set(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 40, [0, 0.5])
    command = [sys.executable, str(ROOT / "cli.py"), "split", "--counts", "20,20,8,8", "--seed"]
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    both = [Process([*command, seed], cwd=tmp_path, **pipes) for seed in ("1", "2")]
    told = [each.communicate(timeout=120)[1] for each in both]
    codes = [each.returncode for each in both]
    assert 0 in codes
    for code, text in zip(codes, told, strict=True):
        assert code == 0 or (code == 1 and "is at work" in text), text
        assert "Traceback" not in text
    check_data_set_complete(tmp_path / "data")
    record = json.loads((tmp_path / "data" / SPLIT_FILE).read_text(encoding="utf-8"))
    there = {each for each in everything(tmp_path / "data") if each.startswith(("train", "test"))}
    assert there == {each["path"] for each in record["files"]}


@pytest.mark.skipif(os.name == "nt", reason="ends processes otherwise")
def test_what_a_killed_split_leaves_is_refused_and_made_whole_by_the_next(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 20, [0, 0.5])
    code = (
        "import os, signal, sys; from pathlib import Path; from dataset.options import SplitOptions"
        "\nfrom dataset.splitting.split import split_captures\n"
        "def kill(done, total):\n"
        "    if total == 26 and done == 11: os.kill(os.getpid(), signal.SIGKILL)\n"
        "split_captures(SplitOptions(Path('captures'), Path('data'), (9, 9, 4, 4)), kill)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(UserError, match="was stopped"):
        find_frames(tmp_path / "data", "trainA")
    check_data_set_complete(split(tmp_path))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("folder", OUR_FOLDERS)
def test_a_folder_that_is_a_link_is_refused_and_nothing_behind_it_touched(
    data: Path, folder: str
) -> None:
    victim = data.parent / "victim"
    if (data / folder).exists():
        (data / folder).rename(victim)
    else:
        victim.mkdir()
        (victim / "mine.png").write_bytes(b"mine")
    (data / folder).parent.mkdir(exist_ok=True)
    (data / folder).symlink_to(victim)
    before = everything(data.parent)
    with pytest.raises(UserError, match="is a link"):
        split(data.parent, seed=5)
    assert everything(data.parent) == before


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_listed_file_that_became_a_link_is_removed_and_its_target_stays(data: Path) -> None:
    precious = data.parent / "precious.png"
    precious.write_bytes(b"mine")
    for path in [next((data / "trainA").iterdir()), data / "report" / "leaks.png"]:
        path.unlink()
        path.symlink_to(precious)
    split(data.parent, seed=5)
    assert precious.read_bytes() == b"mine"
    check_data_set_complete(data)


@pytest.mark.parametrize("name", ["trainA/thesis.docx", "README.txt", "data/trainA/mine.png"])
def test_a_forged_list_removes_no_file_that_a_split_does_not_make(data: Path, name: str) -> None:
    (data / name).parent.mkdir(parents=True, exist_ok=True)
    (data / name).write_bytes(b"mine")
    record = json.loads((data / SPLIT_FILE).read_text(encoding="utf-8"))
    edit(data, files=[*record["files"], {"path": name}], extras=[*record["extras"], name])
    split(data.parent, seed=5)
    assert (data / name).read_bytes() == b"mine"


def test_parts_of_a_killed_split_are_removed_by_the_next(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 20, [0, 0.5])
    left = tmp_path / "data" / ".split.json.999999999.part"
    left.parent.mkdir()
    left.write_bytes(b"{")
    split(tmp_path)
    assert not left.exists()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_linked_cache_is_left_alone(data: Path) -> None:
    victim = data.parent / "victim"
    victim.mkdir()
    (victim / "trainA-0123456789abcdef.frames").write_bytes(b"mine")
    (data / CACHE_FOLDER).symlink_to(victim)
    before = everything(victim)
    open_frames(data, "trainA", 16, 0, spare=data.parent / "spare")
    assert everything(victim) == before


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"a,b\n1,2\n", b"over_exposed,reference\n", b"over_exposed,reference\na.png\n"),
        b"over_exposed,reference\n" + b"x" * 200_000 + b",y\n",
        b"over_exposed,reference\n\xff\xfe,y\n",
    ],
)
def test_a_bad_list_of_pairs_is_told(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "pairs.csv").write_bytes(text)
    with pytest.raises(UserError, match=r"pairs\.csv"):
        list_pairs(tmp_path / "pairs.csv")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="has no such device")
@pytest.mark.parametrize("name", ["/dev/zero", "pipe", "nul\0", "folder"])
def test_pairs_are_regular_files(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "pairs.csv").write_text(f"over_exposed,reference\n{name},{name}\n")
    with pytest.raises(UserError, match="which cannot be read"):
        read_pairs(tmp_path / "pairs.csv")


def test_pairs_of_ones_own_may_lie_anywhere(data: Path) -> None:
    over, clear = find_frames(data, "testB")[0], find_frames(data, "testA")[0]
    own = data.parent / "lists" / "own.csv"
    own.parent.mkdir()
    rows = f"over_exposed,reference\n{over.absolute()},../data/testA/{clear.name}\n"
    own.write_text(rows, encoding="utf-8")
    (pair,) = read_pairs(own)
    assert pair.over_exposed == over.absolute()
    assert pair.reference.samefile(clear)
