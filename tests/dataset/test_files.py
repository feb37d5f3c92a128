"""Writing, moving, deleting and locking: nothing is half, nothing of others is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.processes import Process, Thread
from helpers.waiting import SOON_S

from dataset import files, locks, parts
from dataset.errors import UserError


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_text("mine")
    return path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_file_that_fails_half_way_leaves_the_old_one(mine: Path) -> None:
    with pytest.raises(TypeError), files.written_aside(mine) as file:
        file.writelines([b"half" * 100_000, None])  # type: ignore[list-item]
    assert mine.read_text() == "mine"
    assert names(mine.parent) == ["mine.txt"]


def test_a_link_is_replaced_and_what_it_leads_to_stays(mine: Path) -> None:
    link = mine.with_name("link")
    link.symlink_to(mine)
    files.write_whole(link, b"new")
    assert mine.read_text() == "mine"
    assert not link.is_symlink()


def test_a_link_in_place_of_the_part_is_not_written_through(mine: Path) -> None:
    target = mine.with_name("target")
    files.part_of(target).symlink_to(mine)
    files.write_whole(target, b"new")
    assert (mine.read_text(), target.read_text()) == ("mine", "new")


def test_a_file_that_must_be_new_replaces_nothing(mine: Path) -> None:
    with pytest.raises(UserError, match="exists"):
        files.write_whole(mine, b"new", replaces=False)
    assert mine.read_text() == "mine"
    assert names(mine.parent) == ["mine.txt"]


def test_of_many_who_write_one_new_file_one_does(tmp_path: Path) -> None:
    barrier, done = threading.Barrier(8), []

    def move(number: int) -> None:
        source = tmp_path / f"source{number}"
        source.write_text(str(number))
        barrier.wait(SOON_S)
        try:
            files.move_new(source, tmp_path / "target")
            done.append(number)
        except FileExistsError:
            pass

    threads = [Thread(target=move, args=(each,)) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [str(each) for each in done] == [(tmp_path / "target").read_text()]
    assert len(names(tmp_path)) == 8


@pytest.mark.parametrize("way", ["at once", "in two steps"])
def test_nothing_is_renamed_onto_a_file(
    mine: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "in two steps":  # as on a file system that cannot do it at once
        monkeypatch.setattr(files, "_rename_exclusively", lambda source, target: False)
    other = mine.with_name("other")
    other.write_text("other")
    with pytest.raises(FileExistsError):
        files.move_new(other, mine)
    assert (mine.read_text(), other.read_text()) == ("mine", "other")
    files.move_new(other, mine.with_name("third"))
    assert mine.with_name("third").read_text() == "other"


def test_what_is_set_aside_takes_the_place_of_nothing(tmp_path: Path) -> None:
    for number in range(3):
        source = tmp_path / "a.png"
        source.write_text(str(number))
        files.move_aside(source, tmp_path / "damaged")
    assert {each.name: each.read_text() for each in (tmp_path / "damaged").iterdir()} == {
        "a.png": "0",
        "a-2.png": "1",
        "a-3.png": "2",
    }


def test_nothing_is_set_aside_through_a_link(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "damaged").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="link"):
        files.move_aside(mine, tmp_path / "damaged")
    assert mine.exists()
    assert not names(tmp_path / "elsewhere")


def test_nothing_is_appended_or_cut_through_a_link(mine: Path) -> None:
    link = mine.with_name("link")
    link.symlink_to(mine)
    with pytest.raises(OSError, match="link"):
        files.open_to_append(link)
    with pytest.raises(OSError, match="link"):
        files.cut_file(link, 0)
    with pytest.raises(OSError, match="link"):
        files.WholeLines(link)
    assert mine.read_text() == "mine"


def test_lines_are_whole_or_not_there(small_disk: Path) -> None:
    lines = files.WholeLines(small_disk / "lines")
    lines.append(b"first\n")
    with pytest.raises(OSError, match="space"):
        lines.append(b"x" * (9 << 20) + b"\n")
    lines.append(b"second\n")
    lines.close()
    assert (small_disk / "lines").read_bytes() == b"first\nsecond\n"


def test_only_a_marked_folder_is_deleted(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("theirs")
    with pytest.raises(UserError, match="not made by this program"):
        parts.remove_marked(tmp_path / "theirs")
    made = tmp_path / "made"
    parts.make_marked(made, "A test.")
    (made / "deep").mkdir()
    (made / "deep" / "link").symlink_to(mine)
    (made / "away").symlink_to(tmp_path / "theirs")
    link = tmp_path / "link"
    link.symlink_to(made)
    with pytest.raises(UserError, match="not made by this program"):
        parts.remove_marked(link)
    parts.remove_marked(made)
    assert names(tmp_path) == ["link", "mine.txt", "theirs"]
    assert (tmp_path / "theirs" / "thesis.txt").read_text() == "theirs"
    parts.remove_marked(made)  # gone already


def test_a_mark_that_is_a_link_marks_nothing(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / parts.OWN_MARKER).symlink_to(mine)
    with pytest.raises(UserError, match="not made by this program"):
        parts.remove_marked(tmp_path / "theirs")


def test_only_parts_of_dead_processes_are_removed(mine: Path, tmp_path: Path) -> None:
    dead = Process([sys.executable, "-c", ""])
    dead.wait(SOON_S)
    (tmp_path / f".a.png.{dead.pid}.part").write_text("half")
    (tmp_path / f".b.png.{os.getpid()}.part").write_text("mine")
    (tmp_path / f".c.png.{dead.pid}.part").symlink_to(mine)
    (tmp_path / ".upload.part").write_text("somebody's")
    (tmp_path / f".d.{dead.pid}.part").mkdir()
    assert parts.remove_parts(tmp_path) == 1
    assert names(tmp_path) == [
        f".b.png.{os.getpid()}.part",
        f".c.png.{dead.pid}.part",
        f".d.{dead.pid}.part",
        ".upload.part",
        "mine.txt",
    ]


def test_a_lock_is_held_by_one_and_let_go_by_the_dead(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    code = (
        "import sys\nfrom pathlib import Path\nfrom dataset.locks import hold_lock\n"
        "with hold_lock(Path(sys.argv[1]), 'busy'):\n    print('held', flush=True)\n    input()\n"
    )
    holder = Process(
        [sys.executable, "-c", code, str(path)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline().strip() == b"held"
        assert locks.is_held(path)
        with pytest.raises(UserError, match="busy, end it"), locks.hold_lock(path, "busy, end it"):
            pass
    finally:
        holder.kill()
        holder.communicate(timeout=20)
    with locks.hold_lock(path, "busy"):
        pass
    assert not locks.is_held(path)


def test_a_lock_that_is_a_link_is_refused_and_its_end_stays_as_it_is(mine: Path) -> None:
    lock = mine.with_name(".lock")
    lock.symlink_to(mine)
    with pytest.raises(UserError, match="link"), locks.hold_lock(lock, "busy"):
        pass
    assert not locks.is_held(lock)
    assert mine.read_text() == "mine"


def test_only_this_user_can_read_what_is_written_for_this_user(tmp_path: Path) -> None:
    if os.name != "posix":
        pytest.skip("modes of POSIX")
    files.write_whole(tmp_path / "token", b"secret", mode=0o600)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
