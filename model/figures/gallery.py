"""A page around the figures of one run: one file that can be sent to somebody.

Pictures are put into the page itself; it needs no network, no script and no file beside it.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from dataset.gate import MOST_PICTURE, read_regular
from model.figures.page_folder import mark_of

MARK = mark_of("figures")
HEADINGS = {
    "figure1.png": (
        "Figure 1: from the game to the training cycle",
        "G: X → Y adds over-exposure, F: Y → X restores. D_Y judges G(x) beside real y, D_X "
        "judges F(y) beside real x. The cycle is closed both ways.",
    ),
    "figure2.png": (
        "Figure 2: over-exposed inputs and what was made of them",
        "Test frames (training frames where there is no test), evenly spaced over the list.",
    ),
    "figure3.png": (
        "Figure 3: one input over the epochs",
        "Left to right: the input, then F after so many epochs; at the end the newest, if later.",
    ),
    "losses.png": (
        "The training in curves",
        "Faint: as logged. Thick: the moving average. A discriminator near 0 for long has won, "
        "one at the dotted line cannot tell.",
    ),
    "table1.md": ("Table 1: frames per domain", "Beside those of the paper."),
}


def render_gallery(out: Path, made: Sequence[str], missing: Mapping[str, str], run: str) -> str:
    """The page's HTML.

    Parameters
    ----------
    out : Path
        The folder with the files.
    made : sequence of str
        Names of the files in it, PNG or a Markdown table.
    missing : mapping
        File that could not be made -> why.
    run : str
        The run's name.
    """
    sections = []
    for name in made:
        heading, caption = HEADINGS[name]
        shown = _picture(out / name, heading) if name.endswith(".png") else _table(out / name)
        sections.append(
            f"<h2>{html.escape(heading)}</h2>\n<figure>{shown}\n"
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    for name, reason in missing.items():
        sections.append(
            f"<h2>{html.escape(HEADINGS[name][0])}</h2>\n<p>Not made. {html.escape(reason)}</p>"
        )
    return PAGE.substitute(mark=MARK, run=html.escape(run), sections="\n".join(sections))


def _picture(path: Path, meaning: str) -> str:
    data = base64.b64encode(read_regular(path, MOST_PICTURE)).decode()
    return f'<img alt="{html.escape(meaning)}" src="data:image/png;base64,{data}">'


def _table(path: Path) -> str:
    """A Markdown table as HTML: the first line is the head, the second the rule."""
    lines = read_regular(path, MOST_PICTURE).decode().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    body = (
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows[2:]
    )
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(body) + "\n</table>"


PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
$mark
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>unclip: figures of $run</title>
<style>
body { font: 16px/1.55 system-ui, sans-serif; max-width: 1200px; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
h1 { font-weight: 650; } h2 { margin-top: 2.4rem; font-size: 1.15rem; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem; text-align: right;
       border-bottom: 1px solid #ddd; } th:first-child, td:first-child { text-align: left; }
figure { margin: 0 0 1rem; } figcaption { color: #555; }
</style></head><body>
<h1>Figures of $run</h1>
<p>X: not over-exposed. Y: over-exposed.</p>
$sections
</body></html>
""")
