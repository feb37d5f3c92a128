"""Texts that describe a data set: Table 1 and the data set card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dataset.layout.readers import DOMAIN_FOLDERS
from dataset.splitting.leaks import describe_near


def table1(counts: Sequence[int], paper: Sequence[int] = ()) -> str:
    """The paper's Table 1 for these counts, as Markdown; beside the paper's own if they are given.

    Parameters
    ----------
    counts, paper : sequences of int
        Training X, Y, test X, Y.

    Examples
    --------
    >>> print(table1((3864, 3520, 1212, 780)))
    |          |     X |     Y |
    |----------|------:|------:|
    | Training | 3,864 | 3,520 |
    | Testing  | 1,212 |   780 |
    """
    columns = [("X", counts[0::2]), ("Y", counts[1::2])]
    if paper:
        columns += [("X, paper", paper[0::2]), ("Y, paper", paper[1::2])]
    cells = [[name, *(f"{each:,}" for each in numbers)] for name, numbers in columns]
    widths = [max(5, *map(len, column)) for column in cells]
    lines = [
        f"| {name:<8} | "
        + " | ".join(f"{column[at]:>{wide}}" for column, wide in zip(cells, widths, strict=True))
        + " |"
        for at, name in enumerate(("", "Training", "Testing"))
    ]
    rule = "|----------|" + "".join(f"{'-' * (wide + 1)}:|" for wide in widths)
    return "\n".join((lines[0], rule, *lines[1:]))


def data_card(
    counts: Sequence[int],
    wanted: Sequence[int],
    sources: dict[str, int],
    leaks: dict[str, Any],
    seed: int,
    folders: Sequence[str] = DOMAIN_FOLDERS,
) -> str:
    """The README.md of a data set: its folders, counts, labels, and what was kept apart.

    Parameters
    ----------
    counts, wanted : sequences of int
        Training X, Y, test X, Y: held, and asked for.
    sources : dict
        Frames per source of their label.
    leaks : dict
        The leak report of ``split.json``.
    seed : int
    folders : sequence of str
        Of training X, Y, test X, Y.
    """
    train_x, train_y, test_x, test_y = folders
    who = {"key": "by key while recording", "review": "by hand in the review"}
    who |= {"clipping": "by the clipping statistic", "light": "by the state of the light"}
    labelled = ", ".join(f"{count:,} {who.get(each, each)}" for each, count in sources.items())
    less = (
        ""
        if tuple(counts) == tuple(wanted)
        else (
            "\nFewer than was asked for ("
            + " / ".join(f"{each:,}" for each in wanted)
            + "), in its "
            "proportions: the frames allowed no more.\n"
        )
    )
    closest = leaks["closest_s"]
    distance = (
        ""
        if closest is None
        else (f" The nearest training and test frames of one recording are {closest:.1f} s apart.")
    )
    return f"""# Over-exposed and not over-exposed frames

X: not over-exposed. Y: over-exposed. Two domains without order between them: `{train_x}` and
`{test_x}` are X, `{train_y}` and `{test_y}` are Y.

{table1(counts)}
{less}
- Labels: {labelled}.
- Frames of one viewpoint, of one stretch of a recording, or with near-equal perceptual hashes
  are all in training or all in the test; frames next to a cut were left out.{distance}
{_looks(leaks)}- `split.json` names the session, frame, label and group of every file. Seed {seed}.
- `pairs.csv`: over-exposed test frames with the frame that shows the same viewpoint without.
- `croissant.json`: the same for programs, as Croissant metadata.

![X frames](report/sheet_X.png)
![Y frames](report/sheet_Y.png)
![Clipped share of the frames of each domain](report/clipped.png)
![Test frames that look most like a training frame](report/leaks.png)

Made by `cli split`, which may replace every file that `split.json` lists. Files may be hard links
to the recordings: change a copy, not the file.
"""


def _looks(leaks: dict[str, Any]) -> str:
    """How much the test looks like training, in lines; empty if it was not measured."""
    looks = leaks.get("hash_bits", {})
    if not looks.get("frames"):
        return ""
    some = "a sample of " if looks["sampled"] else ""
    near = describe_near(leaks)
    return (
        f"- To the training frame that looks most like it, a test frame ({some}"
        f"{looks['frames']:,}) has {looks['min']:.0f} of 64 differing bits of the perceptual hash "
        f"at least and {looks['median']:.0f} in the middle; `report/leaks.png` shows the nearest, "
        '`split.json` says more under "leaks".\n'
    ) + (f"- {near}\n" if near else "")
