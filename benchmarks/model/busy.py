"""Seconds of a training step on the CPU, alone and beside a busy program, by how long threads spin.

libgomp's threads wait for each other by spinning (``GOMP_SPINCOUNT``) before they sleep. Where
another program holds a core, they spin in vain. Each row is a process of its own.

    python benchmarks/model/busy.py --spins 1000 default
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

STEPS = 6  # the first warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spins", nargs="+", default=["0", "1000", "10000", "default"])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(f"{mean_step():.3f}")
        return
    print(f"{'spins':>10}{'alone, s':>12}{'busy, s':>12}")
    for spins in arguments.spins:
        alone = measure(spins)
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            busy = measure(spins)
        finally:
            other.kill()
            other.wait()
        print(f"{spins:>10}{alone:>12}{busy:>12}", flush=True)


def measure(spins: str) -> str:
    """Seconds of a step in a process whose threads spin so often; "default": as libgomp has it."""
    environment = {key: each for key, each in os.environ.items() if key != "GOMP_SPINCOUNT"}
    # The package leaves the waiting of threads alone where a policy is set.
    environment |= {"OMP_WAIT_POLICY": ""} if spins == "default" else {"GOMP_SPINCOUNT": spins}
    command = [sys.executable, __file__, "--measure"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def mean_step() -> float:
    """Mean seconds of a few steps of preset physical."""
    import torch

    from model.options import physical_preset
    from model.physical import Physical

    options = physical_preset()
    model = Physical(options, torch.device("cpu"))
    model.match_gains(0.9)
    frames = torch.rand(options.batch_size, 3, options.size, options.size) * 2 - 1
    times = []
    for _ in range(STEPS):
        begin = time.perf_counter()
        model.train_step(frames, frames)
        times.append(time.perf_counter() - begin)
    return sum(times[1:]) / len(times[1:])


if __name__ == "__main__":
    main()
