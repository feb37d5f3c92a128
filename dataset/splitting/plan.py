"""Which frames go to training and which to the test: exact counts, whole groups, seeded.

Numbers only: no files. Groups are chosen for the test until it has enough of both domains; then
the test is thinned to its counts, training frames too near to it are set aside, and training is
thinned to its counts.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.options import SplitOptions
from dataset.splitting.groups import Neighbours

SIDES = ("training X", "training Y", "test X", "test Y")
SideCounts = tuple[int, int, int, int]  # in this order

# The choice of groups is a greedy guess at a knapsack: a few seeded guesses and the first that
# fits cost little; more hardly ever find what these did not.
ATTEMPTS = 12


@dataclass(frozen=True)
class Pool:
    """The frames that may be used, as arrays over the frames."""

    domain: NDArray[np.int64]  # (N,) 0 for X, 1 for Y
    group: NDArray[np.int64]  # (N,) from 0 without holes
    neighbours: Neighbours
    reference: NDArray[np.int64]  # (N,) of a Y frame the X frame that shows the truth; or -1

    def totals(self) -> tuple[int, int]:
        x, y = np.bincount(self.domain, minlength=2).tolist()
        return x, y


@dataclass(frozen=True)
class Plan:
    """Chosen frames as positions in the pool, in order; and what is missing."""

    train: list[int]
    test: list[int]
    counts: SideCounts  # training X, Y, test X, Y that this plan holds
    missing: SideCounts  # wanted minus held; all zero for a complete plan
    too_near: int  # frames set aside because of the guard

    @property
    def complete(self) -> bool:
        return not any(self.missing)


def plan_split(pool: Pool, counts: SideCounts, options: SplitOptions) -> Plan:
    """Choose exactly `counts` frames with no group on both sides.

    Parameters
    ----------
    pool : Pool
    counts : tuple of int
        Training X, Y, test X, Y.
    options : SplitOptions
        `seed` and `guard_s` are used.

    Returns
    -------
    Plan
        The first complete one of a few seeded attempts, else the one that misses least.
    """
    best: Plan | None = None
    held = pool.totals()
    hopeless = any(counts[at] + counts[at + 2] > held[at] for at in (0, 1))
    for attempt in range(1 if hopeless else ATTEMPTS):
        plan = _attempt(pool, counts, options, np.random.default_rng([options.seed, attempt]))
        if plan.complete:
            return plan
        if best is None or sum(plan.missing) < sum(best.missing):
            best = plan
    assert best is not None
    return best


def plan_largest(pool: Pool, counts: SideCounts, options: SplitOptions) -> Plan | None:
    """The largest plan in the proportions of `counts`, at most those; None if even 1 each fails."""
    most, best = max(counts), None
    low, high = 0, most
    while low < high:
        step = (low + high + 1) // 2
        plan = plan_split(pool, scale_counts(counts, step, most), options)
        if plan.complete:
            low, best = step, plan
        else:
            high = step - 1
    return best


def scale_counts(counts: SideCounts, part: int, whole: int) -> SideCounts:
    """`counts` times part / whole, rounded down, but 1 at least where anything was wanted.

    Examples
    --------
    >>> scale_counts((3864, 3520, 1212, 780), 1, 100)
    (38, 35, 12, 7)
    """
    a, b, c, d = (max(1, each * part // whole) if each else 0 for each in counts)
    return a, b, c, d


def _attempt(
    pool: Pool, counts: SideCounts, options: SplitOptions, random: np.random.Generator
) -> Plan:
    in_test = _choose_groups(pool, counts, random)[pool.group]
    test = _thin_test(pool, in_test, counts[2:], random)
    mask = np.zeros(len(pool.domain), np.bool_)
    mask[test] = True
    near = ~in_test & (pool.neighbours.seconds_to(mask) < options.guard_s)
    train: list[int] = []
    for domain in (0, 1):
        left = np.flatnonzero(~in_test & ~near & (pool.domain == domain))
        train += random.permutation(left)[: counts[domain]].tolist()
    held = _count(pool, train) + _count(pool, test)
    a, b, c, d = (want - have for want, have in zip(counts, held, strict=True))
    return Plan(sorted(train), sorted(test), held, (a, b, c, d), int(near.sum()))


def _count(pool: Pool, chosen: list[int]) -> tuple[int, int]:
    x, y = np.bincount(pool.domain[chosen], minlength=2).tolist() if chosen else (0, 0)
    return x, y


def _choose_groups(
    pool: Pool, counts: SideCounts, random: np.random.Generator
) -> NDArray[np.bool_]:
    """(groups,): the groups of the test, which reach its counts if possible."""
    groups = int(pool.group.max()) + 1
    sizes = np.bincount(2 * pool.group + pool.domain, minlength=2 * groups).reshape(groups, 2)
    order = random.permutation(len(sizes))
    chosen = np.zeros(len(sizes), np.bool_)
    lack_x, lack_y = counts[2:]
    for group, (x, y) in zip(order.tolist(), sizes[order].tolist(), strict=True):
        if x + y and x <= lack_x and y <= lack_y:
            chosen[group] = True
            lack_x, lack_y = lack_x - x, lack_y - y
    lack = np.array([lack_x, lack_y])
    # What no group fills exactly: the one that helps most and costs training least.
    wanted = np.array(counts[:2]) + np.array(counts[2:])
    price = np.minimum(wanted / np.maximum(sizes.sum(axis=0), 1), 1.0)
    while (lack > 0).any():
        gain = np.minimum(sizes, np.maximum(lack, 0))
        score = gain.sum(axis=1) - ((sizes - gain) * price).sum(axis=1)
        score[chosen | (gain.sum(axis=1) == 0)] = -np.inf
        best = order[int(np.argmax(score[order]))]
        if score[best] == -np.inf:
            break
        chosen[best] = True
        lack -= sizes[best]
    return chosen


def _thin_test(
    pool: Pool,
    in_test: NDArray[np.bool_],
    counts: tuple[int, int],
    random: np.random.Generator,
) -> list[int]:
    """Exactly the wanted counts if there are enough frames, those of true pairs first."""
    paired = np.flatnonzero(in_test & (pool.reference >= 0))
    # One frame of each viewpoint before the second of any: pairs of many scenes say more.
    ranked: list[tuple[int, int]] = []
    seen: dict[int, int] = defaultdict(int)
    for at in random.permutation(paired).tolist():
        clear_one = int(pool.reference[at])
        ranked.append((seen[clear_one], at))
        seen[clear_one] += 1
    over = [at for _, at in sorted(ranked, key=lambda each: each[0])][: counts[1]]
    clear = list(dict.fromkeys(pool.reference[over].tolist()))[: counts[0]]
    return _fill(pool, in_test, clear, 0, counts[0], random) + _fill(
        pool, in_test, over, 1, counts[1], random
    )


def _fill(
    pool: Pool,
    in_test: NDArray[np.bool_],
    first: list[int],
    domain: int,
    count: int,
    random: np.random.Generator,
) -> list[int]:
    """The first ones, then others of the domain at random, up to the count."""
    free = in_test & (pool.domain == domain)
    free[first] = False
    rest = np.flatnonzero(free)
    more: list[int] = random.permutation(rest)[: count - len(first)].tolist()
    return first + more
