"""The paper's figures and its table, of one's own run: a run and a data set in, pictures out.

Figure 1: from the game to the training cycle, drawn around one's own frames (``diagram``).
Figure 2: over-exposed inputs over what F made of them (and the references, where there are any).
Figure 3: F's output for one input after several epochs, left to right.
Table 1: frames per domain. Beside them the curves of the log (``plots``) and a page (``gallery``).
Nothing is measured here: that is ``evaluate``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.gate import Count, Text, plain, read_json, refuse_links
from dataset.layout.pairs import PAIRS_FILE, read_pairs
from dataset.layout.readers import (
    DOMAIN_FOLDERS,
    check_data_set_complete,
    evenly_spaced,
    find_frames,
)
from dataset.options import PAPER_COUNTS
from dataset.pictures.images import Image, write_png
from dataset.pictures.montage import add_caption, fit_height, join_row, stack_rows
from model.checkpoint import (
    NETWORK_FILES,
    OPTIONS_FILE,
    load_generator,
    newest_run,
)
from model.devices import pick_device
from model.facts import Side
from model.figures.curves import plot_curves
from model.figures.figure1 import Cycle, figure1
from model.figures.gallery import HEADINGS, MARK, render_gallery
from model.figures.page_folder import PAGE_FILE, begin_page, check_folder
from model.options import TrainOptions
from model.restoring.network import restore
from model.training.batches import load_frames
from model.training.log import read_log

SHOWN = 6  # pictures in a row of Figure 2
CELL = 200  # height of a picture in Figure 3, pixels
SMALLEST = 32  # shorter side of a picture that is drawn, pixels


@dataclass(frozen=True)
class FiguresSummary:
    """What `make_figures` made."""

    out: Path
    made: tuple[str, ...]  # names of files in it
    missing: dict[str, str]  # file -> why it could not be made

    def __str__(self) -> str:
        lines = [f"{', '.join(self.made)}: {self.out}"]
        lines += [f"not made: {name}: {reason}" for name, reason in self.missing.items()]
        lines.append(f"open {self.out / PAGE_FILE}")
        return "\n".join(map(plain, lines))  # a name may hold a line's end


def make_figures(
    data: Path,
    runs: Path,
    run: str = "",
    out: Path | None = None,
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
) -> FiguresSummary:
    """Draw all figures of a run, and a page that shows them.

    Parameters
    ----------
    data : Path
        The data set that the run was trained on; the test frames are shown.
    runs, run
        Folder of the runs, and the name of one; empty: the newest.
    out : Path, optional
        Where to; ``figures/`` in the run's folder when left out. Figures of before are replaced.
    device : str
        auto, cpu, cuda, mps.
    on_progress : callable
        Called with (figures done, figures in all).

    Raises
    ------
    UserError
        There is no such run, nothing could be made, or the folder holds somebody else's page.
        What cannot be made while other figures can stands in the summary instead.
    """
    folder = newest_run(runs, run)
    check_data_set_complete(data)
    if out is None:
        out = folder / "figures"
        refuse_links(out, "where the figures of a run go")
    check_folder(out, MARK, HEADINGS, "cli figures")
    works = Studio(data, folder, pick_device(device)).works()
    made: dict[str, bytes | Image] = {}
    missing: dict[str, str] = {}
    for done, (name, draw) in enumerate(works.items(), start=1):
        try:
            made[name] = draw()
        except UserError as error:
            missing[name] = str(error)
        if on_progress:
            on_progress(done, len(works))
    if not made:
        raise UserError(f"No figure could be made. {' '.join(dict.fromkeys(missing.values()))}")
    write_figures(out, made, missing, folder.name)
    return FiguresSummary(out, (*made, PAGE_FILE), missing)


def write_figures(
    out: Path, made: dict[str, bytes | Image], missing: dict[str, str], run: str
) -> None:
    """Write pictures and texts by name, and the page around them."""
    check_folder(out, MARK, HEADINGS, "cli figures")
    begin_page(out, MARK)
    for name, content in made.items():
        write_whole(out / name, content) if isinstance(content, bytes) else write_png(
            out / name, content
        )
    write_whole(out / PAGE_FILE, render_gallery(out, list(made), missing, run).encode())


class DrawnSettings(msgspec.Struct):
    """What of a run's settings counts for its figures."""

    gan: Text = "log"
    load_size: Side = 0
    keep_epochs: tuple[Count, ...] = TrainOptions().keep_epochs


class _Written(msgspec.Struct):
    options: DrawnSettings


@dataclass
class Studio:
    """A run and a data set, and what is drawn of them. Frames are in the scale of training."""

    data: Path
    run: Path
    device: torch.device
    _settings: DrawnSettings = field(init=False)

    def __post_init__(self) -> None:
        self._settings = read_settings(self.run)

    def works(self) -> dict[str, Callable[[], bytes | Image]]:
        """File -> what draws it."""
        return {
            "figure1.png": self.draw_figure1,
            "figure2.png": self.draw_figure2,
            "figure3.png": self.draw_figure3,
            "losses.png": self.draw_losses,
            "table1.md": lambda: (table1_beside_paper(count_frames(self.data)) + "\n").encode(),
        }

    def draw_figure1(self) -> Image:
        """The diagram, with frames of training in the domains and test frames in the cycles."""
        f, g = (load_generator(self.run, self.device, network=name) for name in "FG")
        counts = count_frames(self.data)
        x_frames, y_frames = (
            self._load(evenly_spaced(find_frames(self.data, name), 3))
            for name in DOMAIN_FOLDERS[:2]
        )
        x, y = (self._load([_middle(self._test(at))])[0] for at in (0, 1))
        made_y, made_x = restore(g, x), restore(f, y)
        return figure1(
            x_frames,
            y_frames,
            Cycle(x, made_y, restore(f, made_y)),
            Cycle(y, made_x, restore(g, made_x)),
            (counts[0], counts[1]),
        )

    def draw_figure2(self) -> Image:
        """Test inputs spread over the list, with references where pairs are known."""
        f = load_generator(self.run, self.device)
        shown = evenly_spaced(self._inputs(), SHOWN)
        inputs = self._load([over_exposed for over_exposed, _ in shown])
        references = self._load([each for _, each in shown if each is not None])
        return figure2(inputs, [restore(f, image) for image in inputs], references)

    def draw_figure3(self) -> Image:
        """One test input by F of the kept epochs, then of the newest checkpoint if it is later."""
        epochs = shown_epochs(kept_epochs(self.run), self._settings.keep_epochs)
        if not epochs:
            raise UserError(
                f"No epoch is kept in {self.run / 'checkpoints'} yet: `cli train` keeps F of some "
                "epochs, the first one among them. Let it finish an epoch."
            )
        source = self._load([_middle(self._inputs())[0]])[0]
        outputs = [
            (f"epoch {epoch}", restore(load_generator(self.run, self.device, epoch), source))
            for epoch in epochs
        ]
        newest = restore(load_generator(self.run, self.device), source)
        if not np.array_equal(newest, outputs[-1][1]):  # a finished run keeps its last epoch
            outputs.append(("newest", newest))
        return figure3(source, outputs, CELL)

    def draw_losses(self) -> Image:
        """The curves of the log."""
        return plot_curves(read_log(self.run), self._settings.gan)

    def _test(self, domain: int) -> list[Path]:
        """Frames of the test of X (0) or Y (1); of training where there is no test."""
        try:
            return find_frames(self.data, DOMAIN_FOLDERS[2 + domain])
        except UserError:
            return find_frames(self.data, DOMAIN_FOLDERS[domain])

    def _inputs(self) -> list[tuple[Path, Path | None]]:
        """Over-exposed frames to show, each with its reference, or none of them with one."""
        try:
            pairs = read_pairs(self.data / PAIRS_FILE)
        except UserError:
            return [(path, None) for path in self._test(1)]
        return [(pair.over_exposed, pair.reference) for pair in pairs]

    def _load(self, paths: Sequence[Path]) -> list[Image]:
        return load_frames(paths, SMALLEST, self._settings.load_size)


def figure2(
    inputs: Sequence[Image],
    outputs: Sequence[Image],
    references: Sequence[Image] = (),
    cell: int = 256,
) -> Image:
    """Rows of inputs, restored outputs and references, one column a picture.

    Parameters
    ----------
    inputs, outputs, references : sequence of (H, W, 3) uint8
        As many of each; references may be left out.
    cell : int
        Height of one picture in the figure, pixels.

    Returns
    -------
    (H', W', 3) uint8
        The figure.
    """
    rows = [("over-exposed input (Y)", inputs), ("restored output F(y)", outputs)]
    if references:
        rows.append(("reference, same view under a weak sun", references))
    strips = [add_caption(join_row(fit_height(images, cell)), caption) for caption, images in rows]
    return stack_rows(strips)


def figure3(source: Image, outputs: Sequence[tuple[str, Image]], cell: int = 256) -> Image:
    """One input and its outputs under their captions (``epoch 1`` ...), left to right."""
    columns = [("input", source), *outputs]
    return join_row(
        [add_caption(fit_height([image], cell)[0], caption) for caption, image in columns]
    )


def kept_epochs(run: Path) -> list[int]:
    """The epochs whose F a run has kept, in order."""
    files = (run / "checkpoints").glob(f"[0-9]*_{NETWORK_FILES['F']}")
    names = (path.name.split("_")[0] for path in files)
    return sorted(int(name) for name in names if name.isdecimal() and len(name) < 16)


def shown_epochs(
    kept: Sequence[int], wanted: Sequence[int] = TrainOptions().keep_epochs
) -> list[int]:
    """The epochs of Figure 3: those that the run's settings name, or as many of what there is.

    Examples
    --------
    >>> shown_epochs([1, 5, 10, 14, 18, 50, 100])
    [1, 5, 10, 14, 18]
    >>> shown_epochs([1, 3, 7])
    [1, 3, 7]
    """
    return list(wanted) if set(wanted) <= set(kept) else evenly_spaced(kept, max(1, len(wanted)))


def count_frames(data: Path) -> tuple[int, int, int, int]:
    """Pictures of training X and Y, then test X and Y; ``UserError`` where there is none at all."""
    counts = []
    for folder in DOMAIN_FOLDERS:
        try:
            counts.append(len(find_frames(data, folder)))
        except UserError:
            counts.append(0)
    if not any(counts):
        find_frames(data, DOMAIN_FOLDERS[0])  # says what to do
    train_x, train_y, test_x, test_y = counts
    return train_x, train_y, test_x, test_y


def table1_beside_paper(counts: Sequence[int]) -> str:
    """Table 1 for these counts beside the paper's own, as Markdown.

    Parameters
    ----------
    counts : sequence of int
        Training X, Y, test X, Y.

    Examples
    --------
    >>> print(table1_beside_paper((484, 441, 152, 98)))
    |          |     X |     Y | X, paper | Y, paper |
    |----------|------:|------:|---------:|---------:|
    | Training |   484 |   441 |    3,864 |    3,520 |
    | Testing  |   152 |    98 |    1,212 |      780 |
    """
    rows = (("Training", 0), ("Testing", 2))
    wide = max(5, *(len(f"{each:,}") for each in counts))
    lines = [
        f"| {name:<8} | {counts[at]:>{wide},} | {counts[at + 1]:>{wide},} "
        f"| {PAPER_COUNTS[at]:>8,} | {PAPER_COUNTS[at + 1]:>8,} |"
        for name, at in rows
    ]
    head = f"|          | {'X':>{wide}} | {'Y':>{wide}} | X, paper | Y, paper |"
    rule = f"|----------|{'-' * (wide + 1)}:|{'-' * (wide + 1)}:|---------:|---------:|"
    return "\n".join((head, rule, *lines))


def read_settings(run: Path) -> DrawnSettings:
    """The settings in a run's ``options.json``; the usual ones where it cannot be read."""
    try:
        return read_json(run / OPTIONS_FILE, _Written).options
    except (OSError, ValueError):
        return DrawnSettings()


def _middle(items: Sequence[Any]) -> Any:
    return items[len(items) // 2]
