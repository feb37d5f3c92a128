"""What a run learns from: the two folders of a data set, or, *supervised*, a list of true pairs.

Of pairs, X is the references and Y the over-exposed pictures, both in the order of the list. What
a batch holds is up to ``batches``, what is held out to ``held_out``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from dataset.errors import BrokenPictures, UserError
from dataset.layout.pairs import Pair, list_pairs, read_pairs
from dataset.layout.readers import find_frames, left_out_beside
from model.options import TrainOptions
from model.training.frame_cache import Frames, open_frames, open_pictures

FOLDERS = ("trainA", "trainB")


def place_of(options: TrainOptions) -> Path:
    """The data set, or the list of pairs."""
    return options.pairs or options.data


def describe_supervised(options: TrainOptions) -> str:
    """What a run of true pairs says of itself first."""
    return (
        f"supervised: this run learns from the true pairs of {options.pairs}. It is an upper bound "
        "for what can be learned without pairs, and no unpaired method"
    )


def find_pictures(options: TrainOptions) -> tuple[list[Path], list[Path]]:
    """The files of X and of Y.

    Raises
    ------
    UserError
        There are none, or the list of pairs is damaged or names a file that cannot be read.
    """
    if options.pairs is None:
        x, y = (find_frames(options.data, folder) for folder in FOLDERS)
        return x, y
    pairs = read_pairs(options.pairs)
    return [pair.reference for pair in pairs], [pair.over_exposed for pair in pairs]


def open_sources(options: TrainOptions) -> tuple[Frames, Frames]:
    """The frames of X and of Y.

    Raises
    ------
    UserError
        As of `find_pictures`; a picture cannot be decoded, or those of a pair differ in size.
    """
    size, load_size = options.size, options.load_size
    if options.pairs is None:
        return _both(
            lambda: open_frames(options.data, FOLDERS[0], size, load_size),
            lambda: open_frames(options.data, FOLDERS[1], size, load_size),
        )
    root, name = options.pairs.parent, options.pairs.stem
    x_files, y_files = find_pictures(options)
    x, y = _both(
        lambda: open_pictures(_named(x_files, root), root, f"{name}-reference", size, load_size),
        lambda: open_pictures(_named(y_files, root), root, f"{name}-over_exposed", size, load_size),
    )
    _check_sizes(options, x, y)
    return x, y


def told_left_out(options: TrainOptions) -> list[str]:
    """Sentences on files of the data set's folders that are no pictures of a readable format."""
    if options.pairs is not None:
        return []
    return left_out_beside([*chain(*find_pictures(options))])


def _both(open_x: Callable[[], Frames], open_y: Callable[[], Frames]) -> tuple[Frames, Frames]:
    """The frames of both; broken pictures of X do not hide those of Y."""
    try:
        x = open_x()
    except BrokenPictures as of_x:
        try:
            y = open_y()
        except BrokenPictures as of_y:
            raise BrokenPictures([*of_x.faults, *of_y.faults], of_x.of + of_y.of) from of_x
        raise BrokenPictures(of_x.faults, of_x.of + len(y)) from of_x
    try:
        return x, open_y()
    except BrokenPictures as of_y:
        raise BrokenPictures(of_y.faults, len(x) + of_y.of) from of_y


def _named(files: Sequence[Path], root: Path) -> dict[str, Path]:
    """Each file by its line in the list and its place, which is the same on another machine."""
    places = [path.relative_to(root) if path.is_relative_to(root) else path for path in files]
    return {
        f"{number}: {place.as_posix()}": path
        for number, (place, path) in enumerate(zip(places, files, strict=True), start=1)
    }


def _check_sizes(options: TrainOptions, x: Frames, y: Frames) -> None:
    assert options.pairs is not None
    pairs: list[Pair] = list_pairs(options.pairs)
    for pair, reference, over_exposed in zip(pairs, x, y, strict=True):
        if reference.shape != over_exposed.shape:
            raise UserError(
                f"{pair.over_exposed} and {pair.reference} differ in size, so they are no true "
                f"pair. Take them out of {options.pairs}, or bring both to one size."
            )
