"""Screenshots become a session: in order, with their pixels, and nothing of theirs changed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers import made_modern
from helpers.made_pictures import exif
from helpers.painted import noise
from helpers.processes import Process

from dataset.errors import UserError
from dataset.files import part_of
from dataset.parts import OWN_MARKER, make_marked
from dataset.pictures.exif import turn
from dataset.pictures.hashing import sha256
from dataset.pictures.images import read_image
from dataset.pictures.png import encode_png
from dataset.sessions.imports import ImportedSession, import_files
from dataset.sessions.manifest import find_sessions, read_frames, read_session


def import_one(paths: list[Path], out: Path, **settings: Any) -> ImportedSession:
    """Import pictures of which all can be read."""
    summary = import_files(paths, out, **settings)
    assert summary.skipped == ()
    (session,) = summary.sessions
    return session


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Three PNG screenshots whose natural order is not the alphabetical one."""
    folder = tmp_path / "스크린샷"
    (folder / "deeper").mkdir(parents=True)
    for number, name in enumerate(["shot 2.png", "shot 10.PNG", "deeper/shot 1.png"]):
        (folder / name).write_bytes(encode_png(noise(number)))
        os.utime(folder / name, ns=(0, 1_700_000_000_000_000_000 + 100 * number))  # NTFS' steps
    return folder


def test_screenshots_keep_bytes_order_and_times(shots: Path, tmp_path: Path) -> None:
    summary = import_one([shots], tmp_path / "captures", session="mine", label="Y")
    assert summary.session == tmp_path / "captures" / "mine"
    assert summary.frames == 3
    frames = list(read_frames(summary.session))
    assert [frame.file for frame in frames] == [f"frames/{n:06d}.png" for n in range(3)]
    assert [frame.wall_ns // 100 % 10 for frame in frames] == [2, 0, 1]  # deeper/1, 2, 10
    assert frames[0].extra["source"] == str(next(shots.glob("*/*")))
    for frame, seed in zip(frames, [2, 0, 1], strict=True):
        data = (summary.session / frame.file).read_bytes()
        assert data == encode_png(noise(seed))
        assert sha256(data) == frame.sha256
        assert (frame.label, frame.width, frame.height) == ("Y", 96, 64)
    assert find_sessions(tmp_path / "captures") == [summary.session]
    assert read_session(summary.session)["imported"] is True


def test_other_formats_become_lossless_png(tmp_path: Path) -> None:
    grey, alpha = noise(0)[..., 0], np.dstack([noise(1), noise(2)[..., 0]])
    deep = noise(3).astype(np.uint16) * 257
    pictures = {"0.bmp": noise(4), "1.png": grey, "2.png": alpha, "3.png": deep, "4.jpg": noise(5)}
    for name, picture in pictures.items():
        (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, picture)[1].tobytes())
    summary = import_one([tmp_path], tmp_path / "captures")
    assert summary.frames == 5
    for number, name in enumerate(pictures):
        path = summary.session / f"frames/{number:06d}.png"
        assert path.read_bytes()[24:26] == b"\x08\x02"  # 8-bit RGB
        assert np.array_equal(read_image(path), read_image(tmp_path / name))


def test_pictures_of_phones_and_of_the_web_become_frames(tmp_path: Path) -> None:
    shown = made_modern.levels(height=64, width=64)
    files = {
        "0.HEIC": made_modern.heif(shown, exif=exif(6)),
        "1.avif": made_modern.avif(shown[::-1].copy()),
        "2.jxl": made_modern.jpeg_xl(shown[:, ::-1].copy()),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    summary = import_one([tmp_path], tmp_path / "captures")
    frames = list(read_frames(summary.session))
    assert [each.extra["source"] for each in frames] == [str(tmp_path / name) for name in files]
    assert [each.extra["time_from"] for each in frames] == ["exif", "file", "file"]
    wanted = (turn(shown, 6), shown[::-1], shown[:, ::-1])
    for number, picture in enumerate(wanted):
        assert (read_image(summary.session / f"frames/{number:06d}.png") == picture).all()


def test_size_shrinks_pictures(shots: Path, tmp_path: Path) -> None:
    summary = import_one([shots], tmp_path / "captures", size=(48, 32))
    assert {(frame.width, frame.height) for frame in read_frames(summary.session)} == {(48, 32)}
    assert read_image(summary.session / "frames/000000.png").shape == (32, 48, 3)
    assert read_image(shots / "shot 2.png").shape == (64, 96, 3)


def test_times_come_from_exif_then_names_then_files(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    for name in ("20240131123456_1.png", "20240131123556_1.png"):
        (folder / name).write_bytes(encode_png(noise(1)))
        os.utime(folder / name, (1.7e9, 1.7e9))
    session = import_one([folder], tmp_path / "captures", session="named").session
    begin, end = (each.wall_ns for each in read_frames(session))
    assert end - begin == 60 * 10**9
    assert [each.extra["time_from"] for each in read_frames(session)] == ["name", "name"]
    assert read_session(session)["times"] == "pictures"
    (folder / "other.png").write_bytes(encode_png(noise(1)))
    session = import_one([folder], tmp_path / "captures", session="mixed").session
    assert [each.extra["time_from"] for each in read_frames(session)] == ["name", "name", "file"]
    assert read_session(session)["times"] == "files"


def test_times_that_are_alike_are_told_with_the_option_that_counts(tmp_path: Path) -> None:
    for folder, name in (("copied", "shot {}.png"), ("cut", "Video 2024-01-31 12-34-56_{:04}.png")):
        (tmp_path / folder).mkdir()
        for number in range(12):
            path = tmp_path / folder / name.format(number)
            path.write_bytes(encode_png(noise(number)))
            os.utime(path, (1.7e9, 1.7e9))
        summary = import_files([tmp_path / folder], tmp_path / "captures", session=folder)
        assert read_session(summary.sessions[0].session)["times"] == "files"
        assert len(summary.notes) == 1
        assert summary.notes[0].startswith("the times of 12 of 12 pictures are alike")
        assert "--burst-frames" in summary.notes[0]


def test_pictures_of_several_sizes_are_counted(shots: Path, tmp_path: Path) -> None:
    (shots / "shot 11.png").write_bytes(encode_png(noise(1)[:32, :48]))
    (note,) = (
        each
        for each in import_files([shots], tmp_path / "captures", session="a").notes
        if "sizes" in each
    )
    assert note.startswith("pictures of several sizes: 3 of 96x64, 1 of 48x32. ")
    assert "--size" in note
    told = import_files([shots], tmp_path / "captures", session="b", size=(48, 32)).notes
    assert not any("sizes" in each for each in told)


def test_small_copies_are_left_out_unless_named(shots: Path, tmp_path: Path) -> None:
    for folder in ("thumbnails", "deeper/@eaDir", ".hidden"):
        (shots / folder).mkdir()
        (shots / folder / "shot 1.png").write_bytes(encode_png(noise(7)))
    summary = import_files([shots], tmp_path / "captures", session="all")
    assert [each.frames for each in summary.sessions] == [3]
    small = shots / "deeper" / "@eaDir"
    assert summary.notes == (
        f"left out: 2 small copies in 2 folders, such as {small}. To take them, name that folder.",
    )
    assert import_one([shots / "thumbnails"], tmp_path / "captures", session="small").frames == 1


def test_patterns_that_the_shell_left_alone_are_matched(shots: Path, tmp_path: Path) -> None:
    odd = shots.rename(tmp_path / "[2024] shots (1)")
    (odd / "notes.txt").write_text("not a picture")
    small = 2 if os.name == "nt" else 1  # where .PNG is .png, too
    for name, pattern, count in (
        ("a", "*.png", small),
        ("b", "**/*", 3),
        ("c", "shot [12].png", 1),
    ):
        summary = import_files([odd / pattern], tmp_path / "captures", session=name)
        assert [each.frames for each in summary.sessions] == [count]
        assert bool(summary.notes) is (name == "b")
    with pytest.raises(UserError, match=r"Nothing matches .*\*\.jpg\. Check the name"):
        import_files([odd / "*.jpg"], tmp_path / "captures")


def test_unreadable_files_are_skipped_and_named(shots: Path, tmp_path: Path) -> None:
    (shots / "broken.png").write_bytes(encode_png(noise(0))[:40])
    (shots / "empty.jpg").write_bytes(b"")
    (shots / "notes.txt").write_text("not a picture")
    summary = import_files([shots], tmp_path / "captures")
    assert [each.frames for each in summary.sessions] == [3]
    assert sorted(Path(text.split()[0]).name for text in summary.skipped) == [
        "broken.png",
        "empty.jpg",
    ]
    assert len(list(summary.sessions[0].session.glob("frames/*"))) == 3


def test_nothing_readable_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(UserError, match=r"^[^ ]*a\.png is not a picture"):
        import_one([tmp_path / "a.png"], tmp_path / "captures")
    with pytest.raises(UserError, match=r"None of 2 files.*a\.png"):
        import_one([tmp_path], tmp_path / "captures")
    assert list((tmp_path / "captures").iterdir()) == []


def test_an_existing_session_is_refused_untouched(shots: Path, tmp_path: Path) -> None:
    made = import_one([shots / "shot 2.png"], tmp_path / "captures", session="mine")
    with pytest.raises(UserError, match="exists already"):
        import_one([shots], tmp_path / "captures", session="mine")
    assert len(list(read_frames(made.session))) == 1


def test_what_was_recorded_already_is_not_imported_again(shots: Path) -> None:
    first = import_one([shots], shots / "captures", session="one")
    second = import_one([shots, shots / "shot 2.png"], shots / "captures", session="two")
    assert first.frames == second.frames == 3


def test_missing_paths_and_empty_folders_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file or folder"):
        import_files([tmp_path / "nowhere"], tmp_path / "captures")
    with pytest.raises(UserError, match="No pictures or recordings under"):
        import_files([tmp_path], tmp_path / "captures")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_names_in_another_encoding_are_imported_and_kept_readable(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode("사진".encode("euc-kr"))
    folder.mkdir()
    for number, name in enumerate(("하늘", "구름")):
        path = folder / os.fsdecode(name.encode("euc-kr") + b".png")
        path.write_bytes(encode_png(noise(number)))
    (folder / os.fsdecode("눈".encode("euc-kr") + b".png")).write_bytes(b"no picture")
    (made,) = import_files([folder], tmp_path / "captures").sessions
    sources = [str(frame.extra["source"]) for frame in read_frames(made.session)]
    assert len(sources) == 2
    for source in (*sources, *map(str, read_session(made.session)["skipped"])):
        source.encode()  # a JSON of halves of characters could not be written
        assert "\\udc" in source


FOREVER = """
import sys, time
from pathlib import Path
from dataset.sessions.imports import import_files
def wait(done, total):
    print(done, flush=True)
    time.sleep(30)
import_files([Path(sys.argv[1])], Path(sys.argv[2]), "mine", on_progress=wait)
"""


def test_what_a_killed_import_left_is_removed_by_the_next(shots: Path, tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    with Process(
        [sys.executable, "-c", FOREVER, str(shots), str(captures)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        (part,) = captures.glob(".*.part")
        import_files([shots], captures, "meanwhile")
        assert part.is_dir()  # of a process that is alive
        process.kill()
    assert part.is_dir()
    time.sleep(0.05)
    import_files([shots], captures, "after")
    assert sorted(path.name for path in captures.iterdir()) == ["after", "meanwhile"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_what_only_looks_like_a_part_is_left_alone(shots: Path, tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()
    mine, other = captures / ".mine.999999999.part", captures / ".notes.part"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    other.mkdir()
    elsewhere = tmp_path / "elsewhere"
    make_marked(elsewhere, "of somebody")
    (captures / ".linked.999999999.part").symlink_to(elsewhere)
    import_files([shots], captures, "after")
    assert (mine / "thesis.txt").read_text() == "all of it"
    assert other.is_dir()
    assert (elsewhere / OWN_MARKER).is_file()


def test_a_session_that_appears_meanwhile_is_never_replaced(shots: Path, tmp_path: Path) -> None:
    target = tmp_path / "captures" / "mine"

    def appear(done: int, total: int) -> None:
        target.mkdir(exist_ok=True)

    with pytest.raises(UserError, match="exists already"):
        import_files([shots], tmp_path / "captures", "mine", on_progress=appear)
    assert list(target.iterdir()) == []
    assert not part_of(target).exists()


def test_a_finished_session_bears_no_mark(shots: Path, tmp_path: Path) -> None:
    made = import_one([shots], tmp_path / "captures")
    assert not (made.session / OWN_MARKER).exists()
