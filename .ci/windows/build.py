"""Makes the bundle for Windows: one folder to unpack and start, without an installation of Python.

Run it by the Python of Windows that has this program's dependencies and PyInstaller:
``pip install . pyinstaller``. It installs nothing for others to see, and needs the network only for
what ``pip install`` builds with.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "windows"
LIMIT_S = 1800


def run(*words: str | Path, **environment: str) -> str:
    """Run a command; what it prints. Its errors are shown."""
    done = subprocess.run(
        [str(each) for each in words],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=LIMIT_S,
        check=True,
    )
    return done.stdout.decode("utf-8", "replace")


def build(out: Path) -> Path:
    """Make the bundle in a folder; its own folder there."""
    site = BUILD / "site"
    shutil.rmtree(site, ignore_errors=True)
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, ROOT)
    run(
        *(sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"),
        *("--distpath", out, "--workpath", BUILD / "work", HERE / "unclip.spec"),
        UNCLIP_SITE=str(site),
    )
    bundle = out / "unclip"
    for page in (ROOT / "LICENSE", *(ROOT / "docs").glob("windows*.md")):
        shutil.copy(page, bundle)
    return bundle


def describe(bundle: Path) -> str:
    """Its version, files and size; it is started for that."""
    said = run(bundle / "unclip.exe", "--version").strip()
    sizes = [path.stat().st_size for path in bundle.rglob("*") if path.is_file()]
    return f"{said}: {len(sizes)} files, {sum(sizes) / 1e6:.0f} MB: {bundle}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=BUILD, help="folder to write to")
    parser.add_argument("--zip", action="store_true", help="write unclip-windows.zip, too")
    options = parser.parse_args()
    if sys.platform != "win32":
        sys.exit("This is for the Python of Windows: py .ci\\windows\\build.py")
    if find_spec("PyInstaller") is None:
        sys.exit("PyInstaller is missing: pip install . pyinstaller")
    bundle = build(options.out)
    print(describe(bundle))
    if options.zip:
        print(
            shutil.make_archive(str(options.out / "unclip-windows"), "zip", options.out, "unclip")
        )


if __name__ == "__main__":
    main()
