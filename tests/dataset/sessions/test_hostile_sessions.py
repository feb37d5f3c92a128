"""Sessions that somebody else made: whatever is in them, nothing outside of them is touched."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.limits import within
from helpers.made_sessions import frame, make_session

from dataset.errors import UserError
from dataset.labelling.hand_labels import REVIEW_JOURNAL, REVIEW_LOCK, read_journal
from dataset.labelling.labels import LABELS_FILE, TABLE_LOCK, label_captures, read_labels
from dataset.labelling.rules import options_used
from dataset.labelling.statistics import STATISTICS_FILE, STATISTICS_LOCK
from dataset.options import LabelOptions, SplitOptions
from dataset.review.store import ReviewStore, open_review
from dataset.sessions.columns import read_columns
from dataset.sessions.manifest import (
    AMENDMENTS_FILE,
    FRAMES_FILE,
    HUD_MASK,
    SESSION_FILE,
    read_frames,
)
from dataset.splitting.split import split_captures

HEAD = "session,file,label,source,clipped_fraction,largest_blob,p99,method,threshold\n"
DEEP = "[" * 100_000 + "]" * 100_000

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """A session of four frames, X and Y in turn, 20 s apart."""
    frames = [frame(at, 20 * at, viewpoint=f"v{at}") for at in range(4)]
    make_session(tmp_path / "captures", "friend", frames, [0, 0.5, 0, 0.5])
    return tmp_path / "captures"


@pytest.fixture
def secret(tmp_path: Path) -> Iterator[Path]:
    """A file of the user's, which must be the same afterwards."""
    path = tmp_path / "secret" / "thesis.txt"
    path.parent.mkdir()
    path.write_text("mine, line 1\nline 2\n")
    yield path
    assert os.listdir(path.parent) == ["thesis.txt"]
    assert path.read_text() == "mine, line 1\nline 2\n"
    assert os.stat(path).st_nlink == 1


def add_line(captures: Path, **changed: Any) -> None:
    values = {"index": 4, "file": "frames/000000.png", "width": 20, "height": 20, "wall_ns": 1}
    add_text(captures, json.dumps(values | {"monotonic_ns": 1} | changed))


def add_text(captures: Path, line: str) -> None:
    with (captures / "friend" / FRAMES_FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def use(captures: Path) -> None:
    """Label and split, as somebody does who was given the folder."""
    label_captures(LabelOptions(captures))
    split_captures(SplitOptions(captures, captures.parent / "data", (1, 1, 1, 1), fit=True))


def refuses(captures: Path, match: str) -> None:
    """Both readers of a manifest say the same."""
    for read in (lambda: list(read_frames(captures / "friend")), lambda: use(captures)):
        with within(20), pytest.raises(UserError, match=match):
            read()
    with pytest.raises(UserError, match=match):
        read_columns(captures / "friend")


@pytest.mark.parametrize(
    "file",
    ["../../secret/thesis.txt", "frames/../../../secret/thesis.txt", "/etc/passwd", "/dev/zero"],
)
def test_a_line_that_leads_out_of_its_session_is_damaged(
    captures: Path, secret: Path, file: str
) -> None:
    add_line(captures, file=file, label="Y", viewpoint="v9")
    refuses(captures, "line 5 is damaged .*leads out of its folder")


def test_an_absolute_path_is_damaged(captures: Path, secret: Path) -> None:
    add_line(captures, file=str(secret), label="Y")
    refuses(captures, "line 5 is damaged")


@pytest.mark.parametrize(
    "changed",
    [
        *({"index": each} for each in ("4", 1.5, -1, None, [1], 10**30)),
        *({"file": each} for each in (None, 5, ["a"], {}, "", ".", "a\0b", "a\x1b[2J", "a\nb")),
        *({"file": each} for each in ("C:evil.png", "frames\\x.png", "x" * 5000)),
        *({"wall_ns": each} for each in ("x", 10**40, None)),
        *({"monotonic_ns": each} for each in (2**63 - 1, -(2**63))),
        *({"viewpoint": each} for each in (7, ["a"], {})),
        *({"light": each} for each in (7, ["a"], "a" * 5000)),
        *({"sha256": each} for each in (5, "é" * 64, "0" * 65)),
        *({"phash": each} for each in (5, "zzzzzzzzzzzzzzzz", "٣" * 16)),
    ],
    ids=lambda changed: f"{changed}"[:40].encode("ascii", "backslashreplace").decode(),
)
def test_a_value_of_another_kind_makes_a_line_damaged(
    captures: Path, changed: dict[str, Any]
) -> None:
    add_line(captures, **changed)
    refuses(captures, "line 5 is damaged")


@pytest.mark.parametrize("changed", [{"width": -1}, {"missed_before": "x"}, {"duplicate_of": "x"}])
def test_what_only_labelling_reads_is_checked_there(
    captures: Path, changed: dict[str, Any]
) -> None:
    add_line(captures, **changed)
    with pytest.raises(UserError, match="line 5 is damaged"):
        label_captures(LabelOptions(captures))


@pytest.mark.parametrize(
    "line",
    [
        f'{{"index": 4, "x": {DEEP}}}',
        '{"index": ' + "9" * 5000 + "}",
        '{"index": NaN}',
        '{"index": 4, "file": "\\udcff"}',
        "[1, 2]",
        "3",
        '{"index": 4} {"index": 5}',
    ],
    ids=["deep", "digits", "nan", "surrogate", "array", "number", "two"],
)
def test_json_that_is_no_line_is_damaged(captures: Path, line: str) -> None:
    add_text(captures, line)
    refuses(captures, "line 5 is damaged")


def test_a_line_without_end_is_refused_before_it_fills_the_memory(captures: Path) -> None:
    add_line(captures, light="a" * (2 << 20))
    refuses(captures, "a line has more than")


def test_two_lines_of_one_frame_are_refused(captures: Path) -> None:
    add_line(captures, index=9)
    with pytest.raises(UserError, match="two lines have one file"):
        read_columns(captures / "friend")


def test_two_lines_of_one_index_are_refused(captures: Path) -> None:
    add_line(captures, index=0, file="frames/x.png")
    with pytest.raises(UserError, match="two lines have the index 0"):
        read_columns(captures / "friend")


def test_byte_order_marks_and_windows_line_ends_are_no_damage(captures: Path) -> None:
    path = captures / "friend" / FRAMES_FILE
    wanted = list(read_frames(captures / "friend"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(read_frames(captures / "friend")) == wanted
    assert len(read_columns(captures / "friend").file) == 4


@needs_posix
@pytest.mark.parametrize(
    "name", [FRAMES_FILE, SESSION_FILE, AMENDMENTS_FILE, HUD_MASK, f"../{LABELS_FILE}"]
)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_file_that_never_ends_is_refused(captures: Path, name: str, kind: str) -> None:
    path = captures / "friend" / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with within(20), pytest.raises(UserError, match=r"regular file|No recorded frames|leads out"):
        use(captures)


@needs_posix
@pytest.mark.parametrize("kind", ["pipe", "device", "secret"])
def test_a_frame_that_is_no_file_of_its_session_is_dropped(
    captures: Path, secret: Path, kind: str
) -> None:
    path = captures / "friend" / "frames" / "000004.png"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(secret if kind == "secret" else "/dev/zero")
    add_line(captures, file="frames/000004.png", label="Y")
    with within(20):
        summary = label_captures(LabelOptions(captures))
    assert summary.broken == ["friend/frames/000004.png"]
    assert summary.reasons == {"missing": 1}


def test_labels_that_came_with_a_session_bring_no_other_file_into_a_data_set(
    captures: Path, secret: Path
) -> None:
    (captures / "friend" / "frames" / "000004.png").symlink_to(secret)
    add_line(captures, file="frames/000004.png", label="Y", viewpoint="v9")
    rows = [f"friend,frames/{at:06d}.png,{'XY'[at % 2]},key,0.5,0.4,255,m,\n" for at in range(4)]
    rows += ["friend,frames/000004.png,Y,key,0.5,0.4,255,m,\n"]
    (captures / LABELS_FILE).write_text(HEAD + "".join(rows))
    split_captures(SplitOptions(captures, captures.parent / "data", (1, 1, 1, 1), fit=True))
    made = [
        each for each in (captures.parent / "data").rglob("*.png") if "report" not in each.parts
    ]
    assert len(made) == 4
    assert not any(each.samefile(secret) for each in made)


@pytest.mark.parametrize(
    "name",
    [TABLE_LOCK, REVIEW_LOCK, STATISTICS_LOCK, STATISTICS_FILE, REVIEW_JOURNAL, LABELS_FILE],
)
def test_nothing_is_written_through_a_link(captures: Path, secret: Path, name: str) -> None:
    (captures / name).symlink_to(secret)
    works = (lambda: label_captures(LabelOptions(captures)), lambda: review_one(captures))
    refused = []
    for work in works:
        try:
            work()
        except UserError as error:
            refused.append(str(error))
    assert refused
    assert name in refused[0]


def review_one(captures: Path) -> None:
    with open_review(captures) as store:
        store.set_labels([(0, "Y")])


TABLES = {
    "field without end": HEAD + "friend," + "a" * 200_000 + ",X,key,,,,,\n",
    "quote without end": HEAD + 'friend,"frames/000000.png,X,key,,,,,\n' + "a,b\n" * 50_000,
    "another encoding": HEAD.encode() + "비행,frames/000000.png,X,key,,,,,\n".encode("euc-kr"),
    "not finite": HEAD + "friend,frames/000000.png,X,key,nan,0.1,20,m,\n",
    "out of range": HEAD + "friend,frames/000000.png,X,key,0.1,7,20,m,\n",
    "level": HEAD + "friend,frames/000000.png,X,key,0.1,0.1,999,m,\n",
    "no such label": HEAD + "friend,frames/000000.png,Z,key,,,,,\n",
    "no such source": HEAD + "friend,frames/000000.png,X,nobody,,,,,\n",
    "columns": "a,b\n1,2\n",
    "short": HEAD + "friend,frames/000000.png\n",
    "empty": "",
    "binary": b"\x00\x01\x02",
}


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES.keys())
def test_a_table_that_is_none_is_refused_in_words(captures: Path, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    (captures / LABELS_FILE).write_bytes(data)
    for read in (lambda: read_labels(captures), lambda: use(captures)):
        with pytest.raises(UserError, match=r"labels\.csv: (line \d+ |it is in another)"):
            read()
    assert (captures / LABELS_FILE).read_bytes() == data


@pytest.mark.parametrize(
    ("method", "threshold"),
    [
        ("max_rgb>=250", "X<=abc Y>=0.5 blob>=0"),
        ("max_rgb>=250", "X<=nan Y>=nan blob>=nan"),
        ("max_rgb>=250", "X<=" + "9" * 100_000 + " Y>=1 blob>=1"),
        ("max_rgb>=250", 'X<=0.1 Y>=0.5 blob>=0 light:[1, "a"]'),
        ("max_rgb>=250", f"X<=0.1 Y>=0.5 blob>=0 light:{DEEP}"),
        ("max_rgb>=250", "X<=0.1 Y>=0.5 blob>=0 light:{no json"),
        ("nobody>=250", "X<=0.1 Y>=0.5 blob>=0"),
        ("max_rgb>=999", "X<=0.1 Y>=0.5 blob>=0"),
    ],
    ids=range(8),
)
def test_words_on_how_rows_were_labelled_that_make_no_sense_are_passed_over(
    captures: Path, method: str, threshold: str
) -> None:
    line = [f"friend,frames/000000.png,X,clipping,0.1,0.1,200,{method}", threshold]
    (captures / LABELS_FILE).write_text(
        HEAD + f'{line[0]},"{threshold.replace(chr(34), chr(34) * 2)}"\n'
    )
    assert "0," in line[0]
    try:
        rows = read_labels(captures)
    except UserError as error:
        assert "field larger" in str(error)  # noqa: PT017
    else:
        assert options_used(rows, captures) == LabelOptions(captures)


@pytest.mark.parametrize(
    "text",
    [
        'friend,"fra\nfriend,frames/000000.png,max_rgb>=250,0.9,0.9,255\n',
        "friend,frames/000001.png,max_rgb>=250,nan,nan,5\n",
        "friend,frames/000001.png,max_rgb>=250,-5,1e300,99999999999999999999\n",
        "\xff\xfe\x00",
        "friend,frames/000001.png,max_rgb>=250,0,0,1\nfriend,fra",
    ],
    ids=["quote", "nan", "lies", "binary", "cut"],
)
def test_a_stray_line_of_statistics_spoils_no_other(captures: Path, text: str) -> None:
    clean = [row.label for row in label(captures)]
    wanted = (captures / STATISTICS_FILE).read_text()
    (captures / LABELS_FILE).unlink()
    (captures / STATISTICS_FILE).write_bytes(text.encode("latin1") + b"\n" + wanted.encode())
    assert [row.label for row in label(captures)] == clean
    assert label_captures(LabelOptions(captures)).measured == 0


def label(captures: Path) -> list[Any]:
    label_captures(LabelOptions(captures))
    return read_labels(captures)


@pytest.mark.parametrize("name", ["x_fraction", "y_fraction", "y_blob"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
def test_thresholds_that_are_no_shares_are_refused(captures: Path, name: str, value: float) -> None:
    with pytest.raises(UserError, match=r"between 0 and 1"):
        label_captures(LabelOptions(captures, **{name: value}))
    assert not (captures / LABELS_FILE).exists()


@pytest.mark.parametrize(
    "line",
    [
        '{"session": 5, "file": 6, "label": "X"}',
        '{"session": "friend", "file": "a", "label": ["X"]}',
        '{"session": ' + DEEP + "}",
        "[1]",
        "\xff",
    ],
    ids=["numbers", "list", "deep", "array", "binary"],
)
def test_a_damaged_line_of_the_reviews_journal_is_named(captures: Path, line: str) -> None:
    data = line.encode("latin1") + b"\n"
    (captures / REVIEW_JOURNAL).write_bytes(data)
    for read in (lambda: read_journal(captures), lambda: review_one(captures)):
        with pytest.raises(UserError, match=r"review\.jsonl, line 1 is damaged"):
            read()
    assert (captures / REVIEW_JOURNAL).read_bytes() == data


@pytest.mark.parametrize("text", [DEEP, "[]", "\xff", "{"], ids=["deep", "array", "binary", "cut"])
def test_a_damaged_session_file_is_named(captures: Path, text: str) -> None:
    label_captures(LabelOptions(captures))
    (captures / "friend" / SESSION_FILE).write_bytes(text.encode("latin1"))
    with pytest.raises(UserError, match=r"session\.json is damaged"):
        use(captures)


@pytest.mark.parametrize("line", [DEEP, '{"first": "x", "end": 2, "label": "X"}', "[]"])
def test_a_damaged_amendment_is_named_and_a_cut_off_one_passed_over(
    captures: Path, line: str
) -> None:
    path = captures / "friend" / AMENDMENTS_FILE
    path.write_text('{"first": 0, "end": 1, "label": "Y"}\n' + line)
    assert [each.label for each in read_frames(captures / "friend")] == ["Y", None, None, None]
    path.write_text('{"first": 0, "end": 1, "label": "Y"}\n' + line + "\n")
    with pytest.raises(UserError, match=r"amendments\.jsonl, line 2 is damaged"):
        list(read_frames(captures / "friend"))


def test_a_label_refused_for_a_full_disk_never_counts(small_disk: Path) -> None:
    make_session(small_disk, "flight", [frame(at, at) for at in range(3)], [0, 0, 0])
    label_captures(LabelOptions(small_disk))
    with open_review(small_disk) as store:
        store.set_labels([(0, "X")])
        filler = fill(small_disk)
        with pytest.raises(UserError, match="No space"):
            label_until_refused(store)
        before = (small_disk / REVIEW_JOURNAL).read_bytes()
        assert before.endswith(b"\n")
        filler.unlink()
        store.set_labels([(2, "X")])
    lines = (small_disk / REVIEW_JOURNAL).read_bytes().removeprefix(before).splitlines()
    assert [json.loads(each)["file"] for each in lines] == ["frames/000002.png"]


def fill(disk: Path) -> Path:
    """A file that takes all that is left of a small disk."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return disk / "filler"


def label_until_refused(store: ReviewStore) -> None:
    for _ in range(1000):  # the journal's last block has room for some
        store.set_labels([(1, "Y")] * 20)
