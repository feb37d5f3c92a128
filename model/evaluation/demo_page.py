"""One page on one run: what it saw, what it restored, and how well.

Writes ``index.html``, the pictures it shows and ``result.json`` into one folder; the page needs
no network and no script.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch

from dataset.files import write_whole
from dataset.layout.pairs import Pair, read_pairs
from dataset.layout.readers import evenly_spaced, find_frames
from dataset.pictures.images import Image, read_image, write_png
from dataset.splitting.report import contact_sheet
from model.checkpoint import load_generator, read_facts
from model.evaluation.paired import Evaluation, evaluate_pairs
from model.figures.figures import figure2, figure3, kept_epochs
from model.networks import Generator
from model.restoring.network import Restorer, restore

SHOWN = 6  # pictures in a row of Figure 2
SHEET = 24  # frames in a contact sheet


@dataclass(frozen=True)
class Story:
    """What the page tells besides its pictures."""

    table1: str  # Markdown: frames per domain
    frames: int  # recorded
    facts: Sequence[str]  # one sentence each: machine, game, training


def write_showcase(
    out: Path,
    data: Path,
    run: Path,
    story: Story,
    seconds: Callable[[], float],
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Restore the held-out pairs of ``data`` with a run's F and write the page.

    Parameters
    ----------
    out : Path
        Folder for the page.
    data : Path
        A split with ``pairs.csv``.
    run : Path
        A trained run.
    story : Story
        Counts and facts.
    seconds : callable
        Time since the work began; asked for when all else is done.
    on_progress : callable
        Called with (done, total) pairs.

    Returns
    -------
    dict
        What stands in ``result.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    network = load_generator(run, torch.device("cpu"))
    pairs = read_pairs(data / "pairs.csv")
    found = evaluate_pairs(pairs, {"network": Restorer(network)}, on_progress=on_progress)
    ranked = ranked_pairs(found)
    write_sheets(out, data)
    write_png(out / "figure2.png", draw_figure2(network, evenly_spaced(ranked, SHOWN)))
    write_png(
        out / "best_median_worst.png",
        draw_figure2(network, [ranked[-1], ranked[len(ranked) // 2], ranked[0]]),
    )
    write_png(out / "figure3.png", draw_figure3(run, read_image(ranked[len(ranked) // 2][0])))
    result = {"frames": story.frames, **found.summary(), "seconds": round(seconds(), 1)}
    write_whole(out / "result.json", (json.dumps(result, indent=2) + "\n").encode())
    write_whole(out / "index.html", render_page(story, result, read_facts(run)).encode())
    return result


def ranked_pairs(found: Evaluation) -> list[tuple[Path, Path]]:
    """(over-exposed, reference) by restored PSNR, worst first."""
    order = np.argsort(found.values(found.restored, "psnr"))
    return [_files(found.pairs[int(place)]) for place in order]


def draw_figure2(network: Generator, pairs: Sequence[tuple[Path, Path]]) -> Image:
    """Figure 2 of these pairs."""
    inputs = [read_image(over_exposed) for over_exposed, _ in pairs]
    return figure2(
        inputs,
        [restore(network, image) for image in inputs],
        [read_image(reference) for _, reference in pairs],
    )


def draw_figure3(run: Path, source: Image) -> Image:
    """Figure 3 of a run: its kept epochs, then the newest checkpoint."""
    cpu = torch.device("cpu")
    outputs = [
        (f"epoch {epoch}", restore(load_generator(run, cpu, epoch), source))
        for epoch in kept_epochs(run)
    ]
    return figure3(source, [*outputs, ("last", restore(load_generator(run, cpu), source))], 200)


def write_sheets(out: Path, data: Path) -> None:
    """Contact sheets of both training domains: frames evenly spaced over each."""
    for folder, name in (("trainA", "domain_X.png"), ("trainB", "domain_Y.png")):
        images = [read_image(path) for path in evenly_spaced(find_frames(data, folder), SHEET)]
        write_png(out / name, contact_sheet(images, columns=8, cell=(144, 144)))


def render_page(story: Story, result: dict[str, Any], machine: dict[str, Any]) -> str:
    """The page's HTML."""
    made_on = ", ".join(f"{key} {value}" for key, value in machine.items())
    facts = "\n".join(f"<li>{html.escape(fact)}</li>" for fact in (*story.facts, made_on))
    shown: dict[str, Any] = {
        key: f"{value:.3f}" if key.endswith(("ssim", "edges")) else f"{value:.2f}"
        for key, value in result.items()
        if isinstance(value, float)
    }
    return PAGE.substitute(
        {**result, **shown},
        facts=facts,
        table=markdown_table(story.table1),
        gain=f"{result['restored_psnr'] - result['input_psnr']:+.2f}",
    )


def markdown_table(text: str) -> str:
    """A Markdown table as HTML; its first row is the head, its second the rule."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.strip().splitlines()
        if line.strip().startswith("|")
    ]
    lines = []
    for number, row in enumerate(rows):
        if number != 1:
            tag = "th" if number == 0 else "td"
            cells = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
            lines.append(f"<tr>{cells}</tr>")
    return "<table>" + "".join(lines) + "</table>"


def _files(pair: Pair) -> tuple[Path, Path]:
    return pair.over_exposed, pair.reference


PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>unclip: one run</title>
<style>
body { font: 16px/1.55 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
h1 { font-weight: 650; } h2 { margin-top: 2.2rem; font-size: 1.15rem; }
img { max-width: 100%; height: auto; border: 1px solid #ddd; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem; text-align: right;
       border-bottom: 1px solid #ddd; } th:first-child, td:first-child { text-align: left; }
figure { margin: 0 0 1rem; } figcaption { color: #555; }
</style></head><body>
<h1>From a game's frames to a restored picture</h1>
<p>$frames frames were recorded from the window of a game whose sun can be moved, sorted into
domain X (not over-exposed) and domain Y (over-exposed), and a CycleGAN learned to turn Y into X
without pairs and without a threshold. The pictures below were held out of training.</p>
<table>
<tr><th>$pairs held-out pairs, mean</th><th>input</th><th>restored</th></tr>
<tr><td>PSNR, dB ($gain, sd of the gain $psnr_gain_sd, from $psnr_gain_min to
$psnr_gain_max)</td><td>$input_psnr</td><td>$restored_psnr</td></tr>
<tr><td>SSIM</td><td>$input_ssim</td><td>$restored_ssim</td></tr>
<tr><td>edge correlation</td><td>$input_edges</td><td>$restored_edges</td></tr>
</table>
<h2>Figure 2: input, output, reference</h2>
<figure><img src="figure2.png" alt="inputs over outputs over references">
<figcaption>Evenly spaced over the ranking by PSNR, worst at the left, best at the
right.</figcaption></figure>
<h2>Figure 3: one input over the epochs</h2>
<figure><img src="figure3.png" alt="filmstrip over the epochs">
<figcaption>The pair of median PSNR.</figcaption></figure>
<h2>Best, median, worst</h2>
<figure><img src="best_median_worst.png" alt="best, median and worst pair"></figure>
<h2>Table 1: frames per domain</h2>
$table
<h2>Domain X, not over-exposed</h2>
<figure><img src="domain_X.png" alt="contact sheet of domain X"></figure>
<h2>Domain Y, over-exposed</h2>
<figure><img src="domain_Y.png" alt="contact sheet of domain Y"></figure>
<h2>How it was made</h2>
<ul>
$facts
<li>From the first frame to this page: $seconds s.</li>
</ul>
</body></html>
""")
