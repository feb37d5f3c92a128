"""The page of the review, in a real browser."""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browsers import wait_until_drawn
from helpers.keyboards import KEYBOARDS, press, press_key
from helpers.made_sessions import frame, make_session
from helpers.processes import Thread
from helpers.reviews import Client, in_table, serving

from dataset.labelling.clipping import ClippingStatistics
from dataset.labelling.hand_labels import REVIEW_JOURNAL
from dataset.labelling.labels import label_captures, read_labels
from dataset.labelling.rules import DUPLICATE, LABELS, UNREADABLE, label_by_thresholds
from dataset.local_server import OPENING
from dataset.options import LabelOptions, ReviewOptions
from dataset.review.server import serve_review
from dataset.review.store import open_review


@pytest.fixture
def page(client: Client, open_page: Callable[..., Any]) -> Any:
    """The page of the review."""
    opened = open_page(client.address, viewport={"width": 1200, "height": 800})
    opened.wait_for_selector(".cell.cursor")
    return opened


def saved(page: Any) -> list[str]:
    """The labels in the grid, once the server has them all."""
    page.wait_for_selector("#saved:text-is('all saved')")
    wait_until_drawn(page)
    cells = page.locator(".cell:not([hidden])").all()
    cells.sort(key=lambda cell: int(cell.get_attribute("data-place")))
    return [" ".join(cell.locator(".badge, .how").all_inner_texts()) for cell in cells]


AS_SHOWN = ["X statistic", "unsure statistic", "Y statistic", "X key"]


def test_keys_label_undo_and_redo(page: Any, client: Client, captures: Path) -> None:
    assert "token" not in page.url
    assert saved(page) == AS_SHOWN
    for key in ("y", "d", "ArrowRight", "u"):
        page.keyboard.press(key)
    labelled = ["Y hand", "drop hand", "Y statistic", "unsure hand"]
    assert saved(page) == labelled
    for key in ("z", "z"):
        page.keyboard.press(key)
    assert saved(page) == ["Y hand", *AS_SHOWN[1:]]
    for key in ("Shift+Z", "Shift+Z"):
        page.keyboard.press(key)
    assert saved(page) == labelled
    page.keyboard.press("z")
    saved(page)
    page.reload()
    page.wait_for_selector(".cell.cursor")
    assert saved(page) == ["Y hand", "drop hand", *AS_SHOWN[2:]]
    lines = [json.loads(line) for line in (captures / REVIEW_JOURNAL).read_text().splitlines()]
    assert lines[0]["label"] == "Y"
    assert lines[-1].keys() == {"session", "file", "label", "wall_ns"}
    assert lines[-1]["label"] is None


@pytest.mark.parametrize("keyboard", KEYBOARDS)
def test_keys_work_on_every_keyboard(page: Any, keyboard: str) -> None:
    for letter in "ydlu":
        assert press(page, keyboard, letter)
    labelled = ["Y hand", "drop hand", "Y statistic", "unsure hand"]
    assert saved(page) == labelled
    assert press(page, keyboard, "z")
    assert saved(page) == [*labelled[:3], "X key"]
    assert press(page, keyboard, "z", shift=True)
    assert press(page, keyboard, "x")  # the cursor went back to it
    assert saved(page) == [*labelled[:3], "X hand"]


def test_arrows_and_the_list_of_keys_work_with_an_input_method_open(page: Any) -> None:
    for code in ("ArrowRight", "ArrowRight", "Enter"):
        assert press_key(page, "Process", code)
    assert page.is_visible("#single")
    assert "000002.png" in page.inner_text("#caption")
    assert press_key(page, "Process", "Escape")
    assert press_key(page, "Process", "Slash", shift=True)
    assert page.is_visible("#help")


def test_a_latin_letter_counts_where_it_is_printed(page: Any) -> None:
    assert press_key(page, "y", "KeyZ")  # QWERTZ
    assert press_key(page, "Z", "KeyY", shift=False)  # caps lock
    assert saved(page) == AS_SHOWN
    assert not press_key(page, ";", "KeyZ")  # Dvorak
    assert press_key(page, "x", "KeyB")
    assert saved(page)[0] == "X hand"


def test_every_key_that_labels_is_a_button_as_well(page: Any) -> None:
    for name in ("Y Y", "drop D", "Next frame", "unsure U", "undo"):
        page.get_by_role("button", name=name, exact=True).click()
    assert saved(page) == ["Y hand", "drop hand", *AS_SHOWN[2:]]
    page.click("button[data-key=z][data-shift]")
    page.click("button[data-key=x]")
    assert saved(page) == ["Y hand", "drop hand", "Y statistic", "X hand"]
    page.click("button[data-key=Enter]")
    page.click("button[data-key=c]")
    page.wait_for_selector("#overlay", state="visible")
    page.click("button[data-key=y]")
    assert "Y" in page.inner_text("#badge")
    page.keyboard.press("d")  # keys go on working
    page.keyboard.press("Enter")
    assert page.is_hidden("#single")
    assert saved(page)[3] == "drop hand"


def test_the_file_for_the_browser_opens_the_page_and_it_can_be_reloaded(
    captures: Path, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    with serve_review(ReviewOptions(captures)) as (server, guard, _):
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            file, used = tmp_path / "open.html", threading.Event()
            file.write_text(OPENING.format(address=guard.invite(used.set)))
            page = open_page(file.as_uri())
            for _ in range(2):
                page.wait_for_selector(".cell.cursor")
                assert page.url == guard.address.split("?")[0]
                page.reload()
            assert used.is_set()
            page.context.close()
        finally:
            server.shutdown()
            thread.join()


def test_a_range_is_labelled_at_once_and_a_filter_finds_it(page: Any) -> None:
    page.keyboard.press("l")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("x")
    assert saved(page) == ["X statistic", "X hand", "X hand", "X key"]
    page.keyboard.press("f")
    page.select_option("#by-source", "4")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    assert saved(page) == ["X hand", "X hand"]
    page.keyboard.press("z")
    page.keyboard.press("r")
    assert saved(page) == []


def test_one_frame_is_shown_with_what_is_clipped(page: Any) -> None:
    for key in ("ArrowRight", "ArrowRight", "Enter", "c"):
        page.keyboard.press(key)
    page.wait_for_selector("#overlay", state="visible")
    assert page.evaluate("document.getElementById('overlay').decode().then(() => true)")
    assert "clipped 50.0 %" in page.inner_text("#caption")
    assert "statistic" in page.inner_text("#caption")
    page.keyboard.press("d")
    assert "night" in page.inner_text("#caption")  # on to the next
    page.keyboard.press("Enter")
    assert page.is_hidden("#single")


def test_thresholds_are_counted_at_once_and_applied_when_told(page: Any, captures: Path) -> None:
    def column(number: int) -> list[str]:
        return list(page.locator(f"#table td:nth-child({number})").all_inner_texts())

    assert [column(2), column(3)] == [["2", "1", "1", "0"]] * 2
    assert column(4) == ["5,076", "4,300", "", ""]
    page.locator("#y-fraction").fill("970")  # some 76 %
    wait_until_drawn(page)
    assert [column(2), column(3)] == [["2", "1", "1", "0"], ["2", "0", "2", "0"]]
    page.click("#apply")
    page.wait_for_selector("#saved:has-text('applied')")
    assert in_table(captures) == ["X clipping", "unsure clipping", "unsure clipping", "X key"]


JUDGE_ALL = """async ([fraction, blob, thresholds]) => {
  const { State, LABELS } = await import("/state.js");
  const state = Object.assign(Object.create(State.prototype), { fraction, blob });
  return fraction.map((_, n) => LABELS[state.judge(n, thresholds)]);
}"""
THRESHOLDS = [(0.005, 0.05, 0.02), (0.0, 0.1, 0.0), (0.1, 0.1 + 0.2, 1 / 3), (1e-4, 1.0, 1.0)]


@pytest.mark.parametrize("values", THRESHOLDS)
def test_the_page_judges_as_python_does_also_at_the_thresholds(
    page: Any, values: tuple[float, float, float]
) -> None:
    beside = {
        near for each in values for near in (math.nextafter(each, 0), math.nextafter(each, 1))
    }
    shares = sorted({0.0, 0.5, 1.0, *values, *beside})
    pairs = [(share, blob) for share in shares for blob in shares]
    options = LabelOptions(x_fraction=values[0], y_fraction=values[1], y_blob=values[2])
    judged = [label_by_thresholds(ClippingStatistics(*each, 255), options) for each in pairs]
    assert set(judged) == {"X", "Y", "unsure"}
    columns = [list(column) for column in zip(*pairs, strict=True)]
    assert page.evaluate(JUDGE_ALL, [*columns, list(values)]) == judged


def make_all_kinds(captures: Path) -> Path:
    """Frames labelled by all who can: statistic, key, light and review; repeats, a broken file."""
    shares = [0, 0.05, 0.1, 0.15, 0.5] * 2
    frames = [frame(at, at) for at in range(5)]
    frames += [frame(5, 5, label="Y"), frame(6, 6, light="noon"), frame(7, 7, duplicate_of=2)]
    frames += [frame(8, 8), frame(9, 9)]
    session = make_session(captures, "kinds", frames, shares)
    (session / frames[8].file).unlink()
    label_captures(LabelOptions(captures, light_y="noon"))
    with open_review(captures) as store:
        store.set_labels([(9, "X")])
    rows = read_labels(captures)
    assert {row.source for row in rows} == {"key", "light", "clipping", "review"}
    assert {DUPLICATE, UNREADABLE} < {row.method for row in rows}
    return captures


COUNT = """async (thresholds) => {
  const { State } = await import("/state.js");
  return new State(await (await fetch("/frames")).json()).counts(thresholds);
}"""


def test_the_counts_beside_the_sliders_are_those_that_are_applied(
    browser: Any, tmp_path: Path
) -> None:
    with serving(make_all_kinds(tmp_path)) as client:
        page = browser.new_page()
        page.goto(client.address)
        page.wait_for_url(lambda url: "token" not in url)
        for values in ([0.05, 0.1, 0.1], [0.0, 0.15, 0.0], [0.1, 0.5, 0.5], [0.005, 0.05, 0.02]):
            promised = page.evaluate(COUNT, values)
            status, body, _ = client.ask("/apply", {"thresholds": values})
            assert status == 200, body
            applied = Counter(json.loads(body)["label"])
            assert promised == [applied[label] for label in range(len(LABELS) + 1)]
            in_file = Counter(row.label for row in read_labels(tmp_path))
            assert promised[1:] == [in_file[label] for label in LABELS]
        page.close()


REDRAW = """async ([fraction, blob]) => {
  const { State } = await import("/state.js");
  const { drawBlobs, drawFractions } = await import("/charts.js");
  const all = (value) => fraction.map(() => value);
  const state = new State({ file: all(""), label: all(3), source: all(3), fixed: all(0),
    p99: all(255), fraction, blob });
  const times = [];
  for (let round = 1; round <= 25; round++) {
    const thresholds = [0.0005 * round, 0.01 * round, 0.005 * round], began = performance.now();
    drawFractions(document.getElementById("fractions"), state, thresholds);
    drawBlobs(document.getElementById("blobs"), state, thresholds);
    state.counts(null);
    state.counts(thresholds);
    times.push(performance.now() - began);
  }
  return times;
}"""


def test_sliders_stay_live_with_twenty_thousand_frames(page: Any) -> None:
    fraction = 10 ** np.random.default_rng(0).uniform(-4, 0, 20_000)
    times = page.evaluate(REDRAW, [fraction.tolist(), (fraction / 2).tolist()])
    assert min(times) < 50  # ms; 2 on two quiet cores, and a busy machine makes some longer
