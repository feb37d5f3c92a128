"""Loads triton, which torch brings and loads late, before software OpenGL draws in this process.

Both have an LLVM: the other way round the process ends with a segmentation fault. The program
itself never draws and trains in one process.
"""

from __future__ import annotations

from contextlib import suppress

with suppress(ImportError):  # not on every system
    import triton._C.libtriton  # noqa: F401
