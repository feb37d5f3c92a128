"""The command line, run in this process."""

from __future__ import annotations

from click.testing import CliRunner

import cli


def run_cli(*words: str, code: int = 0) -> str:
    """What a command prints, both streams; it must end with this exit code."""
    done = CliRunner().invoke(cli.main, list(words), catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.output
