"""Where a bundle starts: `unclip.exe`, `unclip-record.exe`, and the processes that they start.

A bundle has no python.exe, so these programs take its ``-m MODULE`` for modules of our own
(`dataset/own_program.py`).
"""

import multiprocessing
import runpy
import sys
from pathlib import Path

MODULES = (  # what starts as a process of its own
    "capture.control.daemon",
    "capture.game",
    "dataset.pictures.jpegxr_decoder",
)


def start() -> None:
    """Run what the command line says."""
    if sys.argv[1:2] == ["-m"] and sys.argv[2:3] and sys.argv[2] in MODULES:
        module = sys.argv[2]
        del sys.argv[1:3]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    import cli

    if Path(sys.executable).stem.lower().startswith("unclip-record"):
        sys.argv[1:1] = cli.record_words()
    cli.main()


if __name__ == "__main__":
    multiprocessing.freeze_support()  # a library's process starts this program again
    start()
