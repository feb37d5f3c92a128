"""Installed from its wheel, without extras, it records, labels, splits and restores.

Builds source distribution and wheel as they would be published, installs the wheel into an empty
environment (pip's cache may serve), and works there on a real screen, where there is no torch.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from helpers import ROOT
from helpers.painted import PaintedWindow
from helpers.processes import Process
from helpers.tiny_physical import over_expose, scene

from dataset.pictures.images import read_image, write_png

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="paints an X11 window"),
]
PUBLISHED = ("capture", "dataset", "model", "cli.py", "setup.cfg", "pyproject.toml", "README.md")
MOST_MB = 850  # of an environment without extras
BIN = "bin"


def run(*words: str | Path, cwd: Path, code: int = 0, limit: float = 120) -> str:
    """What a command of the environment prints; nothing of this process's Python reaches it."""
    kept = ("PATH", "HOME", "DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "TMPDIR", "LANG")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    done = subprocess.run(
        [str(each) for each in words], cwd=cwd, env=found, capture_output=True, text=True,
        timeout=limit,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    return said


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source distribution, and the wheel that was built of it alone."""
    source = tmp_path_factory.mktemp("source")
    for name in (*PUBLISHED, "LICENSE"):
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, source / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", cwd=source)
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    [path] = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("environment") / "venv"
    run(sys.executable, "-m", "venv", place, cwd=wheel.parent)
    run(place / BIN / "pip", "install", "--quiet", wheel, cwd=wheel.parent, limit=600)
    yield place / BIN
    shutil.rmtree(place)


def test_both_distributions_are_described_as_a_registry_wants_it(dist: Path) -> None:
    files = sorted(dist.iterdir())
    assert [each.suffix for each in files] == [".whl", ".gz"]
    said = run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=dist)
    assert said.count("PASSED") == 2


def test_the_wheel_holds_all_that_is_read_at_run_time(wheel: Path, dist: Path) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for room in ("capture", "dataset", "model")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        assert wanted | {"cli.py"} <= names
        assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
    assert wheel.stat().st_size < 10_000_000
    with tarfile.open(next(dist.glob("*.tar.gz"))) as opened:
        packed = {name.split("/", 1)[-1] for name in opened.getnames()}
    assert wanted <= packed


def test_it_is_light_and_an_extra_that_is_missing_is_named(
    environment: Path, tmp_path: Path
) -> None:
    for package in ("torch", "torchvision", "tensorboard", "panda3d", "onnx"):
        run(environment / "python", "-c", f"import {package}", cwd=tmp_path, code=1)
    packages = next(environment.parent.glob("lib/python*/site-packages"))
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())
    assert size < MOST_MB * 1e6
    assert "restore" in run(environment / "unclip", "--help", cwd=tmp_path)
    for command, extra in (("train", "train"), ("game", "game"), ("demo", "all")):
        said = run(environment / "unclip", command, cwd=tmp_path, code=2)
        assert f"pip install 'unclip[{extra}]'" in said
        assert "Traceback" not in said


def test_the_way_from_a_screen_to_a_restored_picture(
    environment: Path, display: str, tmp_path: Path
) -> None:
    unclip = environment / "unclip"
    with PaintedWindow("Painted", size=(96, 64)) as window:
        for number in range(4):
            label = "XY"[number % 2]
            picture = scene(5 + number // 2 * 2, 64, 96)
            window.paint(over_expose(picture, 3.0) if label == "Y" else picture)
            said = run(
                unclip, "capture", "--start", "--window", "Painted", "--label", label,
                "--session", f"{label}{number}", "--fps", "20", "--max-frames", "3", cwd=tmp_path,
            )  # fmt: skip
            assert "3 frames" in said
    run(unclip, "label", cwd=tmp_path)
    run(unclip, "split", "--fit", "--counts", "3,3,3,3", cwd=tmp_path)
    blown = next((tmp_path / "data" / "trainB").glob("*.png"))
    said = run(unclip, "restore", blown, "-o", "restored.png", cwd=tmp_path)
    assert "the built-in network restores" in said
    before, after = read_image(blown), read_image(tmp_path / "restored.png")
    assert after.shape == before.shape
    assert after.mean() < before.mean() - 5
    said = run(unclip, "evaluate", "--methods", "network,gamma", cwd=tmp_path)
    assert "built-in" in said


def test_the_page_restores(environment: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", over_expose(scene(5, 60, 90), 3.0))
    with served(environment, tmp_path) as address:
        place = urlsplit(address)
        assert place.hostname is not None
        connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        connection.request("GET", f"/?{place.query}")
        answer = connection.getresponse()
        cookie = str(answer.getheader("Set-Cookie")).split(";")[0]
        answer.read()  # which leads to the page itself
        connection.request("GET", "/", headers={"Cookie": cookie})
        assert b"restore.js" in connection.getresponse().read()
        origin = f"http://{place.hostname}:{place.port}"
        connection.request(
            "POST", "/restore?name=a.png", (tmp_path / "a.png").read_bytes(),
            {"Cookie": cookie, "Origin": origin},
        )  # fmt: skip
        body = connection.getresponse().read()
    assert b'"part": "result"' in body
    assert b'"state": "done"' in body
    assert b"failed" not in body


@contextmanager
def served(environment: Path, folder: Path) -> Iterator[str]:
    """The address of the page while it is served."""
    command = [str(environment / "unclip"), "restore", "--serve", "--no-browser"]
    with Process(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield found.group()
        finally:
            process.terminate()
            process.wait(20)


def test_restoring_loads_nothing_that_only_others_need(environment: Path, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.full((600, 800, 3), 255, np.uint8))
    code = """
import sys
from click.testing import CliRunner
import cli
done = CliRunner().invoke(cli.main, ["restore", "a.png"], catch_exceptions=False)
assert done.exit_code == 0, done.output
print([name for name in ("matplotlib", "flask", "skimage") if name in sys.modules])
"""
    assert run(environment / "python", "-c", code, cwd=tmp_path).strip() == "[]"
