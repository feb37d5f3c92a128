"""What a folder holds beside what is taken of it: how many files of which kinds, and what to do.

Pictures are counted by format, however many formats there are; all other files by their suffix.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from dataset.pictures.dynamic_range import hdr_among
from dataset.pictures.formats import (
    HEAD,
    RAW,
    READ,
    VIDEO_SIGNATURES,
    VIDEOS,
    first_bytes,
    format_named,
    format_of,
)

MOST_SUFFIXES = 8  # that are named, of files that are no pictures
WITHOUT = "without a suffix"
ALIKE = (RAW, "JPEG-LS")  # may begin as TIFF and JPEG do


def left_out(paths: Iterable[Path]) -> str:
    """How many files of which kinds were left out, in words; empty if none."""
    counts = sorted(Counter(map(_kind, paths)).items(), key=lambda each: (-each[1], each[0]))
    pictures = [each for each in counts if not _is_suffix(each[0])]
    others = [each for each in counts if _is_suffix(each[0])]
    named = [f"{count:,} {kind}" for kind, count in pictures + others[:MOST_SUFFIXES]]
    more = sum(count for _, count in others[MOST_SUFFIXES:])
    return ", ".join([*named, *([f"{more:,} more"] if more else [])])


def advice_on(paths: Iterable[Path]) -> str:
    """What to do with some of them, as sentences, each after a space; empty if nothing special."""
    paths = list(paths)
    kinds = {_kind(path) for path in paths}
    found = {
        " Develop camera raws.": RAW in kinds,
        " Save PFM as OpenEXR: it may be HDR.": "PFM" in kinds,
        " Give each the suffix of its format, or name it by itself.": any(map(_is_misnamed, kinds)),
    }
    return "".join(told for told, is_so in found.items() if is_so) + hdr_among(paths)


def _kind(path: Path) -> str:
    """A format, if need be with how it is named; or a suffix."""
    head, suffix = first_bytes(path), path.suffix.lower()
    found, named = format_of(head[:HEAD]), format_named(suffix)
    if found is None and named is None and suffix not in VIDEOS:
        found = "video" if re.match(VIDEO_SIGNATURES, head, re.DOTALL) else None
    if found is None or named in ALIKE:
        return named or suffix or WITHOUT
    if found not in (*READ, "video") or suffix in READ.get(found, ()):
        return found
    return f"{found} named {suffix}" if suffix else f"{found} {WITHOUT}"


def _is_suffix(kind: str) -> bool:
    return kind == WITHOUT or kind.startswith(".")


def _is_misnamed(kind: str) -> bool:
    return not _is_suffix(kind) and (" named ." in kind or kind.endswith(WITHOUT))
