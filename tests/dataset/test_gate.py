"""What comes from outside: read to a limit, typed, and kept inside its folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers.limits import within
from hypothesis import given
from hypothesis import strategies as st

from dataset import gate, paths
from dataset.setting import setting

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices of POSIX")


class Named(msgspec.Struct):
    name: gate.Name
    share: gate.Share = 0.0


@dataclass(frozen=True)
class Shape:
    blocks: int = setting(9, least=0, most=64)


@dataclass(frozen=True)
class Options:
    out: Path = Path("captures")
    mask: Path | None = None
    size: tuple[int, int] | None = setting(None, least=1)
    place: tuple[int, int] = setting((-1, 2), least=None)
    fps: float = setting(5.0, below=1000)
    codec: str = setting("auto", choices=("auto", "png"))
    shape: Shape = Shape()


@needs_posix
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/tty"), tmp_path):
        with within(20), pytest.raises(OSError, match=r"regular|folder|such device"):
            gate.read_regular(path, 1000)
        assert not gate.is_regular(path)
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert gate.read_regular(tmp_path / "link", 4) == b"text"


def test_a_file_over_its_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole, which takes no disk
    with pytest.raises(OSError, match="more than 1 MB"):
        gate.read_regular(path, 10**6)


def test_names_that_no_file_can_have_are_an_os_error() -> None:
    with pytest.raises(OSError, match="null"):
        gate.read_regular("a\0b", 10)
    assert not gate.is_regular("a\0b")


def test_a_file_that_states_no_size_is_read_to_its_end() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    assert b"Name:" in gate.read_regular("/proc/self/status", 1 << 20)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(Path("a b"), Path("/mask.png"), (64, 48), (-9, 0), 0.5, "png", Shape(0)),
        Options(out=Path("not UTF-8: \udcff")),
    ],
)
def test_settings_come_back_from_json(options: Options) -> None:
    values = json.loads(json.dumps(asdict(options), default=str))
    assert gate.settings_from(values, Options) == options
    assert gate.settings_from(values | {"later": 1}, Options) == options
    assert gate.settings_from({}, Options) == Options()


@pytest.mark.parametrize(
    "values",
    [
        *([], None, {"out": 5}, {"out": None}, {"mask": []}, {"size": [1]}, {"size": [1, "2"]}),
        *({"size": [0, 9]}, {"size": [9, 0]}, {"place": [1 << 63, 0]}),
        *({"fps": 1000}, {"fps": True}, {"codec": "h265"}, {"shape": {"blocks": -1}}),
        *({"shape": {"blocks": 65}}, {"shape": {"blocks": 1.5}}, {"shape": {"depth": 1}}),
    ],
)
def test_settings_that_do_not_fit_are_a_value_error(values: Any) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        gate.settings_from(values, Options, exact=(Shape,))


@pytest.mark.slow
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_is_no_json_is_a_value_error(data: bytes) -> None:
    said = ""
    try:
        gate.parse_json(data, Named)
    except ValueError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(
    "text",
    ["[" * 10**6, '{"name": ""}', '{"name": "a", "share": NaN}', '{"name": "a", "share": 2}', "3"],
)
def test_json_of_another_kind_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        gate.parse_json(text, Named)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/etc", "a/../b", "a//b", "a/", "./a", "C:a", "a\\b", "a\nb", "a\0", "\udcff"],
)
def test_paths_that_are_none_inside_a_folder_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"path|leads out"):
        paths.check_path(name)


PARTS = st.sampled_from(["a", "b.png", ".", "..", "", "C:", "-", "비행", "\n", "a\nb", "x" * 1100])


@given(st.lists(st.lists(PARTS, max_size=3).map("/".join), max_size=5))
def test_many_paths_are_checked_as_each_of_them(names: list[str]) -> None:
    def fits(check: Callable[[], object]) -> bool:
        try:
            check()
        except ValueError:
            return False
        return True

    each = all(fits(lambda name=name: paths.check_path(name)) for name in names)  # type: ignore[misc]
    assert fits(lambda: paths.check_paths(names)) == each


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)))
def test_a_path_that_is_let_through_stays_below_its_folder(parts: list[str]) -> None:
    name = "/".join(parts)
    try:
        paths.check_path(name)
    except ValueError:
        return
    assert Path(os.path.normpath(Path("/root", name))).is_relative_to("/root")


def test_links_count_where_they_stay_below_their_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "session", tmp_path / "outside"
    (inside / "frames").mkdir(parents=True)
    outside.mkdir()
    (inside / "real").write_text("1")
    (outside / "mine").write_text("2")
    (inside / "frames" / "near").symlink_to(inside / "real")
    (inside / "frames" / "far").symlink_to(outside / "mine")
    (inside / "frames" / "loop").symlink_to(inside / "frames" / "loop")
    (inside / "away").symlink_to(outside)
    assert paths.regular_names(inside / "frames", inside) == {"near"}
    assert paths.regular_names(inside / "away", inside) == set()
    assert paths.inside(inside, "frames/near").read_text() == "1"
    for name in ("frames/far", "away/mine", "frames/loop"):
        with pytest.raises(ValueError, match=r"leads out|followed"):
            paths.inside(inside, name)
    (tmp_path / "linked").symlink_to(inside)
    assert paths.regular_names(tmp_path / "linked", tmp_path / "linked") == {"real"}
    assert paths.inside(tmp_path / "linked", "real").read_text() == "1"


def test_nothing_that_a_terminal_acts_on_is_shown() -> None:
    shown = gate.plain("a\x1b]0;title\x07\x9b2J\r\n\u202egnp.exe\udcff 비행")
    assert shown == "a\\x1b]0;title\\x07\\x9b2J\\r\\n\\u202egnp.exe\\udcff 비행"
    shown.encode()


def test_lines_and_blocks_of_a_file_are_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for data in (b"", b"a\n", b"a\nb", b"\n\n", b"x" * 100 + b"\n" + b"y" * 50):
        path.write_bytes(data)
        assert b"".join(gate.lines_of(path)) == data
        blocks = list(gate.blocks_of(path, 64))
        assert b"".join(blocks) == data
        assert all(each.endswith(b"\n") for each in blocks[:-1])
