"""Ways to damage a file, for ``fuzz.py``: bytes, JSON, tables, and files with a header of JSON.

Measures nothing by itself.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

Mutate = Callable[[random.Random, Sequence[bytes]], bytes]

EDGES = [0, 1, 0x20, 0x22, 0x7F, 0x80, 0xFE, 0xFF]
WORDS = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0"]
DEEP = 30_000
ODD: list[Any] = [  # JSON that is well-formed and means nothing good
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**40, 0.5, -0.0, 1e308),
    *(
        "",
        " ",
        "..",
        "../../x",
        "/etc/passwd",
        "/dev/zero",
        "a\0b",
        "\ud800",
        "\x1b[2J",
        "a" * 5000,
    ),
    *([], {}, [[]], [None], {"": None}, ["a", 1], "NaN", "Infinity", "1e999", "é" * 2000, "%s%n"),
]
CELLS = [
    "",
    "nan",
    "inf",
    "-1",
    "1e999",
    "9" * 400,
    "0x10",
    "\u0661",
    "a\0b",
    '"',
    "'",
    "\x1b[0m",
    ",",
    "X",
]


def mutate_bytes(random: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A few bytes changed, put in, taken out, said twice, cut off, or taken from another file."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 4, 12, 40))):
        at = random.randrange(len(data) + 1)
        # What stands at the front decides about all that follows.
        at = min(at, random.randrange(1, 300)) if random.random() < 0.4 else at
        data = _changed(random, data, at, seeds)
    return bytes(data)


def _changed(random: random.Random, data: bytearray, at: int, seeds: Sequence[bytes]) -> bytearray:
    way = random.randrange(9)
    length = random.choice((1, 2, 4, 8, 30, 200))
    if way <= 2 and at < len(data):
        data[at] = random.choice(EDGES) if way else data[at] ^ 1 << random.randrange(8)
    elif way == 3:
        data[at : at + 4] = random.choice(WORDS)
    elif way == 4:
        del data[at : at + length]
    elif way == 5:
        data[at:at] = data[at : at + length] * random.choice((1, 1, 3, 50))
    elif way == 6:
        data[at:at] = random.randbytes(length)
    elif way == 7:
        other = random.choice(seeds)
        begin = random.randrange(len(other) + 1)
        data[at : at + length] = other[begin : begin + length]
    elif random.random() < 0.3:
        del data[at:]
    return data


def mutate_json(random: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A value of one JSON document in the place of another; sometimes bytes as well."""
    if random.random() < 0.3:
        return mutate_bytes(random, seeds)
    value = json.loads(random.choice(seeds))
    for _ in range(random.choice((1, 1, 2, 5))):
        value = _other(random, value)
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    if random.random() < 0.03:
        text = text.replace("null", '{"a":' * DEEP + "0" + "}" * DEEP, 1)
    data = text.encode(errors="surrogatepass")
    return mutate_bytes(random, [data]) if random.random() < 0.2 else data


def _other(random: random.Random, value: Any) -> Any:
    """The document with something odd in one place."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        way = random.random()
        if way < 0.1:
            return {name: each for name, each in value.items() if name != key}
        if way < 0.15:
            return value | {random.choice(("", "file", "__class__", "a" * 300)): random.choice(ODD)}
        return value | {key: _other(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.9:
        at, way = random.randrange(len(value)), random.random()
        if way < 0.1:
            return value[:at] + value[at + 1 :]
        if way < 0.15:
            return value * random.choice((0, 2, 30))
        return [*value[:at], _other(random, value[at]), *value[at + 1 :]]
    return random.choice(ODD)


def mutate_lines(random: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Lines of JSON: one of them odd, or bytes of all."""
    if random.random() < 0.3:
        return mutate_bytes(random, seeds)
    lines = random.choice(seeds).splitlines()
    at = random.randrange(len(lines))
    way = random.random()
    if way < 0.7:
        lines[at] = mutate_json(random, [lines[at]])
    elif way < 0.8:
        lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
    elif way < 0.9:
        lines.insert(at, random.choice(lines))
    else:
        random.shuffle(lines)
    return b"\n".join(lines) + random.choice((b"\n", b"\n", b"", b"\n\n", b"\r\n"))


def mutate_table(random: random.Random, seeds: Sequence[bytes]) -> bytes:
    """CSV: other cells, columns and rows, or bytes."""
    if random.random() < 0.4:
        return mutate_bytes(random, seeds)
    rows = list(csv.reader(io.StringIO(random.choice(seeds).decode())))
    for _ in range(random.choice((1, 1, 3))):
        row = random.choice(rows)
        at = random.randrange(len(row)) if row else 0
        way = random.random()
        if way < 0.7 and row:
            row[at] = random.choice(CELLS)
        elif way < 0.8:
            row.insert(at, random.choice(CELLS))
        elif way < 0.9 and row:
            del row[at]
        else:
            rows.insert(random.randrange(len(rows)), list(random.choice(rows)))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    data = text.getvalue().encode(errors="replace")
    if random.random() < 0.02:
        data = data.replace(b",", b',"' + b"x" * 200_000, 1)
    return data


def mutate_headed(random: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A safetensors file: 8 bytes say how long its header is, which is JSON."""
    data = random.choice(seeds)
    if random.random() < 0.3:
        return mutate_bytes(random, seeds)
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    header = mutate_json(random, [header])
    if random.random() < 0.1:
        length = random.choice((0, 1, 2**31, 2**63, 10**8, len(data)))
    else:
        length = len(header)
    return length.to_bytes(8, "little") + header + rest
