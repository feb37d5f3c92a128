"""The page of ``cli evaluate``: tables with intervals, thresholds, best, median and worst frame.

It shows what an evaluation found and measures nothing. Everything is in one folder: the page, its
pictures, the same numbers as JSON, and those of every frame as CSV.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.files import write_whole
from dataset.pictures.images import Image, resize_area, write_png
from model.evaluation.paired import Evaluation
from model.figures.page_folder import PAGE_FILE, check_page_folder, page_folder, render_page

JSON_FILE, CSV_FILE = "evaluation.json", "evaluation.csv"
THRESHOLDS_FILE = "thresholds.png"
SHOWN_RANKS = ("best", "median", "worst")  # the files of shown frames start with these
HIGHEST = 480  # pixels of a shown frame
METHOD_TITLES = {
    "input": "input",
    "network": "network F",
    "cielab": "CIELAB",
    "ycbcr": "YCbCr",
    "gamma": "gamma",
    "reconstruct": "reconstruction",
    "best_factor": "best factor*",
    "best_gamma": "best gamma*",
    "true_k": "true k*",
    "true_k_mean_colours": "true k, mean colours*",
    "reference": "reference",
}
SUPERVISED_TITLE = "network F, supervised: an upper bound"
PAIRED_COLUMNS = {  # metric -> heading, digits, scale
    "psnr": ("PSNR, dB", 2, 1),
    "psnr_gain": ("gain, dB", 2, 1),
    "ssim": ("SSIM", 3, 1),
    "edges": ("edges", 3, 1),
    "delta_e": ("ΔE", 1, 1),
    "psnr_inside": ("PSNR, clipped", 2, 1),
    "psnr_outside": ("PSNR, the rest", 2, 1),
    "delta_e_inside": ("ΔE, clipped", 1, 1),
    "delta_e_outside": ("ΔE, the rest", 1, 1),
    "change_median": ("changed, median", 1, 1),
    "change_p95": ("changed, 95 %", 1, 1),
    "clipped": ("still clipped, %", 1, 100),
    "flip": ("FLIP", 3, 1),
    "psnr_best_factor": ("PSNR, best factor", 2, 1),
    "log_k_error": ("log k, error", 3, 1),
}
UNPAIRED_COLUMNS = {
    "clipped_before": ("clipped before, %", 1, 100),
    "clipped_after": ("clipped after, %", 1, 100),
    "change_median": ("changed, median", 1, 1),
    "change_p95": ("changed, 95 %", 1, 1),
    "identity_median": ("F(x) to x, ΔE", 2, 1),
    "identity_abs": ("|F(x) - x|, %", 2, 100),
}
FILES = [JSON_FILE, CSV_FILE, THRESHOLDS_FILE] + [
    f"{rank}_{name}.png" for rank in SHOWN_RANKS for name in METHOD_TITLES
]
TableColumns = Mapping[str, tuple[str, int, int]]


def check_evaluation_folder(out: Path) -> None:
    """Refuse a folder with a page or files that are not ours, before hours of work."""
    check_page_folder(out, "evaluation", FILES, "cli evaluate")


def write_evaluation(
    out: Path,
    summary: Mapping[str, Any],
    paired: Evaluation | None,
    frames: Mapping[str, Mapping[str, Image]],
    thresholds: Image | None,
    skipped: Sequence[str],
) -> None:
    """Write the page and what it shows; replaces an earlier page of ours.

    Parameters
    ----------
    out : Path
        The folder; created if missing.
    summary : mapping
        What ``evaluation.json`` holds: ``methods`` of the pairs, ``unpaired``, ``notes``, and
        whether the network is ``supervised``.
    paired : Evaluation, optional
        For the CSV.
    frames : mapping
        Title -> name of a method, "input" or "reference" -> its picture.
    thresholds : uint8 array, optional
        The plot.
    skipped : sequence of str
        Why frames were set aside.

    Raises
    ------
    UserError
        The folder cannot be written, or holds another page.
    """
    with page_folder(out, "evaluation", FILES, "cli evaluate"):
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        write_whole(out / JSON_FILE, text.encode())
        if paired:
            write_whole(out / CSV_FILE, paired.to_csv().encode("utf-8-sig"))
        if thresholds is not None:
            write_png(out / THRESHOLDS_FILE, thresholds)
        for title, pictures in frames.items():
            for name, image in pictures.items():
                write_png(out / _file(title, name), _small(image))
        page = render_evaluation(summary, frames, thresholds is not None, skipped)
        write_whole(out / PAGE_FILE, page.encode())


def render_evaluation(
    summary: Mapping[str, Any],
    frames: Mapping[str, Collection[str]],
    has_thresholds: bool,
    skipped: Sequence[str],
) -> str:
    """The page's HTML; parameters as of `write_evaluation`, of the pictures only their names."""
    paired, unpaired = summary.get("methods"), summary.get("unpaired")
    titles = METHOD_TITLES | ({"network": SUPERVISED_TITLE} if summary.get("supervised") else {})
    return render_page(
        "evaluation",
        titles=titles,
        pairs=summary.get("pairs"),
        paired=paired,
        paired_columns=_shown_columns(paired or {}, PAIRED_COLUMNS),
        thresholds_file=THRESHOLDS_FILE if has_thresholds else "",
        swept=summary["thresholds"][0]["pairs"] if has_thresholds else 0,
        frames={
            title: {name: _file(title, name) for name in names} for title, names in frames.items()
        },
        unpaired=unpaired,
        unpaired_columns=_shown_columns(unpaired["methods"] if unpaired else {}, UNPAIRED_COLUMNS),
        notes=summary.get("notes", ()),
        skipped=skipped,
    )


def _shown_columns(methods: Mapping[str, Mapping[str, Any]], columns: TableColumns) -> TableColumns:
    """The columns that have a value for at least one method."""
    return {
        metric: column
        for metric, column in columns.items()
        if any(found[metric]["mean"] is not None for found in methods.values())
    }


def _file(title: str, name: str) -> str:
    """A picture's file: its rank, which is the first word of the title, and what it shows."""
    return f"{title.split()[0].strip(',:').lower()}_{name}.png"


def _small(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = min(1.0, HIGHEST / height)
    return resize_area(image, (max(1, round(width * scale)), max(1, round(height * scale))))
