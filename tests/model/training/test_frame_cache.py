"""Frames are decoded once, and a cache is never half, never stale and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.processes import Process
from helpers.waiting import SOON_S

import model.training.frame_cache
from dataset.errors import UserError
from dataset.layout.readers import CACHE_FOLDER, find_frames
from dataset.pictures.images import write_png
from model.training.batches import Domains
from model.training.frame_cache import Frames, load_frames, open_frames


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of this system, empty and of this test alone."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three frames of X and two of Y, some of another shape."""
    make_frames(tmp_path / "trainA", [(40, 48), (40, 48), (64, 50)])
    make_frames(tmp_path / "trainB", [(40, 48), (20, 30)])
    return tmp_path


def make_frames(folder: Path, shapes: list[tuple[int, int]]) -> None:
    folder.mkdir(parents=True)
    random = np.random.default_rng(len(shapes))
    for number, shape in enumerate(shapes):
        frame = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
        write_png(folder / f"{number:06d}.png", frame)


def open_and_count(
    data: Path, folder: str = "trainA", size: int = 32, load_size: int = 0
) -> tuple[Frames, int]:
    """The frames and how many were decoded; a cache that was ready tells once that all is done."""
    told: list[tuple[int, int]] = []
    frames = open_frames(data, folder, size, load_size, lambda *each: told.append(each))
    assert told[-1] == (len(frames), len(frames))
    return frames, len(told) if len(told) > 1 else 0


def same_as_decoded(frames: Frames, data: Path, folder: str = "trainA") -> bool:
    decoded = load_frames(find_frames(data, folder), 32, 0)
    return len(frames) == len(decoded) and all(map(np.array_equal, frames, decoded))


def cached(data: Path, start: str = "trainA") -> set[str]:
    """Names of a folder's files in the cache, without its lock."""
    names = {path.name for path in (data / CACHE_FOLDER).iterdir()}
    return {name for name in names if name.startswith((f"{start}-", f".{start}-"))}


def test_a_second_run_decodes_nothing(data: Path) -> None:
    frames, decoded = open_and_count(data)
    assert decoded == 3
    assert frames.file is not None
    assert frames.file.parent == data / CACHE_FOLDER
    again, decoded = open_and_count(data)
    assert decoded == 0
    assert again.file == frames.file
    assert same_as_decoded(frames, data)
    assert same_as_decoded(again, data)
    assert not again[0].flags.writeable


def test_the_index_tells_where_each_frame_lies(data: Path) -> None:
    frames, _ = open_and_count(data)
    assert frames.file is not None
    index = json.loads(frames.file.with_suffix(".json").read_text(encoding="utf-8"))
    assert index["frames"] == [[40, 48, 0], [40, 48, 5760], [64, 50, 11520]]
    assert frames.file.stat().st_size == 11520 + 64 * 50 * 3


def test_batches_of_mapped_frames_are_those_of_decoded_ones(data: Path) -> None:
    x, y = (open_frames(data, folder, 32, 0) for folder in ("trainA", "trainB"))
    lists = [load_frames(find_frames(data, folder), 32, 0) for folder in ("trainA", "trainB")]
    plain = Domains(lists[0], lists[1], 32, 4, seed=5, flip=True)
    for resident in (False, True):
        mapped = Domains(x, y, 32, 4, seed=5, flip=True, resident=resident)
        for epoch, step in ((1, 0), (2, 3)):
            pairs = zip(plain.batch(epoch, step), mapped.batch(epoch, step), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("change", ["replaced", "added", "removed", "renamed"])
def test_a_changed_picture_renews_the_cache_and_removes_the_stale_one(
    data: Path, change: str
) -> None:
    open_and_count(data)
    before = cached(data)
    first = data / "trainA" / "000000.png"
    if change == "replaced":
        kept = first.stat().st_mtime_ns
        first.write_bytes((data / "trainB" / "000000.png").read_bytes())
        os.utime(first, ns=(kept, kept + 1_000_000_000))
    elif change == "added":
        write_png(data / "trainA" / "하늘.png", np.zeros((40, 40, 3), np.uint8))
    elif change == "removed":
        first.unlink()
    else:
        first.rename(first.with_name("구름.png"))
    frames, decoded = open_and_count(data)
    assert decoded == len(frames)
    assert same_as_decoded(frames, data)
    assert len(cached(data)) == 2
    assert not cached(data) & before


def test_each_folder_keeps_its_own_cache(data: Path) -> None:
    for folder in ("trainA", "trainB"):
        open_and_count(data, folder)
    for folder in ("trainA", "trainB"):
        frames, decoded = open_and_count(data, folder)
        assert decoded == 0
        assert same_as_decoded(frames, data, folder)


def test_runs_whose_frames_come_out_alike_share_a_cache(data: Path) -> None:
    assert open_and_count(data, size=16, load_size=32)[1] == 3
    assert open_and_count(data, size=32, load_size=32)[1] == 0
    assert {min(frame.shape[:2]) for frame in open_frames(data, "trainA", 32, 36)} == {36}


@pytest.mark.parametrize("fault", ["short pixels", "half an index", "another index", "no pixels"])
def test_a_damaged_cache_is_made_anew(data: Path, fault: str) -> None:
    frames, _ = open_and_count(data)
    assert frames.file is not None
    file, index = frames.file, frames.file.with_suffix(".json")
    del frames  # Windows replaces no file that is mapped
    if fault == "short pixels":
        file.write_bytes(file.read_bytes()[:-1])
    elif fault == "half an index":
        index.write_bytes(index.read_bytes()[:20])
    elif fault == "another index":
        index.write_text('{"frames": [[1, 2], "three"]}')
    else:
        file.unlink()
    again, decoded = open_and_count(data)
    assert decoded == 3
    assert same_as_decoded(again, data)


OPENS = """
import os, sys
from model.training.frame_cache import open_frames
calls = []
def progress(done, total):
    calls.append(done)
    if len(calls) == int(sys.argv[2]):
        os._exit(9)
frames = open_frames(sys.argv[1], "trainA", 32, 0, progress)
print(len(calls), frames.file, sum(int(frame.sum()) for frame in frames))
"""


def opening(data: Path, killed_after: int = 0) -> subprocess.Popen[str]:
    """A process that opens the frames of X, and ends without warning after decoding this many."""
    command = [sys.executable, "-c", OPENS, str(data), str(killed_after)]
    return Process(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_killed_process_leaves_no_half_cache(data: Path) -> None:
    with opening(data, killed_after=2) as process:
        assert process.wait(SOON_S) == 9
    assert {Path(name).suffix for name in cached(data)} == {".part"}
    frames, decoded = open_and_count(data)
    assert decoded == 3
    assert same_as_decoded(frames, data)
    assert {Path(name).suffix for name in cached(data)} == {".frames", ".json"}


@pytest.mark.slow
def test_of_two_processes_at_once_one_decodes(tmp_path: Path) -> None:
    make_frames(tmp_path / "trainA", [(64, 80)] * 40)
    processes = [opening(tmp_path) for _ in range(2)]
    told = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(int(calls) for calls, _, _ in told) == [1, 40]
    assert told[0][1:] == told[1][1:]
    assert len(cached(tmp_path)) == 2


@pytest.fixture
def sealed(tmp_path: Path) -> Iterator[Path]:
    """A data folder that nobody can write to, not even root."""
    folder = tmp_path / "sealed"
    make_frames(folder / "trainA", [(40, 48), (40, 48), (64, 50)])
    folder.chmod(0o555)
    mounted = False
    if os.access(folder, os.W_OK):
        bind = ["mount", "--bind", str(folder), str(folder)]
        mounted = sys.platform == "linux" and not subprocess.run(bind, timeout=20).returncode
        seal = ["mount", "-o", "remount,bind,ro", str(folder)]
        if not mounted or subprocess.run(seal, timeout=20).returncode:
            pytest.skip("this user can write everywhere and cannot mount")
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True, timeout=20)
        folder.chmod(0o755)


def test_a_read_only_data_folder_is_cached_elsewhere(sealed: Path, temporary: Path) -> None:
    frames, decoded = open_and_count(sealed)
    assert decoded == 3
    assert frames.file is not None
    assert temporary in frames.file.parents
    assert same_as_decoded(frames, sealed)
    assert open_and_count(sealed)[1] == 0


def test_the_cache_of_a_read_only_data_folder_goes_where_it_is_told(
    sealed: Path, tmp_path: Path, temporary: Path
) -> None:
    frames = open_frames(sealed, "trainA", 32, 0, spare=tmp_path / "여분")
    assert frames.file is not None
    assert frames.file.parent == tmp_path / "여분"
    assert not any(temporary.iterdir())


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users and modes of POSIX")
@pytest.mark.parametrize("kind", ["link", "open to others"])
def test_a_folder_in_which_others_could_put_frames_is_not_used(
    sealed: Path, temporary: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    planted, elsewhere = temporary / f"unclip-{os.getuid()}", tmp_path_factory.mktemp("elsewhere")
    if kind == "link":
        planted.symlink_to(elsewhere)
    else:
        planted.mkdir()
        planted.chmod(0o777)
    frames, decoded = open_and_count(sealed)
    assert (frames.file, decoded) == (None, 3)
    assert not any(elsewhere.iterdir())
    assert not any(planted.iterdir())


def test_frames_stay_in_memory_where_no_place_can_be_written_to(
    data: Path, temporary: Path
) -> None:
    (data / CACHE_FOLDER).write_text("a file where the folder would be")
    temporary.rmdir()
    frames, decoded = open_and_count(data)
    assert frames.file is None
    assert decoded == 3
    assert same_as_decoded(frames, data)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="temporary folders are the user's own")
def test_a_temporary_folder_of_somebody_else_is_not_trusted(
    data: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / CACHE_FOLDER).write_text("a file where the folder would be")
    theirs, me = open_frames(data, "trainA", 32, 0), os.getuid()
    assert theirs.file is not None
    (temporary / f"unclip-{me}").rename(temporary / f"unclip-{me + 1}")
    monkeypatch.setattr(model.training.frame_cache.os, "getuid", lambda: me + 1)
    assert open_frames(data, "trainA", 32, 0).file is None


def test_a_full_disk_keeps_frames_in_memory_and_leaves_nothing(small_disk: Path) -> None:
    folder = small_disk / "trainA"
    folder.mkdir()
    for number in range(12):  # 3 MB each as pixels, a few kB as PNG
        write_png(folder / f"{number}.png", np.full((1000, 1000, 3), number, np.uint8))
    frames = open_frames(small_disk, "trainA", 256, 0)
    assert frames.file is None
    assert [int(frame[0, 0, 0]) for frame in frames] == sorted(range(12), key=str)
    assert not cached(small_disk)


def test_a_picture_that_cannot_be_read_is_named_and_leaves_nothing(data: Path) -> None:
    (data / "trainA" / "000001.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"000001\.png is not a picture"):
        open_frames(data, "trainA", 32, 0)
    assert not cached(data)
    with pytest.raises(UserError, match=r"000001\.png"):  # and the lock was let go
        open_frames(data, "trainA", 32, 0)


def test_the_cache_is_not_taken_for_pictures(data: Path) -> None:
    before = find_frames(data, "trainA")
    open_frames(data, "trainA", 32, 0)
    assert find_frames(data, "trainA") == before
    with pytest.raises(UserError):
        find_frames(data, CACHE_FOLDER)
    with pytest.raises(UserError):
        find_frames(data, "testA")


def test_frames_are_averaged_to_the_load_size_and_never_smaller_than_a_square(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "trainA"
    folder.mkdir()
    write_png(folder / "wide.png", np.zeros((100, 200, 3), np.uint8))
    write_png(folder / "small.png", np.zeros((10, 20, 3), np.uint8))
    paths = find_frames(tmp_path, "trainA")
    assert [path.name for path in paths] == ["small.png", "wide.png"]
    assert [frame.shape for frame in load_frames(paths, 32, 50)] == [(50, 100, 3), (50, 100, 3)]
    assert [frame.shape for frame in load_frames(paths, 32, 0)] == [(32, 64, 3), (100, 200, 3)]
    assert [frame.shape for frame in open_frames(tmp_path, "trainA", 32, 50)] == [(50, 100, 3)] * 2


@pytest.mark.parametrize(
    ("folder", "place"),
    [("trainA", "train/X"), ("trainB", "train/Y"), ("testA", "test/X"), ("testB", "test/Y")],
)
def test_the_imagefolder_layout_is_found_too(tmp_path: Path, folder: str, place: str) -> None:
    make_frames(tmp_path / place, [(40, 48)])
    assert find_frames(tmp_path, folder) == [tmp_path / place / "000000.png"]
    assert open_and_count(tmp_path, folder)[1] == 0  # one frame is reported once, decoded or not
    make_frames(tmp_path / folder, [(40, 48)] * 2)
    assert len(find_frames(tmp_path, folder)) == 2


def test_frames_with_korean_names_are_found_and_cached(tmp_path: Path) -> None:
    data = tmp_path / "학습 자료"
    for name, value in (("하늘.png", 1), ("구름 2.PNG", 2), ("비행기.jpg", 3)):
        (data / "trainA").mkdir(parents=True, exist_ok=True)
        write_png(data / "trainA" / name, np.full((40, 48, 3), value, np.uint8))
    frames, decoded = open_and_count(data)
    assert decoded == 3
    assert frames.file is not None
    assert [int(frame[0, 0, 0]) for frame in frames] == [2, 3, 1]
    assert open_and_count(data)[1] == 0


def test_hidden_files_are_no_frames(data: Path) -> None:
    (data / "trainA" / "._000000.png").write_bytes(b"what macOS leaves on foreign disks")
    assert len(find_frames(data, "trainA")) == 3


def test_missing_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cli split"):
        find_frames(tmp_path, "trainA")
