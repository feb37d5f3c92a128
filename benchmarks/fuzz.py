"""Every reader of what comes from outside, fed with good files that were damaged.

Each reader works in a process of its own, whose memory is limited. What it reads must be read, or
refused by a ``UserError``, ``ValueError`` or ``OSError``; anything else is a finding: another
exception, more than ten seconds, the end of the process. The input of a finding is kept. Exit code
1 where there is one. Readers: ``fuzz_readers.py`` and
``fuzz_doors.py``; how input is damaged: ``fuzz_mutations.py``. A few inputs of each are among the
tests: ``tests/test_fuzz.py``.

Example: python benchmarks/fuzz.py --seconds 600 --only picture --keep findings
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz_readers import READERS

from dataset.errors import UserError

MEMORY = 6 << 30  # bytes of address space; torch alone takes two
SLOW_S = 10.0
HANGS_S = 60.0  # then the process is ended
MAKING_S = 300.0  # for good files to begin with
MOST_KEPT = 3  # inputs of one kind of finding


class Found:
    """What one process has seen so far, line by line on its output."""

    def __init__(self, name: str, keep: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._name, self._keep = name, keep
        self._kinds: Counter[str] = Counter()

    def finding(self, kind: str, data: bytes) -> None:
        self.counts["findings"] += 1
        self._kinds[kind] += 1
        if self._kinds[kind] <= MOST_KEPT:
            path = self._keep / f"{self._name}-{self.counts['findings']}.bin"
            path.write_bytes(data)
            print(f"!{kind} -> {path}", flush=True)

    def report(self) -> None:
        print("=" + " ".join(f"{key}:{value}" for key, value in self.counts.items()), flush=True)


def kind_of(error: BaseException) -> str:
    """An exception and the place in our own code that let it pass, in one line."""
    ours = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if re.search(r"/(capture|dataset|model)/.*\.py$", each.filename)
    ]
    place = f" at {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}: {re.sub(r'[^ -~]', '?', str(error))[:90]}{place}"


def work(name: str, seconds: float, seed: int, keep: Path) -> None:
    """What a child does: damage, read, count; until its time is over."""
    import resource

    faulthandler.dump_traceback_later(MAKING_S, exit=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        seeds, mutate, read = READERS[name](Path(folder))
        for each in seeds:
            attempt(read, each)  # and loads whatever is needed
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        warnings.simplefilter("ignore")
        chance, found = random.Random(f"{name} {seed}"), Found(name, keep)
        last, end = keep / f"{name}-last.bin", time.monotonic() + seconds
        print("+", flush=True)
        while time.monotonic() < end:
            data = mutate(chance, seeds)
            last.write_bytes(data)
            found.counts["inputs"] += 1
            faulthandler.dump_traceback_later(HANGS_S, exit=True)
            begin = time.monotonic()
            outcome = attempt(read, data)
            faulthandler.cancel_dump_traceback_later()
            if time.monotonic() - begin > SLOW_S:
                outcome = f"{time.monotonic() - begin:.0f} s"
            if outcome in ("read", "refused"):
                found.counts[outcome] += 1
            else:
                found.finding(outcome, data)
            if found.counts["inputs"] % 50 == 0:
                found.report()
        found.report()
        last.unlink()
        sys.stdout.flush()
        os._exit(0)  # no thread of a reader is waited for


def attempt(read: Callable[[bytes], object], data: bytes) -> str:
    """``read``, ``refused``, or what is wrong."""
    try:
        read(data)
    except (UserError, ValueError, OSError):
        return "refused"
    except Exception as error:
        return kind_of(error)
    return "read"


def feed(name: str, seconds: float, seed: int, keep: Path) -> tuple[Counter[str], list[str]]:
    """Run a reader in processes of its own until its time is over; counts and findings."""
    counts: Counter[str] = Counter()
    findings: list[str] = []
    end = time.monotonic() + seconds
    for turn in range(100):
        left = end - time.monotonic()
        if left < 1 and turn:
            break
        begin = time.monotonic()
        told, code, said = _child(name, left, seed + 1000 * turn, keep)
        # Making the reader takes a while of its own: that is no time of feeding.
        ready = next((at for at, text in told if text == "+"), None)
        end += (ready or time.monotonic()) - begin
        reports = [text[1:] for _, text in told if text[:1] == "="]
        for part in (reports or [""])[-1].split():
            key, _, value = part.partition(":")
            counts[key] += int(value)
        findings += [text[1:] for _, text in told if text[:1] == "!"]
        if code != 0:
            last = keep / f"{name}-last.bin"
            kept = keep / f"{name}-crash-{turn}.bin"
            if last.exists():
                last.replace(kept)
            counts["findings"] += 1
            findings.append(f"the process ended with {code}: {said[-200:]!r} -> {kept}")
            if ready is None:
                break
    return counts, findings


def _child(
    name: str, seconds: float, seed: int, keep: Path
) -> tuple[list[tuple[float, str]], int, str]:
    command = [sys.executable, __file__, "--child", name, "--seconds", str(seconds)]
    told: list[tuple[float, str]] = []
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as folder,  # the child cannot tidy up
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [*command, "--seed", str(seed), "--keep", str(keep)],
            env={**os.environ, "TMPDIR": folder},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for each in process.stdout:
            told.append((time.monotonic(), each.strip()))
        code = process.wait()
        errors.seek(0)
        return told, code, errors.read().decode(errors="replace")


def main() -> int:
    """Feed the readers that were asked for; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each reader")
    parser.add_argument("--only", default="", help="one of: " + ", ".join(READERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None, help="folder for inputs of findings")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    keep = asked.keep or Path(tempfile.mkdtemp(prefix="unclip-fuzz-"))
    keep.mkdir(parents=True, exist_ok=True)
    if asked.child:
        work(asked.child, asked.seconds, asked.seed, keep)
    names = [each for each in READERS if not asked.only or each in asked.only.split(",")]
    print(f"{'reader':16}{'inputs':>9}{'read':>9}{'refused':>9}{'findings':>9}", flush=True)
    total: Counter[str] = Counter()
    for name in names:
        counts, findings = feed(name, asked.seconds, asked.seed, keep)
        total += counts
        columns = "".join(f"{counts[key]:9}" for key in ("inputs", "read", "refused", "findings"))
        print(f"{name:16}{columns}", flush=True)
        for each in findings:
            print(f"    {each}", flush=True)
    print(f"{total['inputs']} inputs, {total['findings']} findings, kept in {keep}")
    return int(total["findings"] > 0)


if __name__ == "__main__":
    sys.exit(main())
