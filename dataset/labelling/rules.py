"""The labelling rules: hand labels first, then the light's name, then thresholds on a statistic.

Pure functions of one frame; nothing here reads or writes a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from dataset import gate
from dataset.gate import Text
from dataset.labelling.clipping import CLIPPING_METHODS, ClippingStatistics
from dataset.options import LabelOptions
from dataset.sessions.manifest import Frame, FrameKey

LABELS = ("X", "Y", "unsure", "drop")
LABEL_SOURCES = ("key", "light", "clipping", "review")  # who decided
BY_HAND = ("key", "review")
DUPLICATE = "duplicate"  # in the method column: the manifest says it repeats an earlier frame
GIVEN = "given "  # in the threshold column, before the label that was given in a review
UNREADABLE = "unreadable"  # in the method column: the file is missing, broken or of another kind


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One line of ``labels.csv``. The statistics are None where nothing was measured."""

    session: str  # name of the session folder
    file: str  # path relative to it, with forward slashes
    label: str  # X | Y | unsure | drop
    source: str  # key | light | clipping | review: who decided
    clipped_fraction: float | None = None  # 0..1
    largest_blob: float | None = None  # 0..1
    p99: int | None = None  # 0..255
    method: str = ""  # the statistic, its limit and HUD mask, or why there is none
    threshold: str = ""  # the thresholds that decided; of a review, the label given there

    @property
    def key(self) -> FrameKey:
        return self.session, self.file

    @property
    def statistics(self) -> ClippingStatistics | None:
        if self.clipped_fraction is None or self.largest_blob is None or self.p99 is None:
            return None
        return ClippingStatistics(self.clipped_fraction, self.largest_blob, self.p99)


def method_name(limit: int, method: str = "max_rgb", hud: str = "") -> str:
    """The method column; frames with another value are measured again.

    Examples
    --------
    >>> method_name(250), method_name(240, "cielab", "1f0c9a5e")
    ('max_rgb>=250', 'cielab>=240 hud:1f0c9a5e')
    """
    return f"{method}>={limit}" + (f" hud:{hud}" if hud else "")


def label_by_thresholds(statistics: ClippingStatistics, options: LabelOptions) -> str:
    """X, Y or unsure by thresholds.

    Scattered highlights (glints, a white HUD) can clip as many pixels as an over-exposed fuselage,
    but have no large clipped area; such frames are left to a person.

    Examples
    --------
    >>> label_by_thresholds(ClippingStatistics(0.3, 0.2, 255), LabelOptions())
    'Y'
    >>> label_by_thresholds(ClippingStatistics(0.3, 0.001, 255), LabelOptions())
    'unsure'
    """
    if statistics.clipped_fraction <= options.x_fraction:
        return "X"
    wide = statistics.clipped_fraction >= options.y_fraction
    return "Y" if wide and statistics.largest_blob >= options.y_blob else "unsure"


def label_by_light(light: str | None, options: LabelOptions) -> str:
    """X or Y by the name of the light; empty if it matches neither or both.

    Examples
    --------
    >>> label_by_light("Sun NOON 3/5", LabelOptions(light_x="dusk", light_y="noon"))
    'Y'
    """
    name = (light or "").casefold()
    is_x = bool(options.light_x) and options.light_x.casefold() in name
    is_y = bool(options.light_y) and options.light_y.casefold() in name
    return "" if is_x == is_y else "X" if is_x else "Y"


def thresholds_text(options: LabelOptions) -> str:
    """The threshold column: all that `options_used` needs to label the same way.

    Examples
    --------
    >>> thresholds_text(LabelOptions(light_y="noon"))
    'X<=0.005 Y>=0.05 blob>=0.02 light:["", "noon"]'
    """
    text = f"X<={options.x_fraction!r} Y>={options.y_fraction!r} blob>={options.y_blob!r}"
    if options.light_x or options.light_y:
        text += " light:" + json.dumps([options.light_x, options.light_y], ensure_ascii=False)
    return text


def options_used(rows: Sequence[LabelRow], source: Path) -> LabelOptions:
    """The method, limit, thresholds and lights that labelled these rows; else the defaults.

    So that new frames are labelled like earlier ones. Rows that cannot be parsed are skipped.
    """
    found = (_options_in(row.method, row.threshold) for row in rows)
    used = next((each for each in found if each is not None), LabelOptions())
    return replace(used, source=source)


@lru_cache(maxsize=64)
def _options_in(method: str, threshold: str) -> LabelOptions | None:
    """What the columns of a row say; None where they cannot be parsed."""
    by = re.fullmatch(r"(\w+)>=(\d{1,3})(?: hud:\w+)?", method)
    limits = re.fullmatch(r"X<=(\S+) Y>=(\S+) blob>=(\S+)(?: light:(.*))?", threshold)
    if not by or not limits:
        return None
    with suppress(ValueError):
        x, y, blob = map(float, limits.groups()[:3])
        lights = gate.parse_json(limits[4] or '["", ""]', tuple[Text, Text])
        used = LabelOptions(limit=int(by[2]), x_fraction=x, y_fraction=y, y_blob=blob, method=by[1])
        used = replace(used, light_x=lights[0], light_y=lights[1])
        return None if fault_of(used) else used
    return None


def fault_of(options: LabelOptions) -> str:
    """What is wrong with the method, limit or thresholds, as a sentence; empty if nothing is.

    Examples
    --------
    >>> fault_of(LabelOptions(y_blob=float("nan")))
    '--y-blob nan is not between 0 and 1.'
    """
    if options.method not in CLIPPING_METHODS:
        return f"--method {options.method} is none of {', '.join(CLIPPING_METHODS)}."
    if not 1 <= options.limit <= 255:
        return f"--limit {options.limit} is not between 1 and 255."
    if not 0 <= options.x_fraction < options.y_fraction <= 1:
        return (
            f"The share for X ({options.x_fraction}) must be less than the share for Y "
            f"({options.y_fraction}), both between 0 and 1."
        )
    if not 0 <= options.y_blob <= 1:
        return f"--y-blob {options.y_blob} is not between 0 and 1."
    return ""


def label_frame(
    session: str,
    frame: Frame,
    known: LabelRow | None,
    method: str,
    statistics: ClippingStatistics | None,
    options: LabelOptions,
) -> LabelRow | None:
    """The row of one frame.

    Parameters
    ----------
    session : str
        Name of its session.
    frame : Frame
    known : LabelRow or None
        Its row so far.
    method : str
        A `method_name`; UNREADABLE if its file cannot be read; empty if it was not read yet.
    statistics : ClippingStatistics or None
        Measured by that method.
    options : LabelOptions

    Returns
    -------
    LabelRow or None
        None if it has neither a measurement nor a label by hand or light.
    """
    if frame.duplicate_of is not None:
        method = DUPLICATE
    label, source, threshold = *_hand_label(frame, known), ""
    if known is not None and source == "review":
        threshold = known.threshold
    elif method in (DUPLICATE, UNREADABLE):
        label, source = "drop", source or "clipping"
    elif not source:
        label, source = label_by_light(frame.light, options), "light"
        threshold = thresholds_text(options)
    if not label:
        if statistics is None:
            return None
        label, source = label_by_thresholds(statistics, options), "clipping"
    row = LabelRow(session, frame.file, label, source, method=method, threshold=threshold)
    if statistics is None:
        return row
    fraction, blob, p99 = statistics.clipped_fraction, statistics.largest_blob, statistics.p99
    return replace(row, clipped_fraction=fraction, largest_blob=blob, p99=p99)


def decided_label(
    row: LabelRow, frame: Frame | None, statistics: ClippingStatistics | None
) -> str | None:
    """The label that follows from the other columns of a row; None where they do not tell.

    Parameters
    ----------
    row : LabelRow
    frame : Frame or None
        None if its session is elsewhere.
    statistics : ClippingStatistics or None
        Measured by the method of the row.

    Examples
    --------
    >>> row = LabelRow("s", "a", "X", "clipping", 0.3, 0.2, 255, "max_rgb>=250",
    ...                "X<=0.005 Y>=0.05 blob>=0.02")
    >>> decided_label(row, None, row.statistics)
    'Y'
    >>> decided_label(replace(row, source="review", threshold="given drop"), None, None)
    'drop'
    """
    if row.source == "review":
        return row.threshold.removeprefix(GIVEN) if row.threshold.startswith(GIVEN) else None
    if row.method in (DUPLICATE, UNREADABLE):
        return "drop"
    if row.source == "key":
        return frame.label if frame is not None and frame.label in ("X", "Y") else None
    # A light decides before anything is measured.
    options = _options_in(row.method or method_name(LabelOptions.limit), row.threshold)
    if options is None:
        return None
    if row.source == "light":
        return label_by_light(frame.light, options) or None if frame is not None else None
    return label_by_thresholds(statistics, options) if statistics is not None else None


def _hand_label(frame: Frame, known: LabelRow | None) -> tuple[str, str]:
    """(label, source) that a person gave, or two empty strings."""
    if known is not None and known.source == "review":
        return known.label, "review"
    # A key label that became "drop" because of a broken file does not outlast the fault.
    if known is not None and known.source == "key" and known.method not in (DUPLICATE, UNREADABLE):
        return known.label, "key"
    return (frame.label, "key") if frame.label in ("X", "Y") else ("", "")
