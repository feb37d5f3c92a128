"""A small file of every picture format there is, and what each command is to do with it.

Formats that nothing here writes have their first bytes only: they are known by these.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.helpers import made_light, made_modern
from tests.helpers.made_hdr import HLG, PQ, profile
from tests.helpers.made_pictures import saved, scene, tiff
from tests.helpers.made_videos import EVEN, film

READ = "read"
LIGHT = scene().astype(np.float32) / 64
NITS = made_light.chart(800)[::8, ::8]


@dataclass(frozen=True)
class Each:
    """A file, and what becomes of it: `READ`, ``counted: KIND``, or ``named: WORDS``."""

    name: str
    what: str
    data: bytes
    restore: str
    imports: str
    expose: str


def sdr(name: str, what: str, data: bytes) -> Each:
    """An SDR picture that is read."""
    return Each(name, what, data, READ, READ, "left out")


def hdr(name: str, what: str, data: bytes, counted: str = "") -> Each:
    """An HDR picture that is read; `cli import` counts what has no suffix of its own."""
    imports = f"counted: {counted}" if counted else "named: is an HDR picture"
    return Each(name, what, data, READ, imports, READ)


def other(name: str, what: str, data: bytes, kind: str) -> Each:
    """A file that is counted by its kind."""
    return Each(name, what, data, f"counted: {kind}", f"counted: {kind}", f"counted: {kind}")


def refused(name: str, what: str, data: bytes, words: str) -> Each:
    """A file whose suffix is one of a picture's, and that is named with a reason."""
    return Each(name, what, data, f"named: {words}", f"named: {words}", "left out")


def refused_hdr(name: str, what: str, data: bytes, words: str, imports: str) -> Each:
    """HDR that is named with a reason."""
    return Each(name, what, data, f"named: {words}", imports, f"named: {words}")


def every_format() -> Iterator[Each]:
    """Without what a package is missing for."""
    for make in (
        _usual,
        _odd_usual,
        _tiffs,
        _hdr,
        _modern,
        _gain_maps,
        _older,
        _raws,
        _drawn,
        _names,
        _no_pictures,
        _other_videos,
    ):
        yield from make()


def _picture(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(scene()).convert(mode)


def _usual() -> Iterator[Each]:
    two = {"save_all": True, "append_images": [_picture().rotate(180)]}
    yield sdr("8.png", "PNG", saved(scene(), "PNG"))
    yield sdr("16.png", "PNG, 16 bits", tiff_as_png())
    yield sdr("palette.png", "PNG, palette", saved(_picture().quantize(16), "PNG"))
    yield refused("moving.png", "APNG", saved(_picture(), "PNG", **two), "2 frames of an animation")
    yield other(
        "moving.apng", "APNG named .apng", saved(_picture(), "PNG", **two), "PNG named .apng"
    )
    for mode in ("L", "RGB", "CMYK"):
        yield sdr(f"{mode}.jpg", f"JPEG, {mode}", saved(_picture(mode), "JPEG"))
    yield sdr("lossy.webp", "WebP", saved(scene(), "WEBP"))
    yield sdr("lossless.webp", "WebP, lossless", saved(scene(), "WEBP", lossless=True))
    moving = saved(_picture(), "WEBP", **two)
    yield refused("moving.webp", "WebP, animated", moving, "2 frames of an animation")
    yield sdr("24.bmp", "BMP", saved(scene(), "BMP"))
    yield sdr("runs.bmp", "BMP, RLE", run_length_bmp())
    yield other("a.dib", "BMP named .dib", saved(scene(), "BMP"), "BMP named .dib")


def _odd_usual() -> Iterator[Each]:
    pair = saved(_picture(), "MPO", save_all=True, append_images=[_picture()])
    yield sdr("phone.jpg", "JPEG with a second picture", pair)
    yield other("stereo.mpo", "MPO", pair, "JPEG named .mpo")
    yield other("stereo.jps", "JPS", saved(scene(), "JPEG"), "JPEG named .jps")
    extended = saved(scene(), "JPEG")
    box = b"JP\0\1\0\0\0\1" + struct.pack(">I4s", 16, b"SPEC") + bytes(8)
    segment = struct.pack(">BBH", 0xFF, 0xEB, len(box) + 2) + box
    yield sdr("extended.jpg", "JPEG XT: its SDR picture", extended[:2] + segment + extended[2:])
    yield Each(
        "gains.jpg",
        "JPEG with a gain map",
        made_light.gain_map_jpeg(made_light.chart(800)),
        *(READ, READ, READ),
    )


def _gain_maps() -> Iterator[Each]:
    from tests.helpers.made_gain_maps import MAKERS

    files = {"Apple": "apple.heic", "HEIC": "iso.heic", "AVIF": "iso.avif", "JPEG XL": "iso.jxl"}
    for form, name in files.items():
        data = MAKERS[form](made_light.chart(800))
        yield Each(name, f"gain map, {form}", data, *(READ, READ, READ))


def tiff_as_png() -> bytes:
    from dataset.pictures.png import encode_samples

    return bytes(encode_samples(scene(3, np.uint16)))


def run_length_bmp() -> bytes:
    """8x8 pixels of 8 bits in runs."""
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    pixels = b"".join(bytes([8, 30 * row, 0, 0]) for row in range(8)) + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    at = 14 + len(head) + len(palette)
    return struct.pack("<2sIII", b"BM", at + len(pixels), 0, at) + head + palette + pixels


def _tiffs() -> Iterator[Each]:
    rgb = {"photometric": "rgb"}
    yield sdr("8.tif", "TIFF", tiff(scene(), **rgb))
    yield sdr("16.tif", "TIFF, 16 bits", tiff(scene(3, np.uint16), **rgb))
    yield sdr("big.tiff", "BigTIFF", tiff(scene(), bigtiff=True, **rgb))
    yield sdr("motorola.tif", "TIFF, big endian", tiff(scene(3, np.uint16), byteorder=">", **rgb))
    yield sdr("inks.tif", "TIFF, CMYK", saved(_picture("CMYK"), "TIFF"))
    order = tiff(scene(), bigtiff=True, byteorder=">", **rgb)
    yield refused("big motorola.tif", "BigTIFF, big endian", order, "BigTIFF in big-endian order")
    lab = saved(_picture("LAB"), "TIFF")
    yield refused("lab.tif", "TIFF, Lab", lab, "its colours are LAB")
    whole = tiff(scene(3, np.int32).astype(np.uint32), **rgb)
    yield refused("32.tif", "TIFF, 32-bit integers", whole, "cannot be decoded")
    pages = saved(_picture(), "TIFF", save_all=True, append_images=[_picture()])
    yield refused("pages.tif", "TIFF, 2 pages", pages, "holds 2 pages")
    for kind in (np.float16, np.float32, np.float64):
        data = tiff(LIGHT.astype(kind), **rgb)
        yield hdr(f"{kind.__name__}.tif", f"TIFF, {kind.__name__}", data)
    luv = bytearray(tiff(LIGHT, **rgb))
    at = luv.index(struct.pack("<HHI", 262, 3, 1)) + 8
    luv[at : at + 2] = struct.pack("<H", 32845)
    named = "named: is an HDR picture"
    yield refused_hdr("logluv.tif", "TIFF, LogLuv", bytes(luv), "LogLuv", named)


def _hdr() -> Iterator[Each]:
    """Of codecs that come with the extra hdr, and of ours."""
    light = NITS / 203
    yield hdr("pq.png", "PNG, PQ", made_light.png(NITS, PQ, 16))
    yield hdr("hlg.png", "PNG, HLG", made_light.png(NITS, HLG, 8))
    yield hdr("pq.jpg", "JPEG, PQ by its profile", saved(scene(), "JPEG", icc_profile=profile(PQ)))
    yield hdr("pq.webp", "WebP, PQ", saved(scene(), "WEBP", icc_profile=profile(PQ)))
    radiance = "Radiance HDR"
    for gain, suffix in enumerate((".hdr", ".pic", ".rgbe"), start=1):  # each is another picture
        yield hdr(f"a{suffix}", f"Radiance, {suffix}", made_light.radiance(gain * light), radiance)
    yield hdr("xyze.hdr", "Radiance, XYZE", made_light.radiance(light, b"xyze"), radiance)
    for gain, suffix in enumerate((".exr", ".sxr"), start=1):
        data = made_light.exr({"RGB": (gain * light).astype(np.float16)})
        yield hdr(f"a{suffix}", f"OpenEXR, {suffix}", data, "OpenEXR")
    kinds = {".jxr": np.float16, ".wdp": np.float32, ".HDP": np.float16}
    for gain, (suffix, kind) in enumerate(kinds.items(), start=1):
        data = made_light.jpeg_xr(gain * NITS / 80, kind)
        yield hdr(f"a{suffix}", f"JPEG XR, {kind.__name__}, {suffix}", data, "JPEG XR")
    for curve, name in ((PQ, "PQ"), (HLG, "HLG")):
        yield hdr(f"{name}.avif", f"AVIF, {name}", made_light.avif(NITS, curve, 10))
    yield hdr("pq.heic", "HEIC, PQ", made_light.heif(NITS, PQ))
    yield hdr("hlg.hif", "HEIF, HLG, .hif", made_light.heif(NITS, HLG))
    yield hdr("pq.jxl", "JPEG XL, PQ", made_light.jpeg_xl(NITS, PQ, 16))
    linear = made_light.jpeg_xl(NITS, made_light.LINEAR, 32)
    yield hdr("linear.jxl", "JPEG XL, linear", linear)
    cut = made_light.radiance(light)[:90]
    yield refused_hdr("cut.hdr", "Radiance, cut off", cut, "ends too early", f"counted: {radiance}")


def _modern() -> Iterator[Each]:
    """SDR of codecs whose HDR is read."""
    codecs = made_light.codecs()
    picture = scene()
    deep = made_modern.levels(bits=10)
    yield sdr("sdr.avif", "AVIF, SDR", bytes(codecs.avif_encode(picture)))
    yield sdr("deep.avif", "AVIF, SDR, 10 bits", made_modern.avif(deep, 10))
    yield sdr("grey.avif", "AVIF, SDR, grey", made_modern.avif(made_modern.levels(1)))
    frames = np.stack([picture, picture[::-1]])
    moving = "2 frames of an animation"
    yield refused("moving.avif", "AVIF, a sequence", bytes(codecs.avif_encode(frames)), moving)
    for suffix, channels in ((".heic", 3), (".heif", 4), (".HIF", 1)):
        data = made_modern.heif(made_modern.levels(channels))
        yield sdr(f"sdr{suffix}", f"HEIC, SDR, {suffix}, {channels} channels", data)
    yield sdr("really a heic.jpg", "HEIC named .jpg", made_modern.heif(picture[::-1].copy()))
    yield other("a.heics", "HEIC named .heics", made_modern.heif(deep, 10), "HEIC named .heics")
    for name, how in (("codestream", {}), ("container", {"usecontainer": True})):
        data = bytes(codecs.jpegxl_encode(picture[::-1].copy(), **how))
        yield sdr(f"{name}.jxl", f"JPEG XL, SDR, {name}", data)
    jpeg = bytes(codecs.jpegxl_encode_jpeg(saved(picture, "JPEG"), usecontainer=True))
    yield sdr("jpeg.jxl", "JPEG XL of a JPEG", jpeg)
    several = "several frames of an animation"
    data = bytes(codecs.jpegxl_encode(frames))
    yield refused("moving.jxl", "JPEG XL, animated", data, several)
    yield other("sdr.jxr", "JPEG XR, integers", bytes(codecs.jpegxr_encode(picture)), "JPEG XR")
    yield other("a.jls", "JPEG-LS", bytes(codecs.jpegls_encode(picture)), "JPEG-LS")
    yield other("a.qoi", "QOI", bytes(codecs.qoi_encode(picture)), "QOI")
    for name in ("jp2", "j2k"):
        data = bytes(codecs.jpeg2k_encode(picture, codecformat=name))
        yield other(f"a.{name}", f"JPEG 2000, {name}", data, "JPEG 2000")


def _older() -> Iterator[Each]:
    two = {"save_all": True, "append_images": [_picture().rotate(180)]}
    yield other("a.gif", "GIF", saved(_picture(), "GIF"), "GIF")
    yield other("moving.gif", "GIF, animated", saved(_picture(), "GIF", **two), "GIF")
    yield other("a.tga", "TGA", saved(_picture(), "TGA"), "TGA")
    yield other("a.pcx", "PCX", saved(_picture(), "PCX"), "PCX")
    yield other("a.ico", "ICO", saved(_picture(), "ICO"), "ICO")
    yield other("a.cur", "CUR", b"\0\0\2\0" + saved(_picture(), "ICO")[4:], "ICO")
    yield other("a.icns", "ICNS", saved(_picture().resize((16, 16)), "ICNS"), "ICNS")
    for suffix, mode in ((".ppm", "RGB"), (".pgm", "L"), (".pbm", "1")):
        yield other(f"a{suffix}", f"Netpbm, {suffix}", saved(_picture(mode), "PPM"), "Netpbm")
    pam = b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n\1\2\3"
    yield other("a.pam", "Netpbm, .pam", pam, "Netpbm")
    yield other("a.pfm", "PFM", b"PF\n1 1\n-1.0\n" + bytes(12), "PFM")
    yield other("a.sgi", "SGI", saved(_picture(), "SGI"), "SGI")
    yield other("a.ras", "Sun raster", struct.pack(">8I", 0x59A66A95, *[1] * 7), "Sun raster")
    yield other("a.xbm", "XBM", saved(_picture("1"), "XBM"), "XBM")
    yield other("a.xpm", "XPM", b"/* XPM */\nstatic char *a[] = {};", "XPM")
    yield other("a.fits", "FITS", b"SIMPLE  =                    T" + bytes(50), "FITS")
    yield other("a.ff", "farbfeld", b"farbfeld" + struct.pack(">II", 1, 1) + bytes(8), "farbfeld")
    yield other("a.dpx", "DPX", b"SDPX" + bytes(60), "DPX")
    yield other("a.cin", "Cineon", b"\x80\x2a\x5f\xd7" + bytes(60), "Cineon")
    yield other("a.dds", "DDS", saved(_picture("RGBA"), "DDS"), "DDS")
    bc6h = b"DDS " + struct.pack("<I", 124) + bytes(76) + b"DX10" + struct.pack("<I", 95)
    yield other("bc6h.dds", "DDS, BC6H", bc6h, "DDS")
    yield other("a.ktx2", "KTX 2", b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(60), "KTX")


def _raws() -> Iterator[Each]:
    small = io.BytesIO()
    import tifffile

    with tifffile.TiffWriter(small) as file:
        file.write(scene(), photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        file.write(scene(1), metadata=None)
    for suffix in (".nef", ".arw"):
        yield other(f"a{suffix}", f"camera raw, {suffix}", small.getvalue(), "camera raw")
    negative = tiff(scene(), photometric="rgb", extratags=[(50706, 1, 4, b"\1\4\0\0", True)])
    yield other("a.dng", "camera raw, .dng", negative, "camera raw")
    heads = {
        ".cr2": b"II*\0\x10\0\0\0CR\2\0",
        ".cr3": b"\0\0\0\x18ftypcrx ",
        ".raf": b"FUJIFILMCCD-RAW ",
        ".orf": b"IIRO\x08\0\0\0",
        ".rw2": b"IIU\0\x18\0\0\0",
        ".x3f": b"FOVb",
    }
    for suffix, head in heads.items():
        yield other(f"a{suffix}", f"camera raw, {suffix}", head + bytes(60), "camera raw")
    words = "is camera raw. Develop it"
    yield refused("nef.tif", "camera raw named .tif", small.getvalue(), words)
    yield refused("dng.tif", "DNG named .tif", negative, words)


def _drawn() -> Iterator[Each]:
    yield other("a.svg", "SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG")
    yield other("a.pdf", "PDF", saved(_picture(), "PDF"), "PDF")
    yield other("a.eps", "EPS", saved(_picture(), "EPS"), "PostScript")
    yield other("a.psd", "Photoshop", b"8BPS\0\1" + bytes(60), "Photoshop")
    yield other("a.xcf", "GIMP", b"gimp xcf v011\0" + bytes(60), "GIMP")
    yield other("a.kra", "Krita", archive("mimetype", b"application/x-krita"), "Krita")
    yield other("a.lottie", "Lottie", archive("manifest.json", b"{}"), "Lottie")


def archive(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(name, content)
    return file.getvalue()


def _names() -> Iterator[Each]:
    png, jpeg = saved(scene(), "PNG"), saved(scene(), "JPEG")
    yield sdr("really a jpeg.png", "JPEG named .png", jpeg)
    yield sdr("UPPER.PNG", "PNG named .PNG", png)
    yield other("nothing", "PNG without a suffix", png, "PNG without a suffix")
    yield other("odd.dat", "JPEG named .dat", jpeg, "JPEG named .dat")
    yield refused("gif.png", "GIF named .png", saved(_picture(), "GIF"), "is GIF")
    yield refused("tga.png", "TGA named .png", saved(_picture(), "TGA"), "is not a picture")
    yield refused("empty.png", "nothing in it", b"", "is empty (0 bytes)")
    hidden = Each(".hidden.png", "a hidden picture", png, *["passed over"] * 3)
    yield hidden


def _no_pictures() -> Iterator[Each]:
    for name in ("Thumbs.db", "desktop.ini", "a.txt"):
        yield other(name, name, b"[.ShellClassInfo]\r\n", Path(name).suffix)
    yield Each(".DS_Store", ".DS_Store", b"\0\0\0\1Bud1", *["passed over"] * 3)
    yield other("a.zip", "ZIP", archive("a.png", saved(scene(), "PNG")), ".zip")


def _other_videos() -> Iterator[Each]:
    yield other(
        "a.wmv", "video, .wmv", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(60), "Windows Media"
    )
    yield other("a.mpg", "video, .mpg", b"\0\0\1\xba" + bytes(60), "MPEG")
    yield other("a.ogv", "video, .ogv", b"OggS" + bytes(60), "Ogg")


def videos(folder: Path) -> Iterator[Each]:
    """They are written to files only."""
    for suffix in (".mp4", ".mkv", ".mov", ".webm", ".avi", ".flv", ".ts"):
        path = film(folder / f"film {suffix[1:]}{suffix}", EVEN[:3], (32, 32))
        yield Each(path.name, f"video, {suffix}", path.read_bytes(), READ, READ, "left out")
        path.unlink()


def all_files(folder: Path) -> list[Each]:
    """Everything; ``folder`` is for what is written to files only."""
    return [*every_format(), *videos(folder)]
