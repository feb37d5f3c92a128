"""Known holes of the packages that are installed beside this Python, by pip-audit.

Ends with 1 where there is one. Where no service can be asked, this is said and ends with 0: a
machine without a network is no fault of the code. Example: `make audit`.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

AUDIT = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
SERVICES = ([], ["--vulnerability-service", "osv"])  # what is asked first, what else
LIMIT_S = 600
Packages = list[dict[str, Any]]


def ask(service: list[str]) -> tuple[Packages, str]:
    """What a service knows of each package; none, and why, where it cannot be reached."""
    try:
        done = subprocess.run(
            [*AUDIT, *service], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"no answer within {LIMIT_S} s"
    try:
        packages: Packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return [], (done.stderr.strip().splitlines() or ["no answer"])[-1]
    # A mirror of the index installs packages, and knows nothing of their holes.
    known = any("skip_reason" not in each for each in packages)
    return (packages, "") if known else ([], "it knows none of the packages")


def report(packages: Packages) -> bool:
    """Print what is known; whether there is a hole."""
    unknown = [each for each in packages if "skip_reason" in each]
    for each in unknown:
        print(f"not checked: {each['name']}: {each['skip_reason']}")
    holes = [(each, hole) for each in packages for hole in each.get("vulns", [])]
    for each, hole in holes:
        mended = ", ".join(hole["fix_versions"]) or "no release"
        names = " ".join([hole["id"], *hole.get("aliases", [])])
        print(f"{each['name']} {each['version']}: {names}, mended in {mended}")
    print(f"{len(holes)} known holes in {len(packages) - len(unknown)} packages")
    return bool(holes)


def main() -> int:
    if importlib.util.find_spec("pip_audit") is None:
        print("pip-audit is missing. Install with: pip install -e '.[dev]'", file=sys.stderr)
        return 2
    reasons = []
    for service in SERVICES:
        packages, reason = ask(service)
        if packages:
            return int(report(packages))
        reasons.append(reason)
    print("NOT CHECKED for known holes: no service could be asked from here.")
    for reason in reasons:
        print(f"    {reason}")
    print("This says nothing about the packages. Run `make audit` where there is a network.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
