"""The page of ``cli demo``: two networks side by side on pairs that neither has seen, in numbers.

The page is ``index.html``, with the pictures it shows and ``result.json`` beside it. Nothing is
recorded or trained here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dataset.files import write_whole
from dataset.layout.pairs import PAIRS_FILE, Pair, read_pairs
from dataset.layout.readers import evenly_spaced, find_frames
from dataset.pictures.images import Image, read_image, write_png
from dataset.pictures.montage import add_caption, fit_height, join_row, stack_rows
from dataset.splitting.sheets import contact_sheet
from dataset.terminal import ProgressCallback
from model.checkpoint import load_generator
from model.evaluation.paired import (
    INPUT_METHOD,
    Evaluation,
    as_number,
    evaluate_pairs,
    read_pair,
    restore_all,
)
from model.figures.figures import ROW_PICTURES, RunFigures
from model.figures.page_folder import PAGE_FILE, render_page, table_rows
from model.restoring.methods import Restore
from model.restoring.network import restorer_of
from model.runs import read_run_facts

SHEET = 24  # frames in a contact sheet
CELL = 256  # height of a picture, pixels
SHOWN = {  # metric -> heading, digits
    "psnr": ("PSNR, dB", 2),
    "ssim": ("SSIM", 3),
    "delta_e": ("ΔE2000", 2),
    "edges": ("edge correlation", 3),
}
CAPTIONS = {
    INPUT_METHOD: "over-exposed input (Y)",
    "cyclegan": "restored by the CycleGAN",
    "physical": "restored by preset physical",
    "reference": "reference, same view under a weak sun",
}
TITLES = {INPUT_METHOD: "input", "cyclegan": "CycleGAN", "physical": "physical"}


@dataclass(frozen=True)
class DemoFacts:
    """What the page says besides its pictures."""

    table1: str  # Markdown: frames per domain
    frames: int  # recorded
    facts: Sequence[str]  # one sentence each: machine, game, training


@dataclass(frozen=True)
class DemoResult:
    """What is in ``result.json``."""

    values: dict[str, Any]

    def __str__(self) -> str:
        values = self.values
        head = f"{values['frames']} frames, {values['pairs']} held-out pairs, "
        lines = [f"{head}{values['seconds']:.0f} s in all"]
        lines += ["  ".join(f"{cell:>16}" for cell in row) for row in compared(values)]
        return "\n".join(lines)


def write_demo_page(
    out: Path,
    data: Path,
    runs: Mapping[str, Path],
    facts: DemoFacts,
    seconds: Callable[[], float],
    on_progress: ProgressCallback | None = None,
) -> DemoResult:
    """Restore the held-out pairs of a data set with the F of each run, and write the page.

    Parameters
    ----------
    out : Path
        Folder for the page.
    data : Path
        A split with ``pairs.csv``.
    runs : mapping
        Name -> a trained run, of ``cyclegan`` and ``physical``. Figure 3 is of the first.
    facts : DemoFacts
    seconds : callable
        Time since the demo began; called when everything else is done.
    on_progress : callable
        Called with (done, total) pairs.
    """
    out.mkdir(parents=True, exist_ok=True)
    cpu = torch.device("cpu")
    methods = {name: restorer_of(load_generator(run, cpu)) for name, run in runs.items()}
    found = evaluate_pairs(read_pairs(data / PAIRS_FILE), methods, on_progress=on_progress)
    ranked = ranked_pairs(found)
    best, median, worst = ranked[-1], ranked[len(ranked) // 2], ranked[0]
    write_sheets(out, data)
    # Evenly spaced over the ranking, so that a figure does not flatter.
    for name, shown in (
        ("figure2.png", evenly_spaced(ranked, ROW_PICTURES)),
        ("best_median_worst.png", [best, median, worst]),
    ):
        write_png(out / name, draw_compared(shown, methods))
    first = next(iter(runs.values()))
    write_png(out / "figure3.png", RunFigures(data, first, cpu).draw_figure3(median.over_exposed))
    result = {
        "frames": facts.frames,
        **found.summary(),
        "physical_ahead": ahead(found),
        "seconds": round(seconds(), 1),
    }
    write_whole(out / "result.json", (json.dumps(result, indent=2) + "\n").encode())
    page = render_demo(facts, result, read_run_facts(first))
    write_whole(out / PAGE_FILE, page.encode())
    return DemoResult(result)


def render_demo(facts: DemoFacts, result: dict[str, Any], machine: dict[str, Any]) -> str:
    """The page's HTML."""
    made_on = describe_machine(machine)
    return render_page(
        "demo",
        result=result,
        measures=compared(result),
        facts=[*facts.facts, *([made_on] if made_on else [])],
        table1=table_rows(facts.table1),
    )


def describe_machine(machine: Mapping[str, Any]) -> str:
    """What a run was trained on, by its ``options.json``, in a sentence."""
    told = {"{}": "device", "{} threads": "threads", "PyTorch {}": "torch", "Python {}": "python"}
    known = [words.format(machine[key]) for words, key in told.items() if machine.get(key)]
    return f"Trained on {', '.join(known)}." if known else ""


def compared(result: Mapping[str, Any]) -> list[list[str]]:
    """The means of input and networks as a table, its head first."""
    methods = result["methods"]
    rows = [["", *(TITLES.get(name, name) for name in methods)]]
    for metric, (heading, digits) in SHOWN.items():
        means = (methods[name][metric]["mean"] for name in methods)
        rows.append([heading, *("-" if mean is None else f"{mean:.{digits}f}" for mean in means)])
    return rows


def ahead(found: Evaluation) -> dict[str, float | int | None]:
    """By how much preset physical leads in PSNR, in the mean, and on how many of the pairs."""
    lead = found.values("physical", "psnr") - found.values("cyclegan", "psnr")
    return {"psnr": as_number(float(lead.mean())), "pairs": int((lead > 0).sum())}


def ranked_pairs(found: Evaluation) -> list[Pair]:
    """Pairs by PSNR, the mean of all networks, worst first."""
    networks = [name for name in found.found if name != INPUT_METHOD]
    psnr = np.mean([found.values(name, "psnr") for name in networks], 0)
    return [found.pairs[int(place)] for place in np.argsort(psnr)]


def draw_compared(pairs: Sequence[Pair], methods: Mapping[str, Restore]) -> Image:
    """Rows of inputs, of what each network made of them, and of references."""
    rows: dict[str, list[Image]] = {}
    for pair in pairs:
        source, reference = read_pair(pair)
        restored = restore_all(source, reference, methods, {})
        for name, image in {INPUT_METHOD: source, **restored, "reference": reference}.items():
            rows.setdefault(name, []).append(image)
    return stack_rows(
        [
            add_caption(join_row(fit_height(images, CELL)), CAPTIONS[name])
            for name, images in rows.items()
        ]
    )


def write_sheets(out: Path, data: Path) -> None:
    """Contact sheets of both training domains: frames evenly spaced over each."""
    for folder, name in (("trainA", "domain_X.png"), ("trainB", "domain_Y.png")):
        images = [read_image(path) for path in evenly_spaced(find_frames(data, folder), SHEET)]
        write_png(out / name, contact_sheet(images, columns=8, cell=(144, 144)))
