"""What is meant is found, and nothing is ever lost: neither an input nor a result."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dataset.errors import UserError
from model.restoring.inputs import (
    Naming,
    RestoreTask,
    natural_key,
    output_path,
    plan_tasks,
    told_left_out,
)

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def make(folder: Path, *names: str, data: bytes = b"") -> list[Path]:
    """Files of these names, with the first bytes that tell their format."""
    heads = {".png": PNG, ".jpg": JPEG, ".jpeg": JPEG, ".bmp": b"BM1234\0\0\0\0"}
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data or heads.get(path.suffix.lower(), b"?"))
    return [folder / name for name in names]


def names(tasks: list[RestoreTask], folder: Path) -> list[str]:
    return [task.source.relative_to(folder).as_posix() for task in tasks]


def targets(tasks: list[RestoreTask], folder: Path) -> list[str]:
    return [task.target.relative_to(folder).as_posix() for task in tasks]


@pytest.mark.parametrize(
    ("source", "ext", "wanted"),
    [
        ("image.png", "auto", "image_restored.png"),
        ("a.b.JPG", "auto", "a.b_restored.JPG"),
        ("a.jpeg", "auto", "a_restored.jpeg"),
        ("a.bmp", "auto", "a_restored.bmp"),
        ("a.jpg", "png", "a_restored.png"),
        ("과다 노출.png", "webp", "과다 노출_restored.webp"),
        ("a.mp4", "auto", "a_restored.mp4"),
        ("a.mkv", "png", "a_restored.mkv"),
        ("a.MOV", "auto", "a_restored.MOV"),
        ("a.avi", "auto", "a_restored.mp4"),
        ("a.webm", "jpg", "a_restored.mp4"),
        ("a.m4v", "auto", "a_restored.mp4"),
        ("a.ts", "auto", "a_restored.mp4"),
    ],
)
def test_results_lie_beside_their_inputs(
    tmp_path: Path, source: str, ext: str, wanted: str
) -> None:
    (path,) = make(tmp_path, source)
    (task,) = plan_tasks([path], Naming(ext=ext))
    assert task == RestoreTask(
        path,
        tmp_path / wanted,
        path.suffix.lower() in (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".ts"),
    )


def test_typescript_in_a_folder_is_no_video(tmp_path: Path) -> None:
    make(tmp_path, "app.ts", data=b"export const a = 1;")
    make(tmp_path, "tv.ts", data=b"G\x40\0\x10")
    assert names(plan_tasks([tmp_path]), tmp_path) == ["tv.ts"]


def test_a_file_named_wrongly_gets_a_result_named_rightly(tmp_path: Path) -> None:
    (path,) = make(tmp_path, "screenshot.jpg", data=PNG)
    assert plan_tasks([path])[0].target.name == "screenshot_restored.png"
    (path,) = make(tmp_path, "nameless", data=JPEG)
    assert plan_tasks([path])[0].target.name == "nameless_restored.jpg"


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "a.avif", "a.jxl", "a.heif"])
def test_formats_that_are_not_written_get_a_png(tmp_path: Path, name: str) -> None:
    (path,) = make(tmp_path, name, data=b"\0\0\0\x1cftypheic\0\0\0\0")
    stem = path.stem
    assert plan_tasks([path])[0].target.name == f"{stem}_restored.png"
    assert plan_tasks([path], Naming(ext="jpg"))[0].target.name == f"{stem}_restored.jpg"
    assert plan_tasks([path], Naming(suffix=""))[0].target.name == f"{stem}.png"
    with pytest.raises(UserError, match=r"does not fit .* End it in one of: \.png"):
        plan_tasks([path], Naming(tmp_path / f"new{path.suffix}"))
    make(tmp_path, f"{stem}.png")
    both = [f"{name}_restored.png", f"{stem}_restored.png"]
    assert sorted(each.target.name for each in plan_tasks([tmp_path])) == sorted(both)
    with pytest.raises(UserError, match="is an input, and inputs are never replaced"):
        plan_tasks([tmp_path / f"{stem}.png", path], Naming(suffix=""))


def test_out_is_a_file_or_a_folder(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a.png", "b.jpg")
    for given_, out, wanted in (
        ([a], "new.png", ["new.png"]),
        ([b], "new.TIF", ["new.TIF"]),
        ([a], "new", ["new/a_restored.png"]),
        ([a, b], "new", ["new/a_restored.png", "new/b_restored.jpg"]),
    ):
        assert targets(plan_tasks(given_, Naming(tmp_path / out)), tmp_path) == wanted
    (tmp_path / "folder.png").mkdir()
    found = plan_tasks([a], Naming(tmp_path / "folder.png", suffix=""))
    assert targets(found, tmp_path) == ["folder.png/a.png"]


def test_a_folder_means_its_pictures_and_videos_in_natural_order(tmp_path: Path) -> None:
    make(tmp_path, "b10.png", "b9.PNG", "a.mp4", "note.txt", ".hidden.png", "._b9.png", "x.gif")
    make(tmp_path, "below/c.png", "below/deep/d.jpg", ".cache/e.png")
    (tmp_path / "folder.png").mkdir()
    assert names(plan_tasks([tmp_path]), tmp_path) == ["a.mp4", "b9.PNG", "b10.png"]
    found = plan_tasks([tmp_path], Naming(tmp_path / "out"), recursive=True)
    assert names(found, tmp_path) == [
        "a.mp4",
        "b9.PNG",
        "b10.png",
        "below/c.png",
        "below/deep/d.jpg",
    ]
    assert targets(found, tmp_path)[3:] == [
        "out/below/c_restored.png",
        "out/below/deep/d_restored.jpg",
    ]


def test_results_of_earlier_runs_are_no_inputs(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "a_restored.png", "b.bmp", "b_restored.png", "was_restored.png")
    make(tmp_path, "a_restored_restored.png", "out/a_restored.png", "clip.avi", "clip_restored.mp4")
    make(tmp_path, "a_restored_compared.png", "b_compared.png")  # the second is somebody's own
    kept = ["a.png", "b.bmp", "b_compared.png", "clip.avi", "was_restored.png"]
    again = Naming(overwrite=True)
    assert names(plan_tasks([tmp_path], again), tmp_path) == kept
    assert names(plan_tasks([str(tmp_path / "*")], again), tmp_path) == kept
    under = Naming(tmp_path / "out", overwrite=True)
    assert names(plan_tasks([tmp_path], under, recursive=True), tmp_path) == kept
    named = plan_tasks([tmp_path / "a_restored.png"], Naming(tmp_path / "c.png"))
    assert names(named, tmp_path) == ["a_restored.png"]  # who names it means it


def test_patterns_that_the_shell_left_alone_are_matched(tmp_path: Path) -> None:
    make(tmp_path, "a2.png", "a10.png", "a.txt", "b.png", "below/a1.png", "odd[1].png", "odd1.png")
    assert names(plan_tasks([tmp_path / "a*"]), tmp_path) == ["a2.png", "a10.png"]
    assert names(plan_tasks([tmp_path / "**" / "a*.png"]), tmp_path)[-1] == "below/a1.png"
    assert names(plan_tasks([tmp_path / "odd[1].png"]), tmp_path) == ["odd[1].png"]  # a name first
    with pytest.raises(UserError, match=r"z\*\.png matches no picture"):
        plan_tasks([tmp_path / "z*.png"])


def test_what_is_named_twice_is_restored_once(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png")
    given_ = [tmp_path / "b.png", tmp_path, tmp_path / "x" / ".." / "a.png", tmp_path / "*.png"]
    (tmp_path / "x").mkdir()
    assert [task.source.name for task in plan_tasks(given_)] == ["b.png", "a.png"]


def test_an_input_is_never_replaced(tmp_path: Path) -> None:
    a, b = make(tmp_path, "a.png", "a_restored.png")
    for given_, naming in (
        ([a], Naming(out=a, overwrite=True)),
        ([a], Naming(suffix="", overwrite=True)),
        ([a, b], Naming(overwrite=True)),
        ([a], Naming(out=tmp_path, suffix="", overwrite=True)),
    ):
        with pytest.raises(UserError, match="inputs are never replaced"):
            plan_tasks(given_, naming)


def test_nor_by_way_of_a_link(tmp_path: Path) -> None:
    (a,) = make(tmp_path, "a.png")
    (tmp_path / "a_restored.png").symlink_to(a)
    with pytest.raises(UserError, match="inputs are never replaced"):
        plan_tasks([a], Naming(overwrite=True))
    link = tmp_path / "link.png"
    link.symlink_to(a)
    assert plan_tasks([link])[0].target == tmp_path / "link_restored.png"


def test_results_that_exist_are_replaced_only_if_asked(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "b.png", "a_restored.png", "b_restored.png")
    with pytest.raises(UserError, match=r"a_restored\.png and 1 more exist\. Say --overwrite"):
        plan_tasks([tmp_path])
    with pytest.raises(UserError, match=r"b_restored\.png exists\. Say --overwrite"):
        plan_tasks([tmp_path / "b.png"])
    assert len(plan_tasks([tmp_path], Naming(overwrite=True))) == 2


def test_what_has_a_result_is_left_out_if_asked(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "a_restored.png", "b.png")
    going_on = Naming(skip_existing=True)
    assert names(plan_tasks([tmp_path], going_on), tmp_path) == ["b.png"]
    make(tmp_path, "b_restored.png")
    assert plan_tasks([tmp_path], going_on) == []


def test_two_inputs_of_one_result_are_both_named_with_a_way_that_works(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "a.jpg", "x/b.png", "y/b.png", "v/c.avi", "v/c.mp4", "v/c_restored.mp4")
    with pytest.raises(
        UserError, match=r"a\.jpg and .*a\.png would both be written to .*a_restor.* --ext, "
    ):
        plan_tasks([tmp_path], Naming(ext="png"))
    assert len(plan_tasks([tmp_path])) == 2  # as .jpg and as .png
    both = [tmp_path / "x", tmp_path / "y"]
    with pytest.raises(UserError, match=r"x.b\.png and .*y.b\.png would both.*leave -o out"):
        plan_tasks(both, Naming(tmp_path / "out"))
    assert len(plan_tasks(both)) == 2
    for each in both:
        assert len(plan_tasks([each], Naming(tmp_path / "out" / each.name))) == 1
    for naming in (Naming(ext="png"), Naming(skip_existing=True)):  # a result says not whose
        with pytest.raises(UserError, match=r"c\.avi and .*c\.mp4 would .* Rename one of them\."):
            plan_tasks([tmp_path / "v"], naming)
    (tmp_path / "v/c.avi").rename(tmp_path / "v/d.avi")
    assert len(plan_tasks([tmp_path / "v"], Naming(overwrite=True))) == 2


def test_recursive_is_advised_only_where_it_finds_something(tmp_path: Path) -> None:
    make(tmp_path, "up/below/a.png", "none/below/a.txt", "steam/thumbnails/a.jpg")
    with pytest.raises(UserError, match=r"holds nothing .*Say --recursive"):
        plan_tasks([tmp_path / "up"])
    assert len(plan_tasks([tmp_path / "up"], recursive=True)) == 1
    for name in ("none", "steam"):
        with pytest.raises(UserError, match="holds nothing to restore") as caught:
            plan_tasks([tmp_path / name])
        assert "--recursive" not in str(caught.value)
    with pytest.raises(UserError, match=r"Name a folder that does\.$"):
        plan_tasks([tmp_path / "none"])


def test_small_copies_are_left_out_and_counted(tmp_path: Path) -> None:
    made = make(tmp_path, "1.jpg", "thumbnails/1.jpg", "x/@eaDir/2.png", "x/2.png", "x/.h/2.png")
    assert names(plan_tasks([tmp_path], recursive=True), tmp_path) == ["1.jpg", "x/2.png"]
    assert told_left_out([tmp_path], recursive=True) == (
        f"Left out: 2 small copies in 2 folders, such as {tmp_path / 'thumbnails'}. "
        "To take them, name that folder."
    )
    assert told_left_out([tmp_path]) == ""
    assert [task.source for task in plan_tasks([tmp_path / "thumbnails"])] == [made[1]]


def test_brackets_are_letters_where_nothing_else_fits(tmp_path: Path) -> None:
    make(tmp_path, "[2024] shots (1)/a.png", "[2024] shots (1)/[b] 2.png", "b/c1.png", "b/c2.png")
    for pattern in ("[2024] shots (1)/*.png", "*shots*/*.png", "[2024] */*.png"):
        assert len(plan_tasks([tmp_path / pattern])) == 2
    assert names(plan_tasks([tmp_path / "[2024] shots (1)/[b]*.png"]), tmp_path) == [
        "[2024] shots (1)/[b] 2.png"
    ]
    assert names(plan_tasks([tmp_path / "b/c[12].png"]), tmp_path) == ["b/c1.png", "b/c2.png"]


@pytest.mark.parametrize(
    ("given_", "naming", "words"),
    [
        ([], Naming(), "Nothing to restore"),
        (["none.png"], Naming(), r"No such file: .*none\.png"),
        (["a.png", "none.png"], Naming(), r"No such file: .*none\.png"),
        (["empty"], Naming(), r"empty holds nothing to restore .*--recursive"),
        (["a.png"], Naming(Path("out.gif")), r"out\.gif does not fit"),
        (["a.png"], Naming(Path("out.mp4")), r"out\.mp4 does not fit"),
        (["v.mp4"], Naming(Path("out.png")), r"out\.png does not fit .* \.mp4 \.mkv \.mov"),
        (["v.mp4"], Naming(Path("out.avi")), r"out\.avi does not fit"),
        (["a.png", "v.mp4"], Naming(Path("out.png")), "several inputs. Name a folder"),
        (["a.png"], Naming(Path("out.png"), ext="jpg"), "contradict each other"),
        (["a.png"], Naming(Path("v.mp4/out")), r"v\.mp4 is not a folder"),
        (["a.png"], Naming(Path("x" * 300)), "is too long"),
        (["y" * 240 + ".png"], Naming(), "is too long"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_: list[str], naming: Naming, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path, "a.png", "v.mp4", "empty/below/a.png", "y" * 240 + ".png")
    with pytest.raises(UserError, match=words) as caught:
        plan_tasks(given_, naming)
    assert caught.value.exit_code == 2


def test_a_folder_in_the_place_of_a_result_is_named(tmp_path: Path) -> None:
    (a,) = make(tmp_path, "a.png")
    (tmp_path / "a_restored.png").mkdir()
    with pytest.raises(UserError, match=r"a_restored\.png, where a result would go, is a folder"):
        plan_tasks([a], Naming(overwrite=True))


@pytest.mark.skipif(os.name == "nt", reason="Windows has other special files")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png is not a file"):
        plan_tasks([tmp_path / "pipe.png"])
    make(tmp_path, "a.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert names(plan_tasks([tmp_path]), tmp_path) == ["a.png"]
    with pytest.raises(UserError, match=r"No such file: .*loop\.png"):
        plan_tasks([tmp_path / "loop.png"])


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (a,) = make(tmp_path, "locked/a.png")
    a.parent.chmod(0o500)
    try:
        with pytest.raises(UserError, match=r"Cannot write in .*locked"):
            plan_tasks([a])
    finally:
        a.parent.chmod(0o700)


NAMES = some.text(string.ascii_letters + "0123456789 ._-²٣é", min_size=1).map(Path)


@given(some.lists(NAMES))
def test_names_have_an_order(paths: list[Path]) -> None:
    once = sorted(paths, key=natural_key)
    assert sorted(reversed(once), key=natural_key) == sorted(once[::-1], key=natural_key)
    assert sorted(once, key=natural_key) == once


@given(some.lists(some.integers(0, 10**30), unique=True))
def test_numbers_are_in_order_of_their_size(numbers: list[int]) -> None:
    paths = [Path(f"frame {number}.png") for number in numbers]
    assert sorted(paths, key=natural_key) == [
        Path(f"frame {number}.png") for number in sorted(numbers)
    ]


STEMS = some.text(
    some.characters(exclude_characters="/\\\0.:", exclude_categories=["Cs"]), min_size=1
)


@given(STEMS, some.sampled_from([".png", ".jpg", ".mp4", ".webm"]))
def test_a_result_never_has_the_name_of_its_input(stem: str, suffix: str) -> None:
    source = Path("folder", stem + suffix)
    target = output_path(source)
    assert target != source
    assert target.parent == source.parent
    assert target.stem == source.stem + "_restored"
