"""Sets up Windows' Python under Wine and runs something by it.

``python -m windows`` runs the scripted session, showing what is typed and read, then every other
test that can run there; ``python -m windows tests/dataset -x`` runs pytest with these words, and
``python -m windows some/script.py`` that script.
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
        if options and options[0].endswith(".py") and not options[0].startswith("tests"):
            return _show(*options)
        runs = [options] if options else [SESSION_OPTIONS, TEST_OPTIONS]
        return max([_show("-m", "pytest", *each) for each in runs])


def _show(*words: str) -> int:
    """Run Windows' Python, and show what it prints as it comes; its exit code."""
    process = wine.start(wine.PYTHON, *words, life_s=PATIENCE_S)
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
    return process.wait(timeout=60)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
