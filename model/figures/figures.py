"""The paper's figures and its table for one's own run, the curves of its log, and a page.

Figure 1: from the game to the training cycle, drawn around one's own frames (``figure1``).
Figure 2: over-exposed inputs over what F made of them (and the references, where there are any).
Figure 3: F's output for one input after several epochs, left to right.
Table 1: frames per domain. Nothing is measured here: that is ``evaluation``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dataset.errors import UserError
from dataset.files import write_whole
from dataset.gate import MOST_PICTURE, plain, read_regular, refuse_links
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
from dataset.splitting.report import table1
from model.checkpoint import load_generator
from model.devices import pick_device
from model.figures.curves import plot_curves
from model.figures.figure1 import Cycle, figure1
from model.figures.page_folder import (
    PAGE_FILE,
    check_page_folder,
    page_folder,
    render_page,
    table_rows,
)
from model.options import TrainOptions
from model.restoring.network import restore_image
from model.runs import LATEST, generator_path, newest_run, read_options, saved_epochs
from model.training.frame_cache import load_frames
from model.training.log import read_log

ROW_PICTURES = 6  # in a row of Figure 2
CELL = 200  # height of a picture in Figure 3, pixels
SMALLEST_DRAWN_PX = 32  # shorter side of a picture that is drawn
HEADINGS = {
    "figure1.png": (
        "Figure 1: from the game to the training cycle",
        "G: X → Y adds over-exposure, F: Y → X restores. D_Y judges G(x) beside real y, D_X "
        "judges F(y) beside real x. The cycle is closed both ways.",
    ),
    "figure2.png": (
        "Figure 2: over-exposed inputs, restored",
        "Test frames (training frames where there is no test), evenly spaced over the list.",
    ),
    "figure3.png": (
        "Figure 3: one input over the epochs",
        "Left to right: the input, then F after the epochs named; at the end the newest, if later.",
    ),
    "losses.png": (
        "The training in curves",
        "Faint: as logged. Thick: the moving average. Of discriminators, where there are any: one "
        "that stays near 0 has won, one at the dotted line is guessing.",
    ),
    "table1.md": ("Table 1: frames per domain", "Beside those of the paper."),
}


@dataclass(frozen=True)
class FiguresSummary:
    """What `make_figures` made."""

    out: Path
    made: tuple[str, ...]  # names of files in it
    missing: dict[str, str]  # file -> why it could not be drawn

    def __str__(self) -> str:
        lines = [f"{', '.join(self.made)}: {self.out}"]
        lines += [f"not drawn: {name}: {reason}" for name, reason in self.missing.items()]
        lines.append(f"open {self.out / PAGE_FILE}")
        return "\n".join(map(plain, lines))  # a name may hold a line's end


def make_figures(
    data: Path,
    runs: Path,
    run: str = "",
    out: Path | None = None,
    device: str = "auto",
    on_progress: Callable[[int, int], None] | None = None,
    epoch: str = "",
) -> FiguresSummary:
    """Draw all figures of a run, and a page that shows them.

    Parameters
    ----------
    data : Path
        The data set that the run was trained on; the test frames are shown.
    runs, run
        Folder of the runs, and the name of one; empty: the newest.
    out : Path, optional
        Where to; ``figures/`` in the run's folder if left out. Earlier figures are replaced.
    device : str
        auto, cpu, cuda, mps.
    on_progress : callable
        Called with (figures done, figures in total).
    epoch : str
        ``best``, ``latest``, or a kept one, for Figure 2 (and, but for kept ones, Figure 1); if
        empty, the best if there is one.

    Raises
    ------
    UserError
        There is no such run or epoch, nothing could be drawn, or the folder holds somebody else's
        page. Where only some figures cannot be drawn, the summary says which and why.
    """
    folder = newest_run(runs, run)
    check_data_set_complete(data)
    if out is None:
        out = folder / "figures"
        refuse_links(out, "where the figures of a run go")
    check_page_folder(out, "figures", HEADINGS, "cli figures")
    generator_path(folder, "F", epoch)  # refused before anything is drawn
    drawings = RunFigures(data, folder, pick_device(device), epoch).all()
    made: dict[str, str | Image] = {}
    missing: dict[str, str] = {}
    for done, (name, draw) in enumerate(drawings.items(), start=1):
        try:
            made[name] = draw()
        except UserError as error:
            missing[name] = str(error)
        if on_progress:
            on_progress(done, len(drawings))
    if not made:
        raise UserError(f"No figure could be drawn. {' '.join(dict.fromkeys(missing.values()))}")
    supervised = read_settings(folder).pairs is not None
    name = f"{folder.name}, supervised: it learned from true pairs" if supervised else folder.name
    write_figures(out, made, missing, name)
    return FiguresSummary(out, (*made, PAGE_FILE), missing)


def write_figures(
    out: Path, made: dict[str, str | Image], missing: dict[str, str], run: str
) -> None:
    """Write pictures and texts by name, and the page around them."""
    with page_folder(out, "figures", HEADINGS, "cli figures"):
        for name, content in made.items():
            if isinstance(content, str):
                write_whole(out / name, content.encode())
            else:
                write_png(out / name, content)
        write_whole(out / PAGE_FILE, render_figures(out, made, missing, run).encode())


def render_figures(
    out: Path, made: Mapping[str, str | Image], missing: Mapping[str, str], run: str
) -> str:
    """The page's HTML, with the pictures of the folder in it: one file that can be sent around."""
    figures = []
    for name, content in made.items():
        heading, caption = HEADINGS[name]
        figure: dict[str, Any] = {"heading": heading, "caption": caption}
        if isinstance(content, str):
            figure["table"] = table_rows(content)
        else:
            data = read_regular(out / name, MOST_PICTURE)
            figure["png"] = base64.b64encode(data).decode()
        figures.append(figure)
    reasons = [(HEADINGS[name][0], reason) for name, reason in missing.items()]
    return render_page("figures", run=run, figures=figures, missing=reasons)


@dataclass
class RunFigures:
    """The figures of a run and its data set. Frames are shown at the scale of training."""

    data: Path
    run: Path
    device: torch.device
    epoch: str = ""  # as of ``runs.generator_path``
    _settings: TrainOptions = field(init=False)

    def __post_init__(self) -> None:
        self._settings = read_settings(self.run)

    def all(self) -> dict[str, Callable[[], str | Image]]:
        """File -> what draws it, or makes the table."""
        return {
            "figure1.png": self.draw_figure1,
            "figure2.png": self.draw_figure2,
            "figure3.png": self.draw_figure3,
            "losses.png": self.draw_losses,
            "table1.md": lambda: table1(count_frames(self.data), PAPER_COUNTS) + "\n",
        }

    def draw_figure1(self) -> Image:
        """The diagram, with frames of training in the domains and test frames in the cycles."""
        if self._settings.network.physical:
            raise UserError(
                "Figure 1 shows the cycle of a CycleGAN and its discriminators, and a run of "
                "preset physical has neither."
            )
        f, g = (load_generator(self.run, self.device, self.epoch, name) for name in "FG")
        counts = count_frames(self.data)
        x_frames, y_frames = (
            self._load(evenly_spaced(find_frames(self.data, name), 3))
            for name in DOMAIN_FOLDERS[:2]
        )
        x, y = (self._load([_middle(self._test(at))])[0] for at in (0, 1))
        made_y, made_x = restore_image(g, x), restore_image(f, y)
        return figure1(
            x_frames,
            y_frames,
            Cycle(x, made_y, restore_image(f, made_y)),
            Cycle(y, made_x, restore_image(g, made_x)),
            (counts[0], counts[1]),
        )

    def draw_figure2(self, shown: Sequence[tuple[Path, Path | None]] = ()) -> Image:
        """Inputs, outputs and references where there are any; by default of the test, spread."""
        f = load_generator(self.run, self.device, self.epoch)
        shown = shown or evenly_spaced(self._inputs(), ROW_PICTURES)
        inputs = self._load([over_exposed for over_exposed, _ in shown])
        references = self._load([each for _, each in shown if each is not None])
        return figure2(inputs, [restore_image(f, image) for image in inputs], references)

    def draw_figure3(self, shown: Path | None = None) -> Image:
        """One input by F of the kept epochs, then of the newest checkpoint if it is later.

        For a picture of the caller's choice, the newest is enough.
        """
        epochs = shown_epochs(saved_epochs(self.run), self._settings.keep_epochs)
        if not epochs and shown is None:
            raise UserError(
                f"No epoch is kept in {self.run / 'checkpoints'} yet: `cli train` keeps F of some "
                "epochs, starting with the first. Let it finish an epoch."
            )
        source = self._load([shown or _middle(self._inputs())[0]])[0]
        outputs = [
            (f"epoch {epoch}", restore_image(load_generator(self.run, self.device, epoch), source))
            for epoch in epochs
        ]
        newest = restore_image(load_generator(self.run, self.device, LATEST), source)
        # A finished run keeps its last epoch.
        if not outputs or not np.array_equal(newest, outputs[-1][1]):
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
        return load_frames(paths, SMALLEST_DRAWN_PX, self._settings.load_size)


def figure2(
    inputs: Sequence[Image],
    outputs: Sequence[Image],
    references: Sequence[Image] = (),
    cell: int = 256,
) -> Image:
    """Rows of inputs, restored outputs and references, one column per picture.

    Parameters
    ----------
    inputs, outputs, references : sequence of (H, W, 3) uint8
        The same number of each; references may be left out.
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


def shown_epochs(
    kept: Sequence[int], wanted: Sequence[int] = TrainOptions().keep_epochs
) -> list[int]:
    """The epochs of Figure 3: those in the run's settings, or as many of those on disk.

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


def read_settings(run: Path) -> TrainOptions:
    """The settings of a run; the defaults where they cannot be read."""
    try:
        return read_options(run)
    except UserError:
        return replace(TrainOptions(), load_size=0)


def _middle(items: Sequence[Any]) -> Any:
    return items[len(items) // 2]
