"""What ``cli evaluate`` does: chooses methods and pictures, measures, and reports.

``paired``, ``unpaired`` and ``threshold_sweep`` measure, ``page`` writes the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dataset.errors import UserError, first_of
from dataset.gate import is_regular, plain
from dataset.layout.pairs import PAIRS_FILE, Pair, list_pairs
from dataset.layout.readers import (
    check_data_set_complete,
    evenly_spaced,
    find_frames,
    left_out_beside,
    list_pictures,
)
from dataset.own_program import how_to_install
from dataset.pictures.formats import VIDEOS, is_video
from dataset.pictures.images import Image, read_image
from dataset.pictures.pixels import Pixels, to_pixels
from dataset.terminal import ProgressCallback
from model.evaluation.flicker import VideoFlicker, measure_flicker
from model.evaluation.page import METHOD_TITLES, check_evaluation_folder, write_evaluation
from model.evaluation.paired import (
    INPUT_METHOD,
    Evaluation,
    as_number,
    evaluate_pairs,
    read_pair,
    restore_all,
    unchanged,
)
from model.evaluation.threshold_sweep import Sweep, levels, plot_thresholds, sweep_thresholds
from model.evaluation.unpaired import Features, Unpaired, evaluate_unpaired
from model.figures.page_folder import PAGE_FILE
from model.metrics import HAS_FLIP
from model.options import EvaluateOptions, RestoreOptions
from model.restoring.baselines import BASELINES, ORACLES, THRESHOLD_METHODS
from model.restoring.methods import Restore, Session, open_method
from model.restoring.video import some_frames
from model.restoring.which_network import is_builtin, told_of
from model.runs import newest_run, read_options

NETWORK_METHOD = "network"
TOLD = {  # metric -> heading, digits
    "psnr": ("PSNR dB", 2),
    "ssim": ("SSIM", 2),
    "edges": ("edges", 2),
    "delta_e": ("dE2000", 2),
}
TOLD_APART = {
    "flip": ("FLIP", 3),
    "psnr_best_factor": ("PSNR dB, best factor", 2),
    "log_k_error": ("log k, error", 3),
}
SUPERVISED = (
    "The network is supervised: it learned from true pairs (cli train --pairs). That is an upper "
    "bound for what can be learned without pairs, and no unpaired method."
)
NO_FLIP = "No FLIP: it needs the package flip-evaluator, pip install flip-evaluator."
TOLD_UNPAIRED = {
    "clipped_after": ("still clipped", 2),
    "change_median": ("changed dE", 2),
    "identity_median": ("F(x)-x dE", 2),
}

Item = TypeVar("Item")


@dataclass
class EvaluationReport:
    """The results of one evaluation."""

    paired: Evaluation | None = None
    unpaired: Unpaired | None = None
    flicker: VideoFlicker | None = None
    sweeps: list[Sweep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was left out, and why
    supervised: bool = False  # whether the network learned from true pairs
    page: Path | None = None

    @property
    def skipped(self) -> list[str]:
        """One sentence per pair or frame that was set aside."""
        return [line for part in (self.paired, self.unpaired) if part for line in part.skipped]

    def summary(self) -> dict[str, Any]:
        """What ``--json`` prints: the pairs' numbers at the top, the rest under its own key."""
        found: dict[str, Any] = self.paired.summary() if self.paired else {}
        if self.unpaired:
            found["unpaired"] = self.unpaired.summary()
        if self.flicker:
            found["flicker"] = self.flicker.summary()
        if self.sweeps:
            found["thresholds"] = [_numbers(asdict(sweep)) for sweep in self.sweeps]
        return {**found, "supervised": self.supervised, "notes": self.notes}

    def __str__(self) -> str:
        lines = []
        if self.paired:
            lines += [f"{len(self.paired.pairs)} pairs", *_table(self.paired, TOLD)]
            lines += _table(self.paired, TOLD_APART)
        if self.unpaired:
            of_y, of_x = (
                self.unpaired.over_exposed[INPUT_METHOD],
                self.unpaired.well_exposed[INPUT_METHOD],
            )
            lines.append(f"{len(of_y)} frames of Y, {len(of_x)} of X")
            lines += _table(self.unpaired, TOLD_UNPAIRED)
        if self.flicker:
            lines += str(self.flicker).splitlines()
        if self.skipped:
            lines.append(f"set aside: {len(self.skipped)}. {first_of(self.skipped)}")
        lines += self.notes
        lines += [f"open {self.page}"] if self.page else []
        return "\n".join(map(plain, lines))  # a name may contain a line break


def evaluate_run(
    options: EvaluateOptions, on_progress: ProgressCallback | None = None
) -> EvaluationReport:
    """Compare methods on true pairs, on the two domains, or on both, and write the page.

    With ``options.video``, measure instead how much a video flickers.

    Parameters
    ----------
    options : EvaluateOptions
    on_progress : callable, optional
        Called with (pictures done, pictures in total).

    Raises
    ------
    UserError
        An unknown method; no run; neither pairs nor frames, or a video and pictures at once;
        nothing readable; a page folder that holds another page. If only KID cannot be measured,
        the notes say why.
    """
    if options.video:
        return _evaluate_video(options, options.video, on_progress)
    pairs, y, x = find_pictures(options)
    if options.out:
        check_evaluation_folder(options.out)
    seen = [pair.over_exposed for pair in pairs] + y + x
    methods = open_methods(options, lambda: readable(seen))
    swept = evenly_spaced(pairs, options.swept) if options.out and _has_threshold(methods) else []
    total = len(pairs) + len(swept) + len(y) + len(x)
    report = _report_on(options, methods)
    report.notes += left_out_beside(y + x)
    if pairs:
        oracles = ORACLES if options.oracles else {}
        report.paired = evaluate_pairs(pairs, methods, oracles, _from(0, total, on_progress))
        report.notes += [] if HAS_FLIP else [NO_FLIP]
    if y:
        features = _features(options, report.notes) if len(y) > 1 and len(x) > 1 else None
        update = _from(len(pairs), total, on_progress)
        report.unpaired = evaluate_unpaired(y, x, methods, features, update)
    if swept and report.paired:
        swept = evenly_spaced(report.paired.pairs, options.swept)
        report.sweeps = sweep_thresholds(swept, _from(total - len(swept), total, on_progress))
    if options.out:
        write_page(options, report, methods, swept)
    return report


def _evaluate_video(
    options: EvaluateOptions, video: Path, on_progress: ProgressCallback | None
) -> EvaluationReport:
    """How much a video flickers."""
    if options.pairs or options.over_exposed or options.well_exposed or options.out:
        raise UserError(
            "--video is measured by itself and has no page: leave out --pairs, --over-exposed, "
            "--well-exposed and --out."
        )
    if not video.is_file():
        raise UserError(f"No such video: {video}. Check the name.")
    if not is_video(video):
        raise UserError(
            f"{video} is no video ({' '.join(VIDEOS)}). Name one; pictures are compared with "
            "--over-exposed FOLDER, or --pairs."
        )
    methods = open_methods(options, lambda: some_frames(video))
    report = _report_on(options, methods)
    report.flicker = measure_flicker(video, methods, on_progress)
    return report


def _report_on(options: EvaluateOptions, methods: dict[str, Restore]) -> EvaluationReport:
    """A report that says which network restores, and is empty otherwise."""
    report = EvaluationReport()
    if NETWORK_METHOD in methods:
        report.supervised = is_supervised(options)
        report.notes = [SUPERVISED] if report.supervised else []
        report.notes += [told] if (told := told_of(options)) else []
    return report


def readable(paths: Sequence[Path]) -> Iterator[Pixels]:
    """Pixels of the pictures that can be read."""
    for path in paths:
        with suppress(UserError):
            yield to_pixels(read_image(path))


def open_methods(options: EvaluateOptions, session: Session | None = None) -> dict[str, Restore]:
    """The methods by name, in the order of the options; loads the network if it is among them."""
    known = (NETWORK_METHOD, *BASELINES)
    for name in options.methods:
        if name not in known:
            raise UserError(f"No method {name!r}. There are: {', '.join(known)}.")
    if not options.methods:
        raise UserError(f"No method to evaluate. There are: {', '.join(known)}.")
    settings = RestoreOptions(
        runs=options.runs,
        run=options.run,
        epoch=options.epoch,
        device=options.device,
        detail=options.detail,
        strength=options.strength,
    )
    return {
        name: open_method(
            replace(settings, method=name, together=options.together and name == NETWORK_METHOD),
            session=session,
        )
        for name in dict.fromkeys(options.methods)
    }


def is_supervised(options: EvaluateOptions) -> bool:
    """Whether the network learned from true pairs; a ``.pth`` file does not say."""
    if is_builtin(options):
        return False
    path = Path(options.run)
    if path.suffix == ".safetensors":
        from model.weights import read_facts  # by torch

        return read_facts(path).get("supervised") == "true"
    if path.suffix == ".pth":
        return False
    return read_options(newest_run(options.runs, options.run)).pairs is not None


def find_pictures(options: EvaluateOptions) -> tuple[list[Pair], list[Path], list[Path]]:
    """True pairs, frames of Y, frames of X; frames only if asked for or if there are no pairs.

    Raises
    ------
    UserError
        There is nothing to evaluate, or something that was named does not exist.
    """
    listed = options.pairs or options.data / PAIRS_FILE
    named = options.over_exposed or options.well_exposed
    if not options.pairs and not options.over_exposed:
        check_data_set_complete(options.data)
    pairs: list[Pair] = []
    if options.pairs or (not named and is_regular(listed)):
        pairs = list_pairs(listed, may_be_empty=not options.pairs)
    y: list[Path] = []
    x: list[Path] = []
    if named or not pairs:
        y = _frames(options.over_exposed, options.data, "testB")
        if options.well_exposed or not options.over_exposed:
            x = _frames(options.well_exposed, options.data, "testA")
    if not pairs and not y:
        raise UserError(
            f"Nothing to evaluate: no {listed}, and no over-exposed frames in {options.data}. Name "
            "a list with --pairs or a folder with --over-exposed, or make a data set: `cli split`."
        )
    return _some(pairs, options), _some(y, options), _some(x, options)


def write_page(
    options: EvaluateOptions,
    report: EvaluationReport,
    methods: dict[str, Restore],
    swept: Sequence[Pair],
) -> None:
    """Write the page: the report, and the best, median and worst pair by the first method."""
    assert options.out is not None
    plot, frames = None, {}
    if report.paired:
        if report.sweeps:
            plot = plot_thresholds(report.sweeps, levels(report.paired, swept))
        frames = show_frames(report.paired, {INPUT_METHOD: unchanged, **methods})
    write_evaluation(options.out, report.summary(), report.paired, frames, plot, report.skipped)
    report.page = options.out / PAGE_FILE


def show_frames(found: Evaluation, methods: dict[str, Restore]) -> dict[str, dict[str, Image]]:
    """Title -> what each method made of a pair, and the reference: best, median, worst."""
    psnr = found.values(found.restored, "psnr")
    order = np.argsort(psnr)
    places = {"Best": order[-1], "Median": order[len(order) // 2], "Worst": order[0]}
    frames = {}
    for title, place in places.items():
        pair = found.pairs[int(place)]
        source, reference = read_pair(pair)
        name = METHOD_TITLES.get(found.restored, found.restored)
        frames[f"{title}: {pair.over_exposed.name}, {psnr[place]:.1f} dB by {name}"] = {
            **restore_all(source, reference, methods, {}),
            "reference": reference,
        }
    return frames


def _features(options: EvaluateOptions, notes: list[str]) -> Features | None:
    """Inception features, or a note on why there is no KID."""
    if find_spec("torch") is None:
        notes.append(f"No KID: it needs torch, the extra `metrics`. {how_to_install('metrics')}")
        return None
    from model.devices import pick_device
    from model.evaluation.inception import open_features

    try:
        return open_features(options.inception_weights, pick_device(options.device))
    except UserError as error:
        notes.append(f"No KID: {error}")
        return None


def _frames(named: Path | None, data: Path, folder: str) -> list[Path]:
    """Pictures of the folder that was named, or of the data set, where there may be none."""
    if named:
        return list_pictures(named)
    try:
        return find_frames(data, folder)
    except UserError:
        return []


def _some(items: list[Item], options: EvaluateOptions) -> list[Item]:
    return evenly_spaced(items, options.frames or len(items))


def _has_threshold(methods: dict[str, Restore]) -> bool:
    return any(name in THRESHOLD_METHODS for name in methods)


def _from(start: int, total: int, on_progress: ProgressCallback | None) -> ProgressCallback | None:
    """Progress of one part of the work as progress of the whole."""
    if on_progress is None:
        return None
    return lambda done, _: on_progress(start + done, total)


def _numbers(sweep: dict[str, Any]) -> dict[str, Any]:
    """A sweep as JSON: None for NaN."""
    return {
        key: [as_number(each) for each in value] if isinstance(value, list) else value
        for key, value in sweep.items()
    }


def _table(found: Evaluation | Unpaired, columns: dict[str, tuple[str, int]]) -> list[str]:
    """Means with their intervals, one line per method."""
    methods = found.found if isinstance(found, Evaluation) else found.over_exposed
    first = max(14, *(len(name) + 1 for name in methods))
    lines = [" " * first + "".join(f" {heading:>23}" for heading, _ in columns.values())]
    for name in methods:
        cells = []
        for measure, (_, digits) in columns.items():
            value = found.interval(name, measure)
            low, high = (f"{bound:.{digits}f}" for bound in (value.low, value.high))
            bounds = f" ({low} to {high})" if value.count > 1 else ""
            cells.append(f"{value.mean:.{digits}f}{bounds}")
        lines.append(f"{name:{first}}" + "".join(f" {cell:>23}" for cell in cells))
    return lines
