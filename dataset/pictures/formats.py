"""The formats of pictures and videos: one list for import, restore, evaluate and the pages.

A file's format is recognized by its first bytes, never by its name. Decodes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from dataset.errors import UserError
from dataset.gate import open_regular

SUFFIXES = {  # of the picture formats that are read and written; the first is the usual one
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jfif", ".jpe"),
    "WebP": (".webp",),
    "TIFF": (".tiff", ".tif"),
    "BMP": (".bmp",),
}
READ_ONLY = {  # of those that are read, by packages of the extra hdr, and not written
    "AVIF": (".avif",),
    "HEIC": (".heic", ".heif", ".hif"),
    "JPEG XL": (".jxl",),
}
READ = SUFFIXES | READ_ONLY  # as SDR; that they may be HDR is in hdr.py
WRITTEN = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
PICTURES = tuple(suffix for suffixes in READ.values() for suffix in suffixes)
HDR_ONLY = (".jxr", ".wdp", ".hdp", ".exr", ".sxr", ".hdr", ".rgbe", ".xyze", ".pic")
HDR_PICTURES = HDR_ONLY + tuple(suffix for all_ in READ_ONLY.values() for suffix in all_)
VIDEOS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".flv", ".m4v", ".ts", ".m2ts", ".mts")
WRITTEN_VIDEOS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}  # FFmpeg's names

RAW = "camera raw"
SIGNATURES = {  # how files begin, also of formats that are not read
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG-LS": rb"\xff\xd8\xff\xf7",
    "JPEG": rb"\xff\xd8\xff",
    "WebP": rb"RIFF....WEBP",
    RAW: (
        rb"II\*\0....CR|....ftypcrx |FUJIFILMCCD-RAW|II(RO|RS|U\0)|MMOR|FOVb|\0MRM"
        rb"|II\x1a\0\0\0HEAP"
    ),
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "GIF": rb"GIF8",
    "AVIF": rb"....ftypavi[fs]",
    "HEIC": rb"....ftyp(hei|hev|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|....JXL ",
    "JPEG XR": rb"II\xbc[\0\1]",
    "JPEG 2000": rb"....jP  |\xff\x4f\xff\x51",
    "OpenEXR": rb"v/1\x01",
    "Radiance HDR": rb"#\?R(ADIANCE|GBE)",
    "Photoshop": rb"8BPS",
    "PDF": rb"%PDF",
    "PostScript": rb"%!PS|\xc5\xd0\xd3\xc6",
    "GIMP": rb"gimp xcf",
    "DDS": rb"DDS \x7c",
    "KTX": rb"\xabKTX ",
    "QOI": rb"qoif",
    "SGI": rb"\x01\xda[\0\1][\1\2]",
    "Sun raster": rb"\x59\xa6\x6a\x95",
    "FITS": rb"SIMPLE  =",
    "farbfeld": rb"farbfeld",
    "DPX": rb"SDPX|XPDS",
    "Cineon": rb"\x80\x2a\x5f\xd7|\xd7\x5f\x2a\x80",
    "PFM": rb"P[FfHh]4?\s[\s\d]",
    "Netpbm": rb"P[1-7]\s[\s\d#W]",
    "XPM": rb"/\* XPM",
    "ICO": rb"\0\0[\1\2]\0[^\0]\0",
    "ICNS": rb"icns",
    "BPG": rb"BPG\xfb",
    "FLIF": rb"FLIF",
    "MNG": rb"[\x8a\x8b][MJ]NG",
    "DjVu": rb"AT&TFORM",
    "Windows Media": rb"\x30\x26\xb2\x75",
    "Ogg": rb"OggS",
    "MPEG": rb"\0\0\x01[\xb3\xba]",
    "YUV4MPEG": rb"YUV4MPEG2",
    "BMP": rb"BM....\0\0\0\0",  # a length, then two reserved numbers
}
OTHER_SUFFIXES = {  # of formats that are not read, and that first bytes say nothing of
    RAW: (
        *(".dng", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".pef", ".srw", ".3fr", ".fff", ".iiq"),
        *(".cr2", ".cr3", ".crw", ".raf", ".orf", ".rw2", ".rwl", ".x3f", ".mrw", ".erf", ".kdc"),
        *(".dcr", ".mef", ".mos", ".gpr"),
    ),
    "SVG": (".svg", ".svgz"),
    "Photoshop": (".psd", ".psb"),
    "JPEG-LS": (".jls",),
    "Krita": (".kra", ".krz"),
    "OpenRaster": (".ora",),
    "TGA": (".tga", ".targa", ".icb", ".vda", ".vst"),
    "PCX": (".pcx", ".dcx"),
    "XBM": (".xbm",),
    "Windows metafile": (".wmf", ".emf"),
    "DICOM": (".dcm",),
    "ILBM": (".iff", ".lbm", ".ilbm"),
    "Lottie": (".lottie",),
    "GIF": (".gif",),
    "JPEG 2000": (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc", ".jph", ".jhc"),
    "DDS": (".dds",),
    "KTX": (".ktx", ".ktx2"),
    "Netpbm": (".pnm", ".pbm", ".pgm", ".ppm", ".pam"),
    "PFM": (".pfm", ".phm"),
    "ICO": (".ico", ".cur"),
    "PDF": (".pdf", ".ai"),
    "PostScript": (".eps", ".ps"),
}
REMEDIES = {  # of formats that are not read; of all others: convert it to PNG
    RAW: "Develop it, with its camera's program, darktable or RawTherapee: save it as TIFF or PNG",
    "PFM": "It may be HDR: save it as OpenEXR",
    "DDS": "Save it as PNG, or as OpenEXR if it is HDR",
    "KTX": "Save it as PNG, or as OpenEXR if it is HDR",
    **dict.fromkeys(
        ("Windows Media", "Ogg", "MPEG", "YUV4MPEG"), "If it is a video, convert it to MP4"
    ),
}
VIDEO_SIGNATURES = (  # of what `VIDEOS` stand for, unless it is a picture
    rb"\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|....(ftyp|moov|mdat|wide|free|skip)"
    rb"|(....)?G.{187}(....)?G"  # of MPEG transport streams, each packet of 188 bytes
)
HEAD = 16  # first bytes, enough to recognize a format
VIDEO_HEAD = 512
MOST_VIDEO = 1 << 50  # bytes: no limit, as a video is read piece by piece


def format_of(head: bytes) -> str | None:
    """The format of a file by its first `HEAD` bytes: a key of `SIGNATURES`; None: no picture.

    Examples
    --------
    >>> format_of(b"GIF89a")
    'GIF'
    """
    found = (name for name, pattern in SIGNATURES.items() if re.match(pattern, head, re.DOTALL))
    return next(found, None)


def readable_format(head: bytes, name: str | Path) -> str:
    """The format of a file by its first `HEAD` bytes: a key of `READ`.

    Raises
    ------
    UserError
        It is of another format, or no picture. ``name`` is what the message calls the file.
    """
    found = format_of(head)
    if found in READ:
        return found
    raise not_read(name, found or (format_named(Path(name).suffix) if head else None), bool(head))


def not_read(name: str | Path, kind: str | None, holds_any: bool = True) -> UserError:
    """What is said of a file of no readable format: a key of `SIGNATURES`, or of no known one."""
    what = f"is {kind}" if kind else "is not a picture" if holds_any else "is empty (0 bytes)"
    usual = f"Readable are {', '.join(READ)}: convert it to PNG"
    usual += ", or to MP4 if it moves" if kind == "GIF" else ""
    return UserError(
        f"{name} {what}.", 1, remedy=f"{REMEDIES.get(kind or '', usual)}, or leave it out."
    )


def format_named(suffix: str) -> str | None:
    """The format that is not read for which a suffix stands, in any case.

    Examples
    --------
    >>> format_named(".TGA")
    'TGA'
    """
    return next((name for name, all_ in OTHER_SUFFIXES.items() if suffix.lower() in all_), None)


def format_for(suffix: str) -> str | None:
    """The picture format that a suffix stands for, in any case; None: none that is written.

    Examples
    --------
    >>> format_for(".JPG")
    'JPEG'
    """
    return next((name for name, all_ in SUFFIXES.items() if suffix.lower() in all_), None)


def media_type(name: str) -> str:
    """The MIME type of a key of `SUFFIXES`.

    Examples
    --------
    >>> media_type("WebP")
    'image/webp'
    """
    return f"image/{name.lower()}"


def is_video(path: Path) -> bool:
    """Whether a file is a video: by its first bytes, or its suffix where those say nothing."""
    head = first_bytes(path)
    if format_of(head) is not None:
        return False
    if re.match(VIDEO_SIGNATURES, head, re.DOTALL):
        return True
    return path.suffix.lower() in VIDEOS


def first_bytes(path: Path) -> bytes:
    """The first `VIDEO_HEAD` bytes; none of a file that cannot be read, which shows later."""
    try:
        with open_regular(path, MOST_VIDEO) as file:
            return file.read(VIDEO_HEAD)
    except OSError:
        return b""


def is_readable(path: Path) -> bool:
    """Whether a file found in a folder is a picture or a video by its suffix.

    TypeScript has a suffix of MPEG transport streams: such files are looked into.
    """
    suffix = path.suffix.lower()
    return suffix in PICTURES + VIDEOS and not (suffix == ".ts" and _is_typescript(path))


def _is_typescript(path: Path) -> bool:
    """Whether a ``.ts`` lacks the first byte of an MPEG transport stream."""
    return first_bytes(path)[:1] not in (b"G", b"")
