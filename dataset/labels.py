"""From clipping statistics and hand labels to X, Y, unsure or drop: ``captures/labels.csv``.

A frame is measured once and its statistics stay in the file, so thresholds change without reading
a pixel again. A label set by hand is never overruled by a statistic. Nothing here moves a frame.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from dataset.clipping import ClippingStatistics, measure_clipping
from dataset.errors import UserError
from dataset.images import read_image, write_whole
from dataset.manifest import Frame, find_sessions, read_frames
from dataset.options import LabelOptions

LABELS_FILE = "labels.csv"
LABELS = ("X", "Y", "unsure", "drop")
BY_HAND = ("key", "review")
DUPLICATE = "duplicate"  # in the method column: the manifest says it repeats an earlier frame
UNREADABLE = "unreadable"  # in the method column: the file is missing or broken

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LabelRow:
    """One line of ``labels.csv``. The statistics are None where nothing was measured."""

    session: str  # name of the session folder
    file: str  # path relative to it, with forward slashes
    label: str  # X | Y | unsure | drop
    source: str  # key | light | clipping | review: who decided
    clipped_fraction: float | None = None  # 0..1
    largest_blob: float | None = None  # 0..1
    p99: int | None = None  # 0..255
    method: str = ""  # the statistic and its limit, or why there is none
    threshold: str = ""  # the thresholds that decided; empty for a hand label

    @property
    def key(self) -> tuple[str, str]:
        return self.session, self.file

    @property
    def statistics(self) -> ClippingStatistics | None:
        if self.clipped_fraction is None or self.largest_blob is None or self.p99 is None:
            return None
        return ClippingStatistics(self.clipped_fraction, self.largest_blob, self.p99)


@dataclass(frozen=True)
class LabelSummary:
    """What `label_captures` did."""

    counts: dict[str, int]  # frames per label: X, Y, unsure, drop
    sources: dict[str, int]  # frames per source
    measured: int  # frames whose pixels were read this time
    broken: list[str]  # session/file of each frame that could not be read
    path: Path  # the labels.csv written

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {label}" for label, count in self.counts.items())
        sources = ", ".join(f"{count:,} by {source}" for source, count in self.sources.items())
        text = f"{counts} ({sources}; {self.measured:,} measured now): {self.path}"
        if self.broken:
            more = f" and {len(self.broken) - 5:,} more" if len(self.broken) > 5 else ""
            text += f"\nNot readable, dropped: {', '.join(self.broken[:5])}{more}"
        return text


def method_name(limit: int) -> str:
    """What the method column says; frames with another name are measured anew."""
    return f"max_rgb>={limit}"


def judge(statistics: ClippingStatistics, options: LabelOptions) -> str:
    """X, Y or unsure by thresholds.

    Scattered highlights (glints, a white HUD) can clip as many pixels as an over-exposed fuselage;
    they lack one large area, and are left to a person.

    Examples
    --------
    >>> judge(ClippingStatistics(0.3, 0.2, 255), LabelOptions())
    'Y'
    >>> judge(ClippingStatistics(0.3, 0.001, 255), LabelOptions())
    'unsure'
    """
    if statistics.clipped_fraction <= options.x_fraction:
        return "X"
    wide = statistics.clipped_fraction >= options.y_fraction
    return "Y" if wide and statistics.largest_blob >= options.y_blob else "unsure"


def options_used(rows: Sequence[LabelRow], source: Path) -> LabelOptions:
    """The limit and thresholds that labelled these rows; the defaults where none did.

    Frames that come later are labelled as the earlier ones were.
    """
    for row in rows:
        method = re.fullmatch(r"max_rgb>=(\d+)", row.method)
        threshold = re.fullmatch(r"X<=(\S+) Y>=(\S+) blob>=(\S+)", row.threshold)
        if method and threshold:
            x, y, blob = map(float, threshold.groups())
            return LabelOptions(source, int(method[1]), x, y, blob)
    return LabelOptions(source)


def session_name(folder: Path) -> str:
    """The name a session goes by in tables, also where the folder was given as ``.``."""
    return folder.name or folder.resolve().name


def read_labels(captures: str | Path) -> list[LabelRow]:
    """The rows of ``captures/labels.csv``; an empty list when there is no such file.

    Raises
    ------
    UserError
        The file is there and is not ours, or was damaged by hand.
    """
    path = Path(captures) / LABELS_FILE
    try:
        # utf-8-sig: a spreadsheet puts a byte order mark in front when it saves the file.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read {path} ({error}). Save it as UTF-8, or remove it.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = []
    for values in reader:
        try:
            rows.append(_parse(values))
        except (KeyError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path}, line {reader.line_num} is damaged ({error}). Mend or remove that line."
            ) from error
    return rows


def _parse(values: dict[str, str]) -> LabelRow:
    if values["label"] not in LABELS:
        raise ValueError(f"label {values['label']!r} is none of {', '.join(LABELS)}")
    fraction, blob, p99 = values["clipped_fraction"], values["largest_blob"], values["p99"]
    return LabelRow(
        values["session"],
        values["file"],
        values["label"],
        values["source"],
        float(fraction) if fraction else None,
        float(blob) if blob else None,
        int(p99) if p99 else None,
        values["method"],
        values["threshold"],
    )


def write_labels(captures: str | Path, rows: Sequence[LabelRow]) -> Path:
    """Write ``captures/labels.csv``, renamed into place; returns its path."""
    names = [each.name for each in fields(LabelRow)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in rows)
    path = Path(captures) / LABELS_FILE
    write_whole(path, text.getvalue().encode())
    return path


def label_captures(options: LabelOptions, on_progress: Progress | None = None) -> LabelSummary:
    """Label every frame of every session and write ``labels.csv``.

    Labels set by hand come first (in the table, then in the manifest), the statistic second.
    Frames that repeat an earlier one, or cannot be read, become ``drop``. Stopped half-way
    (Ctrl-C), it keeps what was measured and goes on from there the next time.

    Parameters
    ----------
    options : LabelOptions
    on_progress : callable, optional
        Called with (frames measured, frames to measure) while pixels are read.

    Raises
    ------
    UserError
        Thresholds that contradict each other, no sessions, a damaged manifest or table.
    """
    _check(options)
    known = {row.key: row for row in read_labels(options.source)}
    frames = [
        (session_name(folder), folder, frame)
        for folder in find_sessions(options.source)
        for frame in read_frames(folder)
    ]
    method = method_name(options.limit)
    todo = [
        (name, frame.file, folder / frame.file)
        for name, folder, frame in frames
        if frame.duplicate_of is None and not _is_measured(known.get((name, frame.file)), method)
    ]
    found: dict[tuple[str, str], ClippingStatistics | None] = {}
    try:
        for done, (key, statistics) in enumerate(_measure(todo, options), start=1):
            found[key] = statistics
            if on_progress:
                on_progress(done, len(todo))
    finally:
        rows = [
            row
            for name, _, frame in frames
            if (row := _label(name, frame, known.get((name, frame.file)), found, options))
        ]
        present = {row.key for row in rows}
        # A session folder may only be elsewhere today: what a person said about it is kept.
        absent = [row for row in known.values() if row.key not in present and row.source in BY_HAND]
        path = write_labels(options.source, rows + absent)
    counts = Counter(row.label for row in rows)
    broken = [f"{row.session}/{row.file}" for row in rows if row.method == UNREADABLE]
    return LabelSummary(
        {label: counts[label] for label in LABELS},
        dict(sorted(Counter(row.source for row in rows).items())),
        len(found),
        broken,
        path,
    )


def _check(options: LabelOptions) -> None:
    if not 1 <= options.limit <= 255:
        raise UserError(f"--limit {options.limit} is not between 1 and 255.")
    if not 0 <= options.x_fraction < options.y_fraction <= 1:
        raise UserError(
            f"The share for X ({options.x_fraction}) must lie under the share for Y "
            f"({options.y_fraction}), both between 0 and 1."
        )


def _is_measured(row: LabelRow | None, method: str) -> bool:
    return row is not None and row.method == method and row.statistics is not None


def _measure(
    todo: Sequence[tuple[str, str, Path]], options: LabelOptions
) -> Iterator[tuple[tuple[str, str], ClippingStatistics | None]]:
    """Statistics of each file in order; None for one that cannot be read."""

    def measure(path: Path) -> ClippingStatistics | None:
        try:
            return measure_clipping(read_image(path), options.limit)
        except UserError:
            return None

    with ThreadPoolExecutor(options.workers or os.cpu_count() or 1) as pool:
        # In blocks, so that Ctrl-C waits for few and a million frames queue no million futures.
        for start in range(0, len(todo), 64):
            block = todo[start : start + 64]
            results = pool.map(measure, [path for _, _, path in block])
            for (session, file, _), statistics in zip(block, results, strict=True):
                yield (session, file), statistics


def _label(
    session: str,
    frame: Frame,
    known: LabelRow | None,
    found: dict[tuple[str, str], ClippingStatistics | None],
    options: LabelOptions,
) -> LabelRow | None:
    """The row of one frame; None while it has neither a measurement nor a hand label."""
    key = (session, frame.file)
    method = method_name(options.limit)
    statistics = found.get(key)
    if statistics is None and known is not None and _is_measured(known, method):
        statistics = known.statistics
    if frame.duplicate_of is not None:
        method = DUPLICATE
    elif statistics is None:
        method = UNREADABLE if key in found else ""
    label, source, threshold = *_hand_label(frame, known), ""
    if method in (DUPLICATE, UNREADABLE) and source != "review":
        label, source = "drop", source or "clipping"
    elif not source:
        if statistics is None:
            return None
        label, source = judge(statistics, options), "clipping"
        threshold = f"X<={options.x_fraction!r} Y>={options.y_fraction!r} blob>={options.y_blob!r}"
    row = LabelRow(*key, label, source, method=method, threshold=threshold)
    return row if statistics is None else replace(row, **asdict(statistics))


def _hand_label(frame: Frame, known: LabelRow | None) -> tuple[str, str]:
    """(label, source) that a person gave, or two empty strings."""
    if known is not None and known.source == "review":
        return known.label, "review"
    # "drop" of a key label that fell to a broken file says nothing once the file is mended.
    if known is not None and known.source == "key" and known.method not in (DUPLICATE, UNREADABLE):
        return known.label, "key"
    return (frame.label, "key") if frame.label in ("X", "Y") else ("", "")
