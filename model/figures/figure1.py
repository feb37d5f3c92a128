"""Figure 1: from the game to the two domains, and the training cycle with its loss terms.

Shows pictures of the user's own data set. Pictures in, one picture out; no files here.
G: X -> Y and F: Y -> X. D_Y judges G(x) beside real y, D_X judges F(y) beside real x. The numbers
of the equations are the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from dataset.pictures.images import Image, resize_area
from dataset.pictures.montage import middle_square
from model.figures.curves import BLUE, DPI, GREY, INK, ORANGE, new_figure, render

FIGURE_WIDTH, FIGURE_HEIGHT = (
    1710,
    1120,
)  # pixels; all points below count from the upper left
SIDE, SMALL = 190, 110  # of a picture of the cycle, and of a real one next to D
COLUMNS = (770, 1125, 1480)  # left edges: x, G(x), F(G(x)) over y, F(y), G(F(y))
TOP, BOTTOM = 140, 760  # upper edges of the two rows
JUDGES = (410, 570)  # of D_Y and D_X between them
TINTS = {BLUE: "#eaf3fa", ORANGE: "#fcefe6"}

Point = tuple[float, float]

EQUATION_1 = (
    r"$\mathcal{L}(G, F, D_X, D_Y) = \mathcal{L}_{GAN}(G, D_Y, X, Y)"
    r" + \mathcal{L}_{GAN}(F, D_X, Y, X) + \lambda\,\mathcal{L}_{cycle}(G, F)$     (1)"
)
EQUATION_2 = (
    r"$\mathcal{L}_{GAN}(G, D_Y, X, Y) = \mathbb{E}_{y}[\log D_Y(y)]$",
    r"$+\ \mathbb{E}_{x}[\log(1 - D_Y(G(x)))]$     (2)",
)
EQUATION_3 = (
    r"$\mathcal{L}_{GAN}(F, D_X, Y, X) = \mathbb{E}_{x}[\log D_X(x)]$",
    r"$+\ \mathbb{E}_{y}[\log(1 - D_X(F(y)))]$     (3)",
)
EQUATION_4 = (
    r"$\mathcal{L}_{cycle}$, first half:  $\mathbb{E}_{x}[\Vert F(G(x)) - x\Vert_1]$     (4)",
    r"$\mathcal{L}_{cycle}$, second half:  $\mathbb{E}_{y}[\Vert G(F(y)) - y\Vert_1]$     (4)",
)


@dataclass(frozen=True)
class Cycle:
    """A frame, its translation, and the translation back: RGB uint8 (H, W, 3) each."""

    start: Image
    made: Image
    back: Image


def figure1(
    x_frames: Sequence[Image],
    y_frames: Sequence[Image],
    x_cycle: Cycle,
    y_cycle: Cycle,
    counts: tuple[int, int],
) -> Image:
    """Draw Figure 1.

    Parameters
    ----------
    x_frames, y_frames : sequence of (H, W, 3) uint8
        Frames of each domain, at least one; three are shown.
    x_cycle : Cycle
        x, G(x), F(G(x)).
    y_cycle : Cycle
        y, F(y), G(F(y)).
    counts : (int, int)
        Training frames of X and of Y.

    Returns
    -------
    uint8 array, (1120, 1710, 3)
        RGB.
    """
    figure = new_figure(FIGURE_WIDTH / DPI, FIGURE_HEIGHT / DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, FIGURE_WIDTH)
    axes.set_ylim(FIGURE_HEIGHT, 0)
    axes.axis("off")
    canvas = Canvas(axes)
    _draw_capture(canvas, x_frames[0], y_frames[0])
    _draw_domain(canvas, TOP, "X", "not over-exposed", x_frames, counts[0], BLUE)
    _draw_domain(canvas, BOTTOM, "Y", "over-exposed", y_frames, counts[1], ORANGE)
    _draw_cycle(canvas, TOP, x_cycle, ("$x$", "$G(x)$", "$F(G(x))$"), "GF")
    _draw_cycle(canvas, BOTTOM, y_cycle, ("$y$", "$F(y)$", "$G(F(y))$"), "FG")
    _draw_judge(canvas, JUDGES[0], "Y", y_frames[-1], EQUATION_2)
    _draw_judge(canvas, JUDGES[1], "X", x_frames[-1], EQUATION_3)
    canvas.text(EQUATION_1, (1220, 1082), 17)
    return render(figure)


class Canvas:
    """Draws pictures, text, boxes and arrows at pixel coordinates."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes

    def picture(self, image: Image, left: float, top: float, side: int, colour: str) -> None:
        """The centre square of a picture, framed."""
        square = resize_area(middle_square(image), (side, side))
        extent = (left, left + side, top + side, top)
        self.axes.imshow(square, extent=extent, interpolation="antialiased", zorder=2)
        self.axes.set_xlim(0, FIGURE_WIDTH)  # imshow changes what the axes show
        self.axes.set_ylim(FIGURE_HEIGHT, 0)
        edge = Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=2.5)
        edge.set_zorder(2)
        self.axes.add_patch(edge)

    def text(
        self, words: str, place: Point, size: float, colour: str = INK, align: str = "center"
    ) -> None:
        """Text centred on a point, or to the right of it."""
        self.axes.text(
            *place,
            words,
            fontsize=size,
            color=colour,
            ha="left" if align == "left" else "center",
            va="center",
            math_fontfamily="stix",
            family="DejaVu Sans",
            zorder=4,
        )

    def box(self, left: float, top: float, width: float, height: float, colour: str) -> None:
        """A rounded box, tinted."""
        self.axes.add_patch(
            FancyBboxPatch(
                (left, top),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=18",
                facecolor=TINTS.get(colour, "#f4f4f4"),
                edgecolor=colour,
                linewidth=1.6,
                zorder=1,
            )
        )

    def arrow(
        self, start: Point, end: Point, colour: str = INK, bend: float = 0.0, style: str = "-|>"
    ) -> None:
        """An arrow, curved unless ``bend`` is 0; dashed if it has two heads."""
        self.axes.add_patch(
            FancyArrowPatch(
                start,
                end,
                arrowstyle=f"{style},head_length=7,head_width=3.5",
                connectionstyle=f"arc3,rad={bend}",
                color=colour,
                linewidth=1.8,
                linestyle="--" if style == "<|-|>" else "-",
                shrinkA=0,
                shrinkB=0,
                mutation_scale=1.4,
                zorder=3,
            )
        )


def _draw_capture(canvas: Canvas, weak: Image, strong: Image) -> None:
    """The game, a frame under each light, and the arrows to the two domains."""
    canvas.box(36, 355, 316, 380, GREY)
    canvas.text("Game with a movable light", (194, 388), 13)
    _draw_sun(canvas, (194, 462))
    for left, frame in ((62, weak), (200, strong)):
        canvas.picture(frame, left, 512, 126, GREY)
    canvas.text("frames are recorded", (194, 672), 11)
    canvas.text("and labelled $X$ or $Y$", (194, 702), 11)
    canvas.arrow((194, 355), (384, 265), BLUE, -0.35)
    canvas.arrow((194, 735), (384, 860), ORANGE, 0.35)


def _draw_sun(canvas: Canvas, centre: Point) -> None:
    """A weak sun, a strong one, and an arrow between them."""
    x, y = centre
    for offset, radius, colour in ((-90, 14, "#e8c15a"), (90, 24, "#f5a400")):
        canvas.axes.add_patch(Circle((x + offset, y), radius, color=colour, zorder=2))
    canvas.arrow((x - 62, y), (x + 52, y), GREY, -0.3, "<|-|>")


def _draw_domain(
    canvas: Canvas,
    row: float,
    name: str,
    meaning: str,
    frames: Sequence[Image],
    count: int,
    colour: str,
) -> None:
    """Frames of one domain, fanned out in a box, with an arrow to the first of its row."""
    top = row - 50
    canvas.box(386, top, 316, 300, colour)
    canvas.text(f"Domain ${name}$: {meaning}", (544, top + 28), 13, colour)
    shown = list(frames[:3])
    for at, frame in enumerate(shown):
        canvas.picture(frame, 410 + 60 * at, top + 54 + 22 * at, 150, "white")
    canvas.text(f"{count:,} training frames", (544, top + 276), 11, INK)
    canvas.arrow((702, row + SIDE / 2), (COLUMNS[0] - 4, row + SIDE / 2), colour)


def _draw_cycle(
    canvas: Canvas, row: float, cycle: Cycle, names: Sequence[str], generators: str
) -> None:
    """Three pictures of a row, the generators between them, and the bracket of the cycle loss."""
    colours = (BLUE, ORANGE, BLUE) if generators == "GF" else (ORANGE, BLUE, ORANGE)
    above = row == TOP
    for left, image, name, colour in zip(
        COLUMNS, (cycle.start, cycle.made, cycle.back), names, colours, strict=True
    ):
        canvas.picture(image, left, row, SIDE, colour)
        canvas.text(name, (left + SIDE / 2, row + SIDE + 22 if above else row - 22), 17, colour)
    for left, end, letter, colour in zip(
        COLUMNS, COLUMNS[1:], generators, colours[1:], strict=False
    ):
        _draw_generator(canvas, left + SIDE, end, row + SIDE / 2, letter, colour)
    edge, bend = (row - 8, -0.13) if above else (row + SIDE + 8, 0.13)
    ends = (COLUMNS[0] + SIDE / 2, edge), (COLUMNS[2] + SIDE / 2, edge)
    canvas.arrow(*ends, INK, bend, "<|-|>")
    canvas.text(EQUATION_4[not above], (1220, row - 78 if above else row + SIDE + 78), 16)


def _draw_generator(
    canvas: Canvas, left: float, right: float, middle: float, letter: str, colour: str
) -> None:
    """A generator between two pictures, in the colour of its target domain."""
    centre = (left + right) / 2
    canvas.box(centre - 38, middle - 34, 76, 68, colour)
    canvas.text(f"${letter}$", (centre, middle), 22, colour)
    canvas.arrow((left + 4, middle), (centre - 40, middle), colour)
    canvas.arrow((centre + 40, middle), (right - 4, middle), colour)


def _draw_judge(
    canvas: Canvas, top: float, domain: str, real: Image, equation: Sequence[str]
) -> None:
    """A discriminator, a real frame next to it, what it judges, and its equation."""
    colour, letter = (ORANGE, "y") if domain == "Y" else (BLUE, "x")
    centre, middle = COLUMNS[1] + SIDE / 2, top + SMALL / 2
    canvas.picture(real, COLUMNS[0] + SIDE - SMALL, top, SMALL, colour)
    canvas.text(f"real ${letter}$", (COLUMNS[0] + 36, middle), 14, colour)
    canvas.box(centre - 46, middle - 34, 92, 68, colour)
    canvas.text(f"$D_{domain}$", (centre, middle), 21, colour)
    canvas.arrow((COLUMNS[0] + SIDE + 4, middle), (centre - 48, middle), colour)
    if domain == "Y":
        canvas.arrow((centre, TOP + SIDE + 42), (centre, middle - 36), colour)
    else:
        canvas.arrow((centre, BOTTOM - 42), (centre, middle + 36), colour)
    for line, words in enumerate(equation):
        canvas.text(words, (centre + 70, middle - 17 + 36 * line), 14.5, INK, "left")
