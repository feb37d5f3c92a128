"""Measuring frames, keeping what was measured, setting aside what is no frame."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import ROOT
from helpers.limited import fault_without_memory
from helpers.made_sessions import frame, make_session, picture
from helpers.processes import Process
from helpers.waiting import SOON_S, soon

from dataset.errors import UserError
from dataset.labelling.labels import label_captures, read_labels, write_labels
from dataset.labelling.rules import options_used
from dataset.labelling.statistics import STATISTICS_FILE, StatisticsTask, measure_file, why_unfit
from dataset.options import LabelOptions
from dataset.pictures.images import write_png
from dataset.pictures.png import encode_png


def three_frames(captures: Path, name: str = "flight", **values: object) -> Path:
    return make_session(
        captures, name, [frame(at, at, **values) for at in range(3)], [0, 0.05, 0.5]
    )


def encoded(image: np.ndarray, kind: str = ".png") -> bytes:
    return cv2.imencode(kind, image)[1].tobytes()


PLAIN = np.full((20, 20, 3), 90, np.uint8)
HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\2\0\0\0" + b"\0" * 40  # 65,536 squared
UNFIT = {
    "empty": b"",
    "huge": HUGE,
    "16-bit": encoded(PLAIN.astype(np.uint16) * 257),
    "grey": encoded(PLAIN[..., 0]),
    "alpha": encoded(np.dstack([PLAIN, PLAIN[..., 0]])),
    "truncated": encoded(PLAIN)[:-30],
    "broken": b"no picture at all",
}


@pytest.mark.parametrize("reason", UNFIT)
def test_what_is_no_frame_is_named_and_set_aside(tmp_path: Path, reason: str) -> None:
    session = three_frames(tmp_path)
    (session / "frames/000001.png").unlink()
    (session / "frames/000001.png").write_bytes(UNFIT[reason])
    summary = label_captures(LabelOptions(tmp_path))
    assert summary.reasons == {reason: 1}
    assert summary.broken == ["flight/frames/000001.png"]
    assert f"flight/frames/000001.png (1 {reason})" in str(summary)
    assert [row.label for row in read_labels(tmp_path)] == ["X", "drop", "Y"]


def test_other_formats_are_judged_by_their_pixels() -> None:
    assert why_unfit(encoded(PLAIN, ".bmp")) == ""
    assert why_unfit(encoded(PLAIN[..., 0], ".jpg")) == "grey"
    assert why_unfit(encoded(PLAIN.astype(np.uint16), ".tiff")) == "16-bit"


def test_a_damaged_middle_is_broken_not_a_crash(tmp_path: Path) -> None:
    data = bytearray(encode_png(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)))
    data[len(data) // 2] ^= 255
    (tmp_path / "a.png").write_bytes(data)
    assert measure_file(StatisticsTask(str(tmp_path / "a.png"), "max_rgb", 250)) == "broken"
    assert measure_file(StatisticsTask(str(tmp_path / "no.png"), "max_rgb", 250)) == "missing"


def test_every_limit_and_method_is_measured_once(tmp_path: Path) -> None:
    three_frames(tmp_path)
    asked = [
        LabelOptions(tmp_path, limit, method=m)
        for limit in (250, 90)
        for m in ("max_rgb", "cielab")
    ]
    assert [label_captures(each).measured for each in asked] == [3, 3, 3, 3]
    (tmp_path / "labels.csv").unlink()
    assert [label_captures(each).measured for each in asked] == [0, 0, 0, 0]


def test_a_line_that_a_crash_cut_off_is_measured_again(tmp_path: Path) -> None:
    three_frames(tmp_path)
    label_captures(LabelOptions(tmp_path))
    kept = tmp_path / "statistics.csv"
    whole = kept.read_bytes()
    (tmp_path / "labels.csv").unlink()
    kept.write_bytes(whole[:-30])
    assert label_captures(LabelOptions(tmp_path)).measured == 1
    (tmp_path / "labels.csv").unlink()
    assert label_captures(LabelOptions(tmp_path)).measured == 0
    assert [row.clipped_fraction for row in read_labels(tmp_path)] == [0, 0.05, 0.5]


@pytest.mark.slow
def test_killed_in_the_middle_it_measures_nothing_twice(tmp_path: Path) -> None:
    make_session(tmp_path, "long", [frame(at, at) for at in range(300)], [0.5] * 300)
    code = (
        "import sys, time\n"
        "from dataset.labelling.labels import label_captures\n"
        "from dataset.options import LabelOptions\n"
        "from pathlib import Path\n"
        "label_captures(LabelOptions(Path(sys.argv[1])), lambda done, total: time.sleep(0.02))\n"
    )
    running = Process([sys.executable, "-c", code, str(tmp_path)])
    kept = tmp_path / "statistics.csv"
    soon(lambda: kept.exists() and kept.read_bytes().count(b"\n") > 20)
    running.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    running.wait(SOON_S)
    before = kept.read_bytes().count(b"\n") - 1
    assert label_captures(LabelOptions(tmp_path)).measured == 300 - before
    assert kept.read_bytes().count(b"\n") == 301


def test_the_hud_counts_nowhere(tmp_path: Path) -> None:
    session = three_frames(tmp_path)
    mask = np.zeros((10, 10, 3), np.uint8)  # half the size of the frames
    mask[:5] = 255
    write_png(session / "hud_mask.png", mask)
    label_captures(LabelOptions(tmp_path))
    rows = read_labels(tmp_path)
    assert [row.clipped_fraction for row in rows] == [0, 0, 0]
    assert rows[0].method.startswith("max_rgb>=250 hud:")
    assert options_used(rows, tmp_path) == LabelOptions(tmp_path)
    write_png(session / "hud_mask.png", mask * 0)
    assert label_captures(LabelOptions(tmp_path)).measured == 3
    assert [row.clipped_fraction for row in read_labels(tmp_path)] == [0, 0.05, 0.5]
    (session / "hud_mask.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"hud_mask\.png"):
        label_captures(LabelOptions(tmp_path))


def test_the_light_labels_below_a_person_and_above_a_statistic(tmp_path: Path) -> None:
    frames = [
        frame(0, 0, light="Noon 1"),
        frame(1, 1, light="noon 2"),
        frame(2, 2, light="dusk"),
        frame(3, 3, light="noon", label="X"),
        frame(4, 4, light="dusk to noon"),
        frame(5, 5),
    ]
    make_session(tmp_path, "sweep", frames, [0, 0.5, 0.5, 0.5, 0, 0.5])
    asked = LabelOptions(tmp_path, light_x="Dusk", light_y="noon")
    assert label_captures(asked).sources == {"clipping": 2, "key": 1, "light": 3}
    assert [row.label for row in read_labels(tmp_path)] == ["Y", "Y", "X", "X", "X", "Y"]
    assert options_used(read_labels(tmp_path), tmp_path) == asked
    rows = read_labels(tmp_path)
    write_labels(tmp_path, [replace(rows[0], label="drop", source="review"), *rows[1:]])
    label_captures(asked)
    assert read_labels(tmp_path)[0].label == "drop"


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    three_frames(tmp_path)
    with pytest.raises(UserError, match="max_rgb, luminance, cielab, ycbcr"):
        label_captures(LabelOptions(tmp_path, method="hsv"))


@pytest.mark.slow
def test_two_workers_of_a_scheduler_measure_what_one_machine_does(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    shares = [at / 20 for at in range(20)] * 4
    make_session(tmp_path, "long", [frame(at, at) for at in range(80)], shares)
    (tmp_path / "long/frames/000007.png").unlink()
    (tmp_path / "long/frames/000007.png").write_bytes(b"")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        summary = label_captures(LabelOptions(tmp_path, scheduler=cluster.scheduler_address))
    assert (summary.measured, summary.reasons) == (80, {"empty": 1})
    there = read_labels(tmp_path)
    (tmp_path / "statistics.csv").unlink()
    (tmp_path / "labels.csv").unlink()
    label_captures(LabelOptions(tmp_path))
    assert read_labels(tmp_path) == there


def test_a_scheduler_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three_frames(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)  # as where it is not installed
    with pytest.raises(UserError, match=r"unclip\[cluster\]"):
        label_captures(LabelOptions(tmp_path, scheduler="tcp://127.0.0.1:1"))


def test_pictures_of_the_helper_are_fit() -> None:
    assert why_unfit(encode_png(picture(0.5))) == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory as Linux does")
def test_too_little_memory_stops_labelling_and_drops_no_frame(tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    make_session(captures, "flight", [frame(0, 0)], [0.1])
    write_png(captures / "flight" / "frames" / "000000.png", np.zeros((6000, 6000, 3), np.uint8))
    code = f"""
        from pathlib import Path
        from dataset.labelling.labels import label_captures
        from dataset.options import LabelOptions
        label = lambda: print(label_captures(LabelOptions(Path({str(captures)!r}), workers=1)))
    """
    said = fault_without_memory(code, "label()")
    assert "memory" in said
    assert "drop" not in said
    label_captures(LabelOptions(captures))
    assert [row.label for row in read_labels(captures)] == ["X"]


def test_two_who_measure_at_once_spoil_no_line_of_each_other(tmp_path: Path) -> None:
    names = [f"frames/{at:06d}.png" for at in range(4000)]
    code = (
        "import sys\nfrom dataset.labelling.clipping import ClippingStatistics\n"
        "from dataset.labelling import statistics\nstatistics.FLUSH_S = 0.001\n"
        "with statistics.StatisticsStore(sys.argv[1], ['m>=250']) as kept:\n"
        "    for at in range(4000):\n"
        "        found = ClippingStatistics(0.123456789, 0.0123456789, 123)\n"
        "        kept.append(('flight', f'frames/{at:06d}.png'), 'm>=250', found)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    for each in [Process(command, cwd=ROOT) for _ in range(3)]:
        assert each.wait(SOON_S) == 0
    heading, *measured = (tmp_path / STATISTICS_FILE).read_text().splitlines()
    assert heading.startswith("session,")
    assert sorted(measured) == sorted(
        f"flight,{name},m>=250,0.123456789,0.0123456789,123" for name in 3 * names
    )
