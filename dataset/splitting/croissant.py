"""Croissant metadata of a data set: what its files are, for programs. A pure function.

References
----------
MLCommons: Croissant Format Specification, version 1.0, 2024.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from dataset.pictures.formats import format_for, media_type
from dataset.splitting.plan import SIDES

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(folders: Sequence[str], suffixes: Sequence[str], counts: Sequence[int]) -> str:
    """``croissant.json`` of a data set.

    Parameters
    ----------
    folders : sequence of str
        Of training X, Y, test X, Y, relative to the file.
    suffixes : sequence of str
        Of the pictures, ``.png`` and the like.
    counts : sequence of int
        Pictures in each folder.

    Returns
    -------
    str
        JSON-LD: for each folder a set of files, and a set of records of a picture and its name.
    """
    values = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "over-exposed-frames",
        "description": "Frames of games, not over-exposed (X) and over-exposed (Y), in training "
        "and test, for image-to-image translation between two unpaired domains.",
        "distribution": [
            _file_set(folder, suffixes, f"{side}: {count} pictures")
            for folder, side, count in zip(folders, SIDES, counts, strict=True)
        ],
        "recordSet": [
            _record_set(folder, side) for folder, side in zip(folders, SIDES, strict=True)
        ],
    }
    return json.dumps(values, indent=1) + "\n"


def _identifier(folder: str) -> str:
    return folder.replace("/", "-")


def _file_set(folder: str, suffixes: Sequence[str], description: str) -> dict[str, object]:
    formats = {name for each in suffixes if (name := format_for(each))}
    kinds = sorted(map(media_type, formats))
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{_identifier(folder)}",
        "name": f"files-{_identifier(folder)}",
        "description": description,
        "encodingFormat": kinds[0] if len(kinds) == 1 else kinds,
        "includes": [f"{folder}/*{each}" for each in suffixes],
    }


def _record_set(folder: str, side: str) -> dict[str, object]:
    name = _identifier(folder)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{side}: each picture with its file name.",
        "field": [
            _field(name, "image", "sc:ImageObject", "content"),
            _field(name, "file", "sc:Text", "filename"),
        ],
    }


def _field(records: str, name: str, kind: str, extracted: str) -> dict[str, object]:
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{name}",
        "name": name,
        "description": {"image": "The picture.", "file": "Name of its file."}[name],
        "dataType": kind,
        "source": {
            "fileSet": {"@id": f"files-{records}"},
            "extract": {"fileProperty": extracted},
        },
    }
