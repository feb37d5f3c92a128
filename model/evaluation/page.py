"""The page of ``cli evaluate``: tables with intervals, thresholds, best, median and worst frame.

It tells what an evaluation found and measures nothing. Everything lies in one folder: the page,
its pictures, the same numbers as JSON and those of every frame as CSV; no network, no script.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from dataset.files import write_whole
from dataset.pictures.images import Image, resize_area, write_png
from model.evaluation.paired import MEASURES, Evaluation
from model.figures.page_folder import PAGE_FILE, begin_page, check_folder, mark_of

JSON_FILE, CSV_FILE = "evaluation.json", "evaluation.csv"
THRESHOLDS_FILE = "thresholds.png"
MARK = mark_of("evaluation")
SHOWN = ("best", "median", "worst")  # what the files of shown frames begin with
HIGHEST = 480  # pixels of a shown frame
NAMES = {
    "input": "input",
    "network": "network F",
    "cielab": "CIELAB",
    "ycbcr": "YCbCr",
    "gamma": "gamma",
    "best_factor": "best factor*",
    "best_gamma": "best gamma*",
    "reference": "reference",
}
PAIRED = {  # measure -> heading, digits, scale
    "psnr": ("PSNR, dB", 2, 1),
    "psnr_gain": ("gain, dB", 2, 1),
    "ssim": ("SSIM", 3, 1),
    "edges": ("edges", 3, 1),
    "delta_e": ("ΔE", 1, 1),
    "psnr_inside": ("PSNR, clipped", 2, 1),
    "psnr_outside": ("PSNR, the rest", 2, 1),
    "delta_e_inside": ("ΔE, clipped", 1, 1),
    "delta_e_outside": ("ΔE, the rest", 1, 1),
    "change_median": ("moved, median", 1, 1),
    "change_p95": ("moved, 95 %", 1, 1),
    "clipped": ("still clipped, %", 1, 100),
}
UNPAIRED = {
    "clipped_before": ("clipped before, %", 1, 100),
    "clipped_after": ("clipped after, %", 1, 100),
    "change_median": ("moved, median", 1, 1),
    "change_p95": ("moved, 95 %", 1, 1),
    "identity_median": ("F(x) to x, ΔE", 2, 1),
    "identity_abs": ("|F(x) - x|, %", 2, 100),
}
Columns = Mapping[str, tuple[str, int, int]]


def check_out(out: Path) -> None:
    """Refuse a folder with a page or files that are not ours, before hours of work."""
    pictures = [f"{title}_{name}.png" for title in SHOWN for name in NAMES]
    check_folder(out, MARK, [JSON_FILE, CSV_FILE, THRESHOLDS_FILE, *pictures], "cli evaluate")


def write_evaluation(
    out: Path,
    summary: Mapping[str, Any],
    paired: Evaluation | None,
    frames: Mapping[str, Mapping[str, Image]],
    thresholds: Image | None,
    skipped: Sequence[str],
) -> None:
    """Write the page and what it shows; an earlier page of ours is replaced.

    Parameters
    ----------
    out : Path
        The folder; made where it is missing.
    summary : mapping
        What ``evaluation.json`` holds: ``methods`` of the pairs, ``unpaired``, ``notes``.
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
    check_out(out)
    begin_page(out, MARK)
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    write_whole(out / JSON_FILE, text.encode())
    if paired:
        write_whole(out / CSV_FILE, render_csv(paired).encode("utf-8-sig"))
    if thresholds is not None:
        write_png(out / THRESHOLDS_FILE, thresholds)
    for title, pictures in frames.items():
        for name, image in pictures.items():
            write_png(out / _file(title, name), _shown(image))
    page = render_page(summary, frames, thresholds is not None, skipped)
    write_whole(out / PAGE_FILE, page.encode())


def render_csv(found: Evaluation) -> str:
    """A line for each frame and method; empty where a measure does not exist."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["over_exposed", "reference", "method", *MEASURES])
    for place, pair in enumerate(found.pairs):
        for method, results in found.found.items():
            values = (getattr(results[place], measure) for measure in MEASURES)
            cells = (f"{value:.6g}" if np.isfinite(value) else "" for value in values)
            writer.writerow([pair.over_exposed, pair.reference, method, *cells])
    return text.getvalue()


def render_page(
    summary: Mapping[str, Any],
    frames: Mapping[str, Mapping[str, Image]],
    has_thresholds: bool,
    skipped: Sequence[str],
) -> str:
    """The page's HTML; parameters as of `write_evaluation`."""
    parts = []
    if "methods" in summary:
        parts.append(PAIRED_TEXT.format(pairs=summary["pairs"]))
        parts.append(render_table(summary["methods"], PAIRED))
    if has_thresholds:
        swept = summary["thresholds"][0]["pairs"]
        parts.append(THRESHOLDS_TEXT.format(file=THRESHOLDS_FILE, pairs=swept))
    parts += [_render_frames(title, pictures) for title, pictures in frames.items()]
    if "unpaired" in summary:
        found = summary["unpaired"]
        parts.append(UNPAIRED_TEXT.format(y=found["over_exposed"], x=found["well_exposed"]))
        parts.append(render_table(found["methods"], UNPAIRED))
    parts += [f"<p>{html.escape(note)}</p>" for note in summary.get("notes", ())]
    if skipped:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in skipped)
        parts.append(f"<h2>Set aside: {len(skipped)}</h2><ul>{lines}</ul>")
    return PAGE.substitute(mark=MARK, sections="\n".join(parts))


def render_table(methods: Mapping[str, Mapping[str, Any]], columns: Columns) -> str:
    """A line for each method, under each mean its interval; no column without any value."""
    shown = {
        measure: column
        for measure, column in columns.items()
        if any(found[measure]["mean"] is not None for found in methods.values())
    }
    with_kid = any(found.get("kid") is not None for found in methods.values())
    heads = "".join(f"<th>{heading}</th>" for heading, _, _ in shown.values())
    lines = [f"<tr><th>method</th>{heads}{'<th>KID</th>' if with_kid else ''}</tr>"]
    for name, found in methods.items():
        cells = "".join(
            f"<td>{_cell(found[measure], digits, scale)}</td>"
            for measure, (_, digits, scale) in shown.items()
        )
        last = f"<td>{found['kid']:.4f}</td>" if with_kid else ""
        lines.append(f"<tr><td>{_name(name)}</td>{cells}{last}</tr>")
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def _cell(found: Mapping[str, Any], digits: int, scale: int) -> str:
    if found["mean"] is None:
        return ""
    mean = f"{found['mean'] * scale:.{digits}f}"
    if found["low"] is None:
        return mean
    low, high = (f"{found[bound] * scale:.{digits}f}" for bound in ("low", "high"))
    return f"{mean}<small>{low} … {high}</small>"


def _render_frames(title: str, pictures: Mapping[str, Image]) -> str:
    figures = "\n".join(
        f'<figure><a href="{_file(title, name)}"><img src="{_file(title, name)}" '
        f'alt="{_name(name)}"></a><figcaption>{_name(name)}</figcaption></figure>'
        for name in pictures
    )
    return f'<h2>{html.escape(title)}</h2>\n<div class="row">{figures}</div>'


def _name(method: str) -> str:
    return html.escape(NAMES.get(method, method))


def _file(title: str, name: str) -> str:
    """The picture's file: the first word of the title, and what it shows."""
    return f"{title.split()[0].strip(',:').lower()}_{name}.png"


def _shown(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = min(1.0, HIGHEST / height)
    return resize_area(image, (max(1, round(width * scale)), max(1, round(height * scale))))


PAIRED_TEXT = """<p>{pairs} over-exposed pictures whose viewpoints were recorded without
over-exposure, too. Small: 95 % bootstrap interval of the mean over frames. ΔE is CIEDE2000 to the
reference; 1 is about what an eye just notices. Clipped: where the input's max(R, G, B) is 250 or
more, if that is 0.1 % of it. Moved: ΔE between output and input where the input was not clipped.
* chosen for each picture with its reference in hand: a bound, no rival.</p>"""
THRESHOLDS_TEXT = """<h2>How much depends on the threshold</h2>
<figure><img src="{file}" alt="PSNR and CIEDE2000 over the threshold">
<figcaption>Means over {pairs} pairs, evenly spread over the list. The dot is the method's default.
A network has no threshold: one line.</figcaption></figure>"""
UNPAIRED_TEXT = """<h2>Without references</h2>
<p>{y} frames of Y (over-exposed) and {x} of X (not over-exposed). Moved: CIEDE2000 between output
and input where the input was not clipped. F(x) should be near x. KID, where it could be measured:
the distance between what was made of Y and X as it is; 0 is none.</p>"""
PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
$mark
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>unclip: evaluation</title>
<style>
body { font: 16px/1.55 system-ui, sans-serif; max-width: 1280px; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
h1 { font-weight: 650; } h2 { margin-top: 2.4rem; font-size: 1.15rem; }
img { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .8rem; }
th, td { padding: .3rem .25rem; text-align: right; vertical-align: bottom;
       border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; vertical-align: top; white-space: nowrap; }
small { display: block; font-size: .72rem; color: #666; white-space: nowrap; }
figure { margin: 0 0 1rem; } figcaption { color: #555; }
.row { display: grid; gap: .6rem; grid-auto-flow: column; overflow-x: auto;
       grid-auto-columns: minmax(150px, 1fr); }
</style></head><body>
<h1>How well it restores</h1>
$sections
</body></html>
""")
