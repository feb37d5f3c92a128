"""Pictures that say that they are HDR, in every way that files have of saying so."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from dataset.pictures.png import chunk, encode_samples
from tests.helpers.made_pictures import SRGB, saved, scene, tiff

PQ, HLG = 16, 18  # code points of ITU-T H.273
BT2020 = 9
HDRGM = b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
ULTRA_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="1" ' + HDRGM + b"/>"
    b'<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" Item:Length="9"/>'
    b"</rdf:li></x:xmpmeta>"
)


def png_with(kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk, before its pixels."""
    plain = saved(scene(), "PNG")
    return plain[:33] + chunk(kind, content) + plain[33:]


def hdr_png(curve: int = PQ, deep: bool = False) -> bytes:
    """A PNG whose cICP says BT.2020 and a curve."""
    picture = scene(3, np.uint16 if deep else np.uint8)
    plain = encode_samples(picture)
    return plain[:33] + chunk(b"cICP", bytes([BT2020, curve, 0, 1])) + plain[33:]


def profile(curve: int | None = None, name: str = "a display") -> bytes:
    """An ICC profile with a name, and with a cicp tag if there is a curve."""
    parts = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name.encode() + bytes(91)
    }
    if curve is not None:
        parts[b"cicp"] = b"cicp\0\0\0\0" + bytes([BT2020, curve, 0, 1])
    at, table, body = 132 + 12 * len(parts), b"", b""
    for tag, content in parts.items():
        table += struct.pack(">4sII", tag, at + len(body), len(content))
        body += content
    head = bytearray(SRGB[:128])
    head[:4] = struct.pack(">I", at + len(body))
    return bytes(head) + struct.pack(">I", len(parts)) + table + body


def hdr_bmp(icc: bytes) -> bytes:
    """A BMP of version 5 with a profile."""
    pixels = scene()[::-1, :, ::-1].tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, 36, 24, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    head += bytes(16) + struct.pack("<I", 0x4D424544)  # "MBED", after four masks
    head += bytes(112 - len(head)) + struct.pack("<III", 124 + len(pixels), len(icc), 0)
    return struct.pack("<2sIII", b"BM", 138 + len(pixels) + len(icc), 0, 138) + head + pixels + icc


def boxes(brand: bytes, curve: int) -> bytes:
    """The beginning of an AVIF or HEIF file whose colour box states a curve."""
    kinds = b"\0\0\0\x13colrnclx" + struct.pack(">HHHB", BT2020, curve, 9, 0x80)
    return b"\0\0\0\x1cftyp" + brand + bytes(12) + kinds


HDR_PICTURES = {
    "png, PQ": (hdr_png(PQ), "PQ"),
    "png, HLG": (hdr_png(HLG), "HLG"),
    "png of 16 bits, PQ": (hdr_png(PQ, deep=True), "PQ"),
    "png of 16 bits, HLG": (hdr_png(HLG, deep=True), "HLG"),
    "png, profile": (png_with(b"iCCP", b"x\0\0" + zlib.compress(profile(PQ))), "PQ"),
    "png, profile by name": (
        png_with(b"iCCP", b"x\0\0" + zlib.compress(profile(name="ITUR_2100_PQ_FULL"))),
        "PQ",
    ),
    "jpeg, profile": (saved(scene(), "JPEG", icc_profile=profile(HLG)), "HLG"),
    "jpeg, name": (saved(scene(), "JPEG", icc_profile=profile(name="Rec2020 HLG")), "HLG"),
    "webp, profile": (saved(scene(), "WEBP", icc_profile=profile(PQ)), "PQ"),
    "tiff, profile": (saved(scene(), "TIFF", icc_profile=profile(PQ)), "PQ"),
    "tiff, floats": (tiff(scene().astype(np.float32), photometric="rgb"), "floating-point light"),
    "tiff, half floats": (
        tiff(scene(1).astype(np.float16), photometric="minisblack"),
        "floating-point light",
    ),
    "bmp, profile": (hdr_bmp(profile(PQ)), "PQ"),
    "avif": (boxes(b"avif", PQ), "PQ"),
    "heic": (boxes(b"heic", HLG), "HLG"),
    "jpeg xr": (b"II\xbc\x01 \0\0\0" + bytes(64), "JPEG XR"),
    "exr": (b"v/1\x01\x02\0\0\0" + bytes(64), "OpenEXR"),
    "radiance": (b"#?RADIANCE\n\n-Y 4 +X 4\n", "Radiance HDR"),
}
SDR_PICTURES = {
    "sRGB in cICP": png_with(b"cICP", bytes([1, 13, 0, 1])),
    "BT.2020 without HDR": png_with(b"cICP", bytes([BT2020, 14, 0, 1])),
    "cICP of sRGB beside a profile that names PQ": png_with(
        b"iCCP", b"x\0\0" + zlib.compress(SRGB)
    ),
    "an sRGB profile": saved(scene(), "JPEG", icc_profile=SRGB),
    "a profile with a like name": saved(scene(), "WEBP", icc_profile=profile(name="APQ 27")),
    "a damaged profile": saved(scene(), "JPEG", icc_profile=b"x" * 200),
}


def _with_segment(marker: int, content: bytes, more: bytes = b"") -> bytes:
    plain = saved(scene(), "JPEG")
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content
    return plain[:2] + segment + plain[2:] + more


def _apple() -> bytes:
    file = io.BytesIO()
    small = Image.fromarray(scene(1)[::2, ::2])
    Image.fromarray(scene()).save(file, "MPO", save_all=True, append_images=[small])
    return file.getvalue() + b"<x HDRGainMap:HDRGainMapVersion='65536'/>"


GAIN_MAPS = {
    "Ultra HDR": _with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + ULTRA_XMP),
    "ISO 21496-1": _with_segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"),
    "Apple": _apple(),
}
