"""``python -m capture.game``: the game on its own. ``cli game`` is the same with click."""

from __future__ import annotations

import argparse
import sys

from capture.game.options import GameOptions
from dataset.errors import UserError


def _size(words: str) -> tuple[int, int]:
    width, height = words.lower().split("x")
    return int(width), int(height)


def parse(arguments: list[str] | None = None) -> GameOptions:
    """Options from command line words."""
    start = GameOptions()
    parser = argparse.ArgumentParser(prog="python -m capture.game", description=__doc__)
    parser.add_argument("--size", type=_size, default=start.size, metavar="WxH")
    parser.add_argument("--seed", type=int, default=start.seed)
    parser.add_argument("--autopilot", action="store_true")
    parser.add_argument("--hold-s", type=float, default=start.hold_s)
    parser.add_argument("--hud", action="store_true")
    parser.add_argument("--remote", action="store_true")
    parser.add_argument("--title", default=start.title)
    parser.add_argument("--duration-s", type=float, default=start.duration_s)
    return GameOptions(**vars(parser.parse_args(arguments)))


def main() -> int:
    """Play; 0, or a UserError's exit code with its message on stderr."""
    options = parse()
    from capture.game.app import run_game  # here, so that --help does not load the engine

    try:
        run_game(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
