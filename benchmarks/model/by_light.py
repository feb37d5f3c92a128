"""`cli restore` on HDR shots of the embedded game, by their own light: ΔE2000 to its pictures.

References, both the game's own: the picture under the weak sun, which has other light, not only
less of it; and the shot's own light, developed as the game does at the exposure that clips specks
only. Beside it stand the over-exposed picture, which is the same light cut off at white, and the
built-in network, which sees only that. "matched" moves ``--exposure`` until the median luminance is
that of the reference, so that what is left are colours and the curve.

    python benchmarks/model/by_light.py --viewpoints 20 --pictures looked
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from capture.game.pairs import HdrRenderer, Renderer
from capture.game.viewpoints import over_exposed_light, reference_light
from dataset.pictures.exposing import develop, exposures
from dataset.pictures.hdr_writing import encode_exr, encode_jpeg_xr
from dataset.pictures.images import Image, write_png
from dataset.pictures.light import Light
from dataset.pictures.montage import side_by_side
from dataset.pictures.pixels import to_image, to_pixels
from dataset.pictures.tone import LUMINANCE
from model.metrics import colour_difference, regions
from model.options import RestoreOptions
from model.restoring.by_light import open_by_light
from model.restoring.methods import open_method

FILES = {"OpenEXR": encode_exr, "JPEG XR": encode_jpeg_xr}
REFERENCES = ("weak sun", "own light")
SEED = 5  # of the game's world
HALVINGS = 10  # of 8 stops

Make = Callable[[float], Image]  # exposure in stops -> picture


def main() -> None:
    arguments = parse_arguments()
    rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
    network = open_method(RestoreOptions(run="builtin", device="cpu"))
    for number, light, references in shots(arguments.viewpoints, tuple(arguments.size)):
        over = develop(light, 0.0)
        makes = {f"{kind}{end}": make for kind in FILES for end, make in ways(kind, light).items()}
        fixed = {"over-exposed": over, "built-in network": to_image(network(to_pixels(over)))}
        fixed |= {name: make(0.0) for name, make in makes.items()}
        inside, _ = regions(over)
        for which, reference in references.items():
            pictures = dict(fixed)
            pictures |= {f"{name}, matched": matched(makes[name], reference) for name in makes}
            for name, picture in pictures.items():
                error = colour_difference(picture, reference)
                found = (float(error.mean()), float(error[inside].mean()))
                rows.setdefault((which, name), []).append(found)
            if arguments.pictures:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                panels = [*pictures.items(), ("reference", reference)]
                path = arguments.pictures / f"{number:03d}_{which.replace(' ', '_')}.png"
                write_png(path, side_by_side(panels))
    print(f"{arguments.viewpoints} shots, mean ΔE2000 of all pixels / of those that had clipped")
    for (which, name), all_found in rows.items():
        whole, inside_error = np.nanmean(all_found, axis=0)
        print(f"{which:9}  {name:28}{whole:6.1f}{inside_error:6.1f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--viewpoints", type=int, default=20)
    add("--size", type=int, nargs=2, default=(320, 240))
    add("--pictures", type=Path, help="folder for what is compared")
    return parser.parse_args()


def shots(viewpoints: int, size: tuple[int, int]) -> Iterator[tuple[int, Light, dict[str, Image]]]:
    """Each viewpoint's number, light and references."""
    suns = [over_exposed_light(SEED, number) for number in range(viewpoints)]
    with HdrRenderer(size) as renderer:
        lights = [renderer.render(SEED, number, sun) for number, sun in enumerate(suns)]
    with Renderer(size) as camera:
        weak = [camera.render(SEED, n, reference_light(sun)) for n, sun in enumerate(suns)]
    for number, light in enumerate(lights):
        own = develop(light, exposures(light, 2)[0])
        yield number, light, dict(zip(REFERENCES, (weak[number], own), strict=True))


def ways(kind: str, light: Light) -> dict[str, Make]:
    """As `cli restore` develops a file by default, and cut off at white at any exposure."""
    data = FILES[kind](light)

    def make(options: RestoreOptions) -> Make:
        def at(stops: float) -> Image:
            shot = open_by_light(data, kind, replace(options, exposure=stops))
            assert shot is not None
            return to_image(shot.restore(shot.picture.pixels))

        return at

    return {"": make(RestoreOptions()), ", --tone clip": make(RestoreOptions(tone="clip"))}


def matched(make: Make, reference: Image) -> Image:
    """At the exposure at which the median luminance is the reference's."""
    wanted, low, high = luminance(reference), -8.0, 8.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if luminance(make(middle)) < wanted else (low, middle)
    return make((low + high) / 2)


def luminance(picture: Image) -> float:
    return float(np.median(picture.astype(np.float32) @ LUMINANCE))


if __name__ == "__main__":
    main()
