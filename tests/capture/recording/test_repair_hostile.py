"""Sessions that came from somebody else, or from a crash at the worst moment: what a repair does.

Nothing outside of the session is read into it, moved or deleted; nothing inside of it is lost.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import pytest
from helpers import ROOT
from helpers.painted import noise
from helpers.processes import Process
from helpers.screens import bgrx_of, check_whole
from hypothesis import given, settings
from hypothesis import strategies as some

from capture.recording.repair import repair_session
from capture.recording.spool import Damaged, Spool, journal_of, read_segment
from capture.recording.spool_to_png import SpoolToPng
from capture.recording.workers import GrabbedFrame
from dataset.errors import UserError
from dataset.pictures.hashing import phash, sha256
from dataset.pictures.png import encode_png
from dataset.sessions.manifest import (
    FRAMES_FILE,
    SPOOL,
    SPOOL_JOURNAL,
    Frame,
    ManifestWriter,
    read_lines,
    read_session,
    write_session,
)

pytestmark = pytest.mark.slow

SIZE = (24, 16)  # width, height
PICTURES = [encode_png(noise(seed, SIZE)) for seed in range(12)]


def line(index: int, data: bytes, **values: Any) -> Frame:
    """The line that a recorder would write of a picture."""
    plain = Frame(
        index,
        f"frames/{index:06d}.png",
        *SIZE,
        wall_ns=1_700_000_000_000_000_000 + index,
        monotonic_ns=index,
        label="XY"[index % 2],
        sha256=sha256(data),
        phash=phash(noise(index, SIZE)),
    )
    return replace(plain, **values)


def recorded(session: Path, count: int = 6) -> Path:
    """A whole session of this many frames, as a recorder leaves it."""
    (session / "frames").mkdir(parents=True)
    with ManifestWriter(session) as manifest:
        for index, data in enumerate(PICTURES[:count]):
            frame = line(index, data)
            (session / frame.file).write_bytes(data)
            manifest.append(frame)
    write_session(session, {"format": 1, "session": session.name, "state": "ended"})
    return session


def spooled(session: Path, count: int = 6) -> Path:
    """A session whose frames are still a lossless video."""
    (session / "frames").mkdir(parents=True)
    spool = Spool(session, waiting=4)
    for index in range(count):
        spool.put(GrabbedFrame(Frame(index, "", *SIZE, index, index), bgrx_of(noise(index, SIZE))))
    spool.close()
    return session


def add(path: Path, *lines: dict[str, Any] | str) -> None:
    """Append lines to a manifest or journal."""
    with open(path, "a", encoding="utf-8") as file:
        for each in lines:
            file.write((each if isinstance(each, str) else json.dumps(each)) + "\n")


def values_of(frame: Frame, **values: Any) -> dict[str, Any]:
    return {**json.loads(frame.to_json()), **values}


def everything(folder: Path) -> dict[str, object]:
    """What is in a folder, without the lock that a repair leaves: contents, and where links
    lead.
    """
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.name == ".recorder.lock" and not path.is_symlink():
            continue
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else path.is_dir()
    return found


def pictures(session: Path) -> set[str]:
    """Checksums of all pictures of a session, wherever in it they lie."""
    return {sha256(path.read_bytes()) for path in session.rglob("*.png") if path.is_file()}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder of the user's beside his captures."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "diary.txt").write_text("dear diary")
    (folder / "7.png").write_bytes(PICTURES[11])
    (folder / ".upload.part").write_text("half")
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return recorded(tmp_path / "captures" / "friend")


@pytest.mark.parametrize("index", [3, 6], ids=["done", "to come"])
@pytest.mark.parametrize(
    "segment",
    ["../../../secret/diary.txt", "{secret}/diary.txt", "/dev/zero", "0000.h264\n", "x.h264",
     "..", "", "journal.jsonl", "\u0661\u0661\u0661\u0661.h264", 7, None, ["0000.h264"]],
)  # fmt: skip
def test_a_segment_that_no_recorder_names_is_refused(
    session: Path, secret: Path, segment: Any, index: int
) -> None:
    if isinstance(segment, str):
        segment = segment.format(secret=secret)
    (session / SPOOL).mkdir()
    place = {"segment": segment, "offset": 0, "bytes": 1}
    add(session / SPOOL / SPOOL_JOURNAL, values_of(line(index, b""), **place))
    before = everything(session), everything(secret)
    with pytest.raises(UserError, match=r"journal\.jsonl.* is damaged .*Remove"):
        repair_session(session)
    assert (everything(session), everything(secret)) == before


@pytest.mark.parametrize(
    "fault",
    [{"offset": "x"}, {"offset": -5}, {"offset": 2**70}, {"offset": 0.5}, {"bytes": "y"},
     {"bytes": 0}, {"bytes": -1}, {"bytes": 20_000_000_000}, {"bytes": None}, {"segment": None}],
    ids=str,
)  # fmt: skip
def test_a_place_in_the_video_that_cannot_be_is_refused(tmp_path: Path, fault: Any) -> None:
    session = spooled(tmp_path / "s")
    path = session / SPOOL / SPOOL_JOURNAL
    first, *rest = path.read_text().splitlines()
    values = {**json.loads(first), **fault}
    path.write_text("")
    add(path, {key: value for key, value in values.items() if value is not None}, *rest)
    before = everything(session)
    with pytest.raises(UserError, match=r"journal\.jsonl.* is damaged"):
        repair_session(session)
    assert everything(session) == before


@pytest.mark.parametrize(
    "file",
    ["../../secret/diary.txt", "{secret}/diary.txt", "/dev/zero", "frames/../../../secret/7.png",
     "C:\\Windows\\win.ini", "frames/\x00.png", "", None, 7, ["frames/000000.png"]],
)  # fmt: skip
def test_a_line_that_names_a_file_outside_is_refused_and_the_file_stays(
    session: Path, secret: Path, file: Any
) -> None:
    if isinstance(file, str):
        file = file.format(secret=secret)
    add(session / FRAMES_FILE, values_of(line(6, b""), file=file))
    before = everything(session), everything(secret)
    with pytest.raises(UserError, match=r"line 7 is damaged .*Remove that line"):
        repair_session(session)
    assert (everything(session), everything(secret)) == before


@pytest.mark.parametrize(
    ("name", "target"),
    [("frames", "."), ("spool", "."), ("damaged", "."), (FRAMES_FILE, "diary.txt"),
     ("session.json", "diary.txt"), (".recorder.lock", "diary.txt"),
     ("spool/journal.jsonl", "diary.txt"), ("damaged/frames.jsonl", "diary.txt")],
)  # fmt: skip
def test_a_part_of_a_session_that_is_a_link_is_refused_before_anything_is_touched(
    session: Path, secret: Path, name: str, target: str
) -> None:
    (session / "frames/000002.png").write_bytes(b"not as it was")  # there would be work to do
    (session / "frames/.000009.png.77.part").write_bytes(b"half")
    place = session / name
    place.parent.mkdir(exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(secret / target)
    before = everything(session), everything(secret)
    with pytest.raises(UserError, match="is a link to another place, which is not touched"):
        repair_session(session)
    assert (everything(session), everything(secret)) == before


@pytest.mark.parametrize("target", ["diary.txt", "7.png", "nothing"])
def test_a_frame_that_is_a_link_out_of_the_session_stays_with_what_it_leads_to(
    session: Path, secret: Path, target: str
) -> None:
    link = session / "frames/000006.png"
    link.symlink_to(secret / target)
    add(session / FRAMES_FILE, values_of(line(6, PICTURES[11])))
    before = everything(secret)
    said = repair_session(session)
    assert (said.missing, said.damaged, said.adopted) == (("frames/000006.png",), (), ())
    assert os.readlink(link) == str(secret / target)
    assert everything(secret) == before
    assert len(check_whole(session)) == 6


def test_only_what_a_recorder_was_writing_is_removed(session: Path, secret: Path) -> None:
    (session / "frames/.000006.png.77.part").write_bytes(b"half")
    (session / f".session.json.{os.getpid()}.part").write_bytes(b"half")
    (session / ".frames.jsonl.part").write_bytes(b"half")  # as earlier versions named it
    stays = [".session.json.part", "frames/.000007.png.78.part", "frames/.upload.part",
             "frames/notes.part", "frames/.x.79.part"]  # fmt: skip
    (session / stays[0]).symlink_to(secret / "diary.txt")
    (session / stays[1]).symlink_to(secret / "diary.txt")
    (session / stays[2]).write_text("mine")
    (session / stays[3]).write_text("mine")
    (session / stays[4]).mkdir()
    before = everything(secret)
    assert repair_session(session).partial_files == 3
    assert all(os.path.lexists(session / name) for name in stays)
    assert not list(session.rglob("*.jsonl.part"))
    assert everything(secret) == before


def test_what_no_line_names_in_the_spool_is_set_aside(tmp_path: Path, secret: Path) -> None:
    session = spooled(tmp_path / "s")
    spool = session / SPOOL
    (spool / "thesis.doc").write_text("my thesis")
    (spool / "folder").mkdir()
    (spool / "folder" / "inner.txt").write_text("inner")
    (spool / "link.h264").symlink_to(secret / "diary.txt")
    (spool / "0007.h264").write_bytes(b"a segment of lines that are gone")
    (spool / "0008.h264").write_bytes(b"")  # of a recorder that was killed at once
    before = everything(secret)
    said = repair_session(session)
    assert len(check_whole(session)) == said.developed == 6
    assert len(said.problems) == 4
    assert not spool.exists()
    aside = session / "damaged"
    assert sorted(os.listdir(aside)) == ["0007.h264", "folder", "link.h264", "thesis.doc"]
    assert (aside / "thesis.doc").read_text() == "my thesis"
    assert (aside / "folder" / "inner.txt").read_text() == "inner"
    assert everything(secret) == before


def test_a_segment_that_is_a_link_is_neither_read_nor_deleted(tmp_path: Path) -> None:
    session = spooled(tmp_path / "s")
    other = tmp_path / "film.h264"
    (session / SPOOL / "0000.h264").rename(other)
    (session / SPOOL / "0000.h264").symlink_to(other)
    film = other.read_bytes()
    said = repair_session(session)
    assert (said.frames, len(said.problems)) == (0, 1)
    assert "link to another place" in said.problems[0]
    assert other.read_bytes() == film


def test_a_line_lost_from_the_journal_loses_no_part_of_the_video(tmp_path: Path) -> None:
    session = spooled(tmp_path / "s")
    path, film = session / SPOOL / SPOOL_JOURNAL, (session / SPOOL / "0000.h264").read_bytes()
    lines = path.read_text().splitlines()
    path.write_text("")
    add(path, *lines[:2], *lines[3:])
    said = repair_session(session)
    assert [frame.index for frame in read_lines(session)] == [0, 1]  # the others build on frame 2
    assert "lacks what stands before frame 3" in said.problems[0]
    assert (session / "damaged" / "0000.h264").read_bytes() == film


def test_lines_of_the_journal_out_of_order_are_refused(tmp_path: Path) -> None:
    session = spooled(tmp_path / "s")
    path = session / SPOOL / SPOOL_JOURNAL
    lines = path.read_text().splitlines()
    add(path, lines[2])
    before = everything(session)
    with pytest.raises(UserError, match=r"frame 2 is damaged .it comes after a later one"):
        repair_session(session)
    assert everything(session) == before


def film(path: Path, size: tuple[int, int], format: str, codec: str) -> list[Frame]:
    """A H.264 stream of one black frame, and the journal's line that says 24x16 of it."""
    context: Any = av.CodecContext.create(codec, "w")
    context.width, context.height = size
    context.pix_fmt, context.options = format, {"preset": "ultrafast", "tune": "zerolatency"}
    context.time_base = 1
    image: Any = av.VideoFrame(*size, format)
    image.pts = 0
    data = b"".join(bytes(packet) for packet in [*context.encode(image), *context.encode(None)])
    path.write_bytes(data)
    place = {"segment": path.name, "offset": 0, "bytes": len(data)}
    return [Frame(0, "", *SIZE, 0, 0, extra=place)]


@pytest.mark.parametrize(
    ("size", "format", "codec"),
    [(SIZE, "yuv420p", "libx264"), (SIZE, "gray", "libx264"), (SIZE, "yuv444p", "libx264"),
     ((48, 16), "bgr0", "libx264rgb"), ((4096, 4096), "bgr0", "libx264rgb")],
    ids=str,
)  # fmt: skip
def test_a_video_that_is_another_than_the_journal_says_is_damaged(
    tmp_path: Path, size: tuple[int, int], format: str, codec: str
) -> None:
    frames = film(tmp_path / "0000.h264", size, format, codec)
    with pytest.raises(Damaged, match=r"0000\.h264 cannot be read to its end"):
        list(read_segment(tmp_path / "0000.h264", frames))


def test_a_picture_larger_than_any_screen_is_not_decoded(tmp_path: Path) -> None:
    (frame,) = film(tmp_path / "0000.h264", SIZE, "bgr0", "libx264rgb")
    huge = [replace(frame, width=100_000, height=100_000)]
    with pytest.raises(Damaged, match="100000x100000 pixels are no picture of a screen"):
        list(read_segment(tmp_path / "0000.h264", huge))


def test_development_puts_no_frame_in_the_place_of_another_file(tmp_path: Path) -> None:
    session = spooled(tmp_path / "s")
    (session / "frames/000002.png").write_bytes(PICTURES[9])  # not what the video has
    SpoolToPng(session).run()
    assert len(check_whole(session)) == 6
    assert (session / "damaged/000002.png").read_bytes() == PICTURES[9]


def test_a_middle_line_that_was_removed_and_a_cut_tail_cost_no_frame(session: Path) -> None:
    """The frame without a line once took the name, and so the place, of the last one."""
    before = pictures(session)
    lines = (session / FRAMES_FILE).read_bytes().splitlines(keepends=True)
    (session / FRAMES_FILE).write_bytes(b"".join([*lines[:3], lines[4], lines[5][:20]]))
    said = repair_session(session)
    assert pictures(session) == before
    assert said.adopted == ("frames/000003.png", "frames/000005.png")
    frames = check_whole(session)
    assert [frame.file for frame in frames] == [f"frames/{index:06d}.png" for index in range(6)]
    assert [frame.label for frame in frames] == ["X", "Y", "X", "X", "X", "X"]


def damage(session: Path, data: some.DataObject) -> None:
    """What an editor, a crash or a careless hand may do to a session's manifest and files."""
    lines = (session / FRAMES_FILE).read_bytes().splitlines(keepends=True)
    kept = [each for each in lines if not data.draw(some.booleans(), "remove a line")]
    text = b"".join(kept)
    cut = data.draw(some.integers(0, min(len(text), 300)), "bytes cut off")
    (session / FRAMES_FILE).write_bytes(text[: len(text) - cut])
    names = some.sampled_from(["000000", "000003", "3", "0000003", "000007", "000040", "notes"])
    for name in data.draw(some.lists(names, unique=True, max_size=4), "pictures put in"):
        path = session / "frames" / f"{name}.png"
        if not path.exists():
            path.write_bytes(PICTURES[6 + len(name) % 6])
    for name in data.draw(some.lists(names, max_size=2), "pictures spoilt"):
        path = session / "frames" / f"{name}.png"
        if path.exists():
            path.write_bytes(path.read_bytes()[:-30])


@settings(max_examples=60)
@given(some.data())
def test_no_picture_is_lost_whatever_lines_are_gone(data: some.DataObject) -> None:
    with TemporaryDirectory() as folder:
        session = recorded(Path(folder) / "s")
        damage(session, data)
        before = pictures(session)
        repair_session(session)
        assert pictures(session) == before
        frames = list(read_lines(session))
        assert len({frame.index for frame in frames}) == len(frames)
        assert len({frame.file for frame in frames}) == len(frames)
        for frame in frames:
            assert sha256((session / frame.file).read_bytes()) == frame.sha256
        again = everything(session)
        assert "nothing to repair" in str(repair_session(session))
        again.pop("session.json")
        assert again.items() <= everything(session).items()


@settings(max_examples=20)
@given(some.data())
def test_a_video_cut_off_anywhere_loses_no_picture_that_was_whole(data: some.DataObject) -> None:
    with TemporaryDirectory() as folder:
        session = spooled(Path(folder) / "s")
        stop = iter([False] * data.draw(some.integers(0, 6), "developed") + [True] * 20)
        SpoolToPng(session, stop=lambda: next(stop)).run()
        if (session / SPOOL).exists():
            text = (session / FRAMES_FILE).read_bytes()
            cut = data.draw(some.integers(0, len(text)), "bytes cut off")
            (session / FRAMES_FILE).write_bytes(text[: len(text) - cut])
        before = pictures(session)
        repair_session(session)
        assert before <= pictures(session)
        assert len(check_whole(session)) == 6
        assert pictures(session) == {sha256(data) for data in PICTURES[:6]}


def test_a_line_whose_end_an_editor_left_away_is_kept(session: Path) -> None:
    path = session / FRAMES_FILE
    path.write_bytes(path.read_bytes()[:-1])
    assert "nothing to repair" in str(repair_session(session))
    assert check_whole(session)[-1].label == "Y"


def test_a_file_that_two_lines_name_is_kept_for_the_one_that_fits(session: Path) -> None:
    add(session / FRAMES_FILE, values_of(line(9, b""), file="frames/000001.png"))
    said = repair_session(session)
    assert (said.missing, said.damaged) == (("frames/000001.png",), ())
    assert len(check_whole(session)) == 6


@pytest.mark.parametrize("name", [FRAMES_FILE, "session.json", ".recorder.lock", "frames"])
def test_a_line_can_have_no_other_part_of_the_session_moved(session: Path, name: str) -> None:
    add(session / FRAMES_FILE, values_of(line(6, b"other"), file=name))
    assert repair_session(session).missing == (name,)
    gone = name == ".recorder.lock" and sys.platform == "win32"  # where it goes with the lock
    assert (session / name).exists() or gone
    assert len(check_whole(session)) == 6


def test_two_lines_of_one_damaged_file_are_set_aside_with_it(session: Path) -> None:
    (session / "frames/000006.png").write_bytes(b"spoilt")
    add(session / FRAMES_FILE, *(values_of(line(index, b""), file="frames/000006.png")
                                 for index in (6, 7)))  # fmt: skip
    assert len(repair_session(session).damaged) == 2
    assert (session / "damaged/000006.png").read_bytes() == b"spoilt"
    assert len((session / "damaged" / FRAMES_FILE).read_bytes().splitlines()) == 2


def test_frames_beside_the_largest_index_get_one_that_can_be_read_again(session: Path) -> None:
    (session / "frames/000006.png").write_bytes(PICTURES[6])
    add(session / FRAMES_FILE, values_of(line(2**53, PICTURES[6]), file="frames/000006.png"))
    for name in ("7", "000007", "9" * 200):
        (session / "frames" / f"{name}.png").write_bytes(PICTURES[7])
    os.utime(session / "frames/7.png", (2**33, 2**33))
    assert len(repair_session(session).adopted) == 3
    frames = list(read_lines(session))
    assert len({frame.index for frame in frames}) == len(frames) == 10
    assert "nothing to repair" in str(repair_session(session))


@pytest.mark.parametrize(
    "counts",
    [{"frames": "x", "lines": [1]}, [1], "many", 7, {"frames": -1}, {"missed": 10**400}],
    ids=lambda counts: str(counts)[:20],
)
def test_counts_that_make_no_sense_are_counted_again(session: Path, counts: Any) -> None:
    facts = json.dumps({"state": "ended", "counts": counts})
    (session / "session.json").write_text(facts)
    repair_session(session)
    found = read_session(session)["counts"]
    assert (found["lines"], found["frames"], found["missed"]) == (6, 6, 0)


def test_the_largest_counts_take_no_time_and_can_be_read_again(session: Path) -> None:
    for index in (6, 7):
        (session / f"frames/{index:06d}.png").write_bytes(PICTURES[index])
        most = line(index, PICTURES[index], missed_before=2**53, duplicates_before=2**53)
        add(session / FRAMES_FILE, values_of(most))
    repair_session(session)
    assert max(read_session(session)["counts"].values()) == 2**53
    repair_session(session)


@pytest.mark.parametrize("depth", [100, 900, 100_000])
@pytest.mark.parametrize("name", [FRAMES_FILE, "session.json"])
def test_what_is_nested_too_deep_is_refused(session: Path, name: str, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    if name == FRAMES_FILE:
        add(session / name, json.dumps(values_of(line(6, b"")))[:-1] + f', "x": {deep}}}')
    else:
        (session / name).write_text(f'{{"state": "ended", "x": {deep}}}')
    with pytest.raises(UserError, match=rf"{name}.*nested too deep"):
        repair_session(session)


def test_a_frame_of_terabytes_is_set_aside_unread(session: Path) -> None:
    with open(session / "frames/000006.png", "wb") as file:
        try:
            file.truncate(1 << 42)  # takes no room on the disk
        except OSError:
            pytest.skip("this disk has no files of that size")
    add(session / FRAMES_FILE, values_of(line(6, b"")))
    assert repair_session(session).damaged == ("frames/000006.png",)


def test_two_repairs_at_once_leave_what_one_would(session: Path) -> None:
    (session / "frames/000003.png").write_bytes(b"spoilt")
    (session / "frames/000009.png").write_bytes(PICTURES[9])
    before = pictures(session)
    command = [sys.executable, str(ROOT / "cli.py"), "capture", "repair", str(session)]
    both = [
        Process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = ["".join(each.communicate(timeout=60)) for each in both]
    for each, words in zip(both, said, strict=True):
        assert each.returncode == 0 or "Somebody is at work" in words, words
    assert 0 in {each.returncode for each in both}
    assert [frame.index for frame in read_lines(session)] == [0, 1, 2, 4, 5, 9]
    assert pictures(session) == before


PIPES = {  # in the place of what -> what the repair says
    FRAMES_FILE: "is no regular file",
    "session.json": "is no regular file",
    ".recorder.lock": "is no regular file",
    "amendments.jsonl": "nothing to repair",
    "frames/000002.png": "1 lines without their file",
    "frames/000009.png": "nothing to repair",
    "frames/.x.png.7.part": "nothing to repair",
    "damaged": "is not a folder",
    "spool": "is not a folder",
    "spool/journal.jsonl": "has no line",
    "spool/0000.h264": "no regular file",
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_no_pipe_is_waited_for(tmp_path: Path) -> None:
    sessions = []
    for number, name in enumerate(PIPES):
        session = tmp_path / str(number)
        sessions.append(spooled(session) if name.endswith(".h264") else recorded(session))
        (session / name).parent.mkdir(exist_ok=True)
        (session / name).unlink(missing_ok=True)
        os.mkfifo(session / name)
    program = (
        "import sys; from pathlib import Path\n"
        "from capture.recording.repair import repair_session\n"
        "from dataset.errors import UserError\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n        said = repair_session(Path(name))\n"
        "    except UserError as error:\n        said = error\n"
        "    print(str(said).replace('\\n', ' '))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, sessions)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for said, words in zip(done.stdout.splitlines(), PIPES.values(), strict=True):
        assert words in said


def test_the_journal_of_another_version_is_still_read(tmp_path: Path) -> None:
    session = spooled(tmp_path / "s")
    path = session / SPOOL / SPOOL_JOURNAL
    lines = [json.loads(each) for each in path.read_text().splitlines()]
    path.write_text("")
    add(path, *({**each, "weather": {"wind": [1, 2]}} for each in lines))
    assert len(journal_of(session)) == 6
    repair_session(session)
    assert {json.dumps(frame.extra) for frame in read_lines(session)} == {
        '{"weather": {"wind": [1, 2]}}'
    }
    assert len(check_whole(session)) == 6
