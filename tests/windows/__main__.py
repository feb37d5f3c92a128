"""Sets up Windows' Python under Wine and runs tests by it: ``python -m windows [PYTEST OPTIONS]``.

Without options: the scripted session with what it typed and read, then every other test that can
run there.
"""

from __future__ import annotations

import sys
import time

from windows import wine

SESSION = "tests/windows"
PATIENCE_S = 7200.0
SESSION_OPTIONS = ["-s", "-p", "no:cacheprovider", SESSION]
TEST_OPTIONS = ["-n", "2", "--dist", "worksteal", "-p", "no:cacheprovider", "-rs", "tests",
                "--ignore", SESSION]  # fmt: skip


def main(options: list[str]) -> int:
    began = time.monotonic()
    with wine.desktop():
        wine.make()
        print(f"Windows' Python is ready after {time.monotonic() - began:.0f} s", flush=True)
        runs = [options] if options else [SESSION_OPTIONS, TEST_OPTIONS]
        return max([_pytest(each) for each in runs])


def _pytest(options: list[str]) -> int:
    """Run pytest there, and show what it prints as it comes; its exit code."""
    process = wine.start(wine.PYTHON, "-m", "pytest", *options, life_s=PATIENCE_S)
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
    return process.wait(timeout=60)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
