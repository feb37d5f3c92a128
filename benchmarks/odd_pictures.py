"""Files as they come in from people: good ones of every kind, broken ones, and oddly named ones.

Serves ``odd_files.py`` and measures nothing. Each file comes with what is to become of it. They are
made by Pillow, tifffile and by hand, and not by the code that is to read them.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

Numbers = NDArray[Any]  # (H, W) or (H, W, C) of uint8 or uint16

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Make="Maker"/></x:xmpmeta>'
HEIGHT, WIDTH = 36, 52


@dataclass(frozen=True)
class Odd:
    """A file, and what becomes of it."""

    name: str  # may have folders
    what: str
    data: bytes
    shown: Numbers | None = None  # what one is to see, upright; None: it is to be refused
    depth: int = 8
    alpha: bool = False
    exact: bool = True  # False: encoded with loss
    icc: bool = False
    exif: bool = False  # has the maker's name
    dpi: tuple[int, int] | None = None
    target: str = ""  # suffix of the result; empty: that of the file

    @property
    def good(self) -> bool:
        return self.shown is not None


def scene(channels: int = 3, kind: Any = np.uint8, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Any:
    """Slopes with a blown-out corner: (H, W) or (H, W, C)."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    slopes = [rows * 6 + columns * 2, columns * 5, 255 - rows * 4, 40 + rows * 3 + columns]
    picture = np.stack([slopes[at] for at in range(channels)], axis=2).clip(0, 255)
    if channels == 2:
        picture[..., 1] = slopes[3].clip(0, 255)
    picture = picture.astype(kind)
    if kind is np.uint16:
        picture = picture * kind(250) + kind(77)
    return picture[..., 0] if channels == 1 else picture


def saved(picture: Any, form: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(file, form, **how)
    return file.getvalue()


def tiff(picture: Numbers, **how: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, picture, metadata=None, **how)
    return file.getvalue()


def png(picture: Numbers, extra: bytes = b"") -> bytes:
    """PNG of any depth and number of channels, unfiltered."""
    height, width = picture.shape[:2]
    channels, depth = picture.size // (height * width), 8 * picture.itemsize
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = np.ascontiguousarray(picture, picture.dtype.newbyteorder(">")).view(np.uint8)
    plain = np.pad(rows.reshape(height, -1), ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">II5B", width, height, depth, kind, 0, 0, 0)
    return png_file(header, extra, zlib.compress(plain))


def png_file(header: bytes, extra: bytes, packed: bytes) -> bytes:
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def exif(orientation: int = 1) -> bytes:
    block = Image.Exif()
    block[271], block[274] = "Maker", orientation
    block[34665] = {36867: "2024:05:06 07:08:09", 37500: b"maker's note"}
    return block.tobytes()


def stored(orientation: int, picture: Numbers) -> Numbers:
    """The picture as a camera stores it that says this orientation."""
    turned = picture
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    return np.ascontiguousarray(turned.swapaxes(0, 1) if orientation >= 5 else turned)


def decoded(data: bytes, mode: str = "RGB") -> Numbers:
    """What Pillow shows of a file."""
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


def all_files() -> Iterator[Odd]:
    """The corpus."""
    for make in (pngs, jpegs, webps, tiffs, bmps, turned, sizes, names, broken, foreign, bombs):
        yield from make()


def pngs() -> Iterator[Odd]:
    for channels, what in ((1, "grey"), (2, "grey, alpha"), (3, "RGB"), (4, "RGB, alpha")):
        for kind, depth in ((np.uint8, 8), (np.uint16, 16)):
            picture, alpha = scene(channels, kind), channels in (2, 4)
            name = f"{what.replace(', ', ' ')} {depth}.png"
            yield Odd(name, f"PNG {what}, {depth} bits", png(picture), picture, depth, alpha)
    bits = Image.fromarray(scene(1)).convert("1")
    yield Odd("bits.png", "PNG of 1 bit", saved(bits, "PNG"), np.asarray(bits.convert("L")))
    for levels in (4, 256):
        palette = Image.fromarray(scene()).quantize(levels)
        data = saved(palette, "PNG")
        yield Odd(f"palette {levels}.png", f"PNG palette of {levels}", data, decoded(data))
    data = saved(palette, "PNG", transparency=5)
    shown = decoded(data, "RGBA")
    yield Odd("palette clear.png", "PNG palette, one clear", data, shown, alpha=True)
    data = saved(scene(), "PNG", transparency=tuple(int(value) for value in scene()[3, 4]))
    yield Odd("rgb clear.png", "PNG RGB, one clear", data, decoded(data, "RGBA"), alpha=True)
    deep = scene(3, np.uint16)
    clear = chunk(b"tRNS", deep[3, 4].astype(">u2").tobytes())
    hidden = np.where((deep == deep[3, 4]).all(2), 0, 65535).astype(np.uint16)
    shown = np.dstack([deep, hidden])
    yield Odd("clear 16.png", "PNG 16 bits, one clear", png(deep, clear), shown, 16, True)
    gamma = chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"sRGB", b"\0")
    yield Odd("gamma.png", "PNG with gAMA and sRGB", png(scene(), gamma), scene())
    for depth, picture in ((8, scene(4)), (16, scene(4, np.uint16))):
        about = chunk(b"iCCP", b"p\0\0" + zlib.compress(PROFILE)) + chunk(b"eXIf", exif()[6:])
        about += chunk(b"pHYs", struct.pack(">IIB", 11811, 5906, 1))
        about += chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
        yield Odd(f"about {depth}.png", f"PNG {depth} bits, profile, EXIF, XMP, dpi",
                  png(picture, about), picture, depth, True, icc=True, exif=True,
                  dpi=(300, 150))  # fmt: skip


def jpegs() -> Iterator[Odd]:
    for mode in ("L", "RGB", "CMYK"):
        data = saved(Image.fromarray(scene()).convert(mode), "JPEG", quality=90)
        shown = decoded(data, "L" if mode == "L" else "RGB")
        yield Odd(f"{mode.lower()}.jpg", f"JPEG {mode}", data, shown, exact=False)
    data = saved(scene(), "JPEG", progressive=True, quality=90)
    yield Odd("progressive.jpg", "JPEG progressive", data, decoded(data), exact=False)
    data = saved(scene(), "JPEG", icc_profile=PROFILE, exif=exif(), dpi=(300, 300))
    yield Odd("about.jpeg", "JPEG with profile, EXIF, dpi", data, decoded(data), exact=False,
              icc=True, exif=True, dpi=(300, 300))  # fmt: skip
    data = saved(scene(), "MPO", save_all=True, append_images=[Image.fromarray(scene()[::2, ::2])])
    yield Odd("phone.jpg", "JPEG of a phone, with preview", data, decoded(data), exact=False)
    data = saved(scene(), "JPEG") + bytes(1000)
    yield Odd("more.jpg", "JPEG, zeros behind its end", data, decoded(data), exact=False)


def webps() -> Iterator[Odd]:
    data = saved(scene(), "WEBP", quality=80)
    yield Odd("lossy.webp", "WebP with loss", data, decoded(data))
    data = saved(scene(4), "WEBP", lossless=True, exact=True, icc_profile=PROFILE, exif=exif())
    yield Odd("lossless.webp", "WebP lossless, alpha, profile", data, scene(4), alpha=True,
              icc=True, exif=True)  # fmt: skip


def tiffs() -> Iterator[Odd]:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        base = Image.fromarray(scene(4 if "A" in mode else 3))
        data = saved(base.convert(mode), "TIFF", compression="tiff_lzw")
        shown = decoded(data, {"1": "L", "P": "RGB"}.get(mode, mode))
        yield Odd(f"{mode.lower()} lzw.tif", f"TIFF {mode}, LZW", data, shown, alpha="A" in mode)
    grey, deep, clear = (scene(channels, np.uint16) for channels in (1, 3, 4))
    black = {"photometric": "minisblack"}
    for order in "<>":
        data = tiff(grey, byteorder=order, **black)
        yield Odd(f"grey {ord(order)}.tif", f"TIFF grey 16 bits {order}", data, grey, 16)
    yield Odd("negative.tif", "TIFF grey 16 bits, 0 is white",
              tiff(65535 - grey, photometric="miniswhite"), grey, 16)  # fmt: skip
    for how in ({}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True},
                {"tile": (16, 16)}, {"bigtiff": True}, {"rowsperstrip": 5}):  # fmt: skip
        name = " ".join(map(str, how.values())).replace("(16, 16)", "tiles") or "plain"
        data = tiff(deep, photometric="rgb", **how)
        yield Odd(f"deep {list(how)} {name}.tiff", f"TIFF RGB 16 bits {how}", data, deep, 16)
    about = {"photometric": "rgb", "iccprofile": PROFILE, "resolution": (300, 150)}
    tags = [(271, "s", 6, "Maker", True), (700, "B", len(XMP), XMP, True)]
    data = tiff(clear, extrasamples=["unassalpha"], extratags=tags, resolutionunit=2, **about)
    yield Odd("about 16.tif", "TIFF 16 bits, alpha, profile, tags", data, clear, 16, True,
              icc=True, exif=True, dpi=(300, 150))  # fmt: skip
    data = saved(Image.fromarray(scene()).convert("CMYK"), "TIFF")
    yield Odd("inks.tif", "TIFF CMYK", data, decoded(data))
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(scene(), photometric="rgb", metadata=None)
        writer.write(scene()[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
    yield Odd("reduced.tif", "TIFF with a reduced copy", file.getvalue(), scene())


def bmps() -> Iterator[Odd]:
    for mode in ("1", "L", "P", "RGB"):
        data = saved(Image.fromarray(scene()).convert(mode), "BMP")
        shown = decoded(data, "L" if mode in ("1", "L") else "RGB")
        yield Odd(f"{mode.lower()}.bmp", f"BMP {mode}", data, shown)


def turned() -> Iterator[Odd]:
    for orientation in range(1, 9):
        lying = stored(orientation, scene())
        data = saved(lying, "JPEG", quality=95, subsampling=0, exif=exif(orientation))
        yield Odd(f"turned {orientation}.jpg", f"JPEG of orientation {orientation}", data,
                  scene(), exact=False, exif=True)  # fmt: skip
    for orientation in (3, 6, 8):
        deep = scene(4, np.uint16)
        data = png(stored(orientation, deep), chunk(b"eXIf", exif(orientation)[6:]))
        yield Odd(f"turned {orientation} 16.png", f"PNG 16 bits, orientation {orientation}",
                  data, deep, 16, True, exif=True)  # fmt: skip
        data = tiff(stored(orientation, scene(3, np.uint16)), photometric="rgb",
                    extratags=[(274, "H", 1, orientation, True)])  # fmt: skip
        yield Odd(f"turned {orientation} 16.tif", f"TIFF 16 bits, orientation {orientation}",
                  data, scene(3, np.uint16), 16)  # fmt: skip
        data = saved(stored(orientation, scene()), "WEBP", lossless=True, exif=exif(orientation))
        yield Odd(f"turned {orientation}.webp", f"WebP of orientation {orientation}", data,
                  scene(), exif=True)  # fmt: skip


def sizes() -> Iterator[Odd]:
    for width, height in ((1, 1), (2, 3), (17, 1), (1, 40), (16, 16), (63, 65), (20_000, 4), (4, 20_000)):  # fmt: skip  # noqa: E501
        picture = scene(size=(height, width))
        yield Odd(f"{width}x{height}.png", f"PNG {width}x{height}", png(picture), picture)
    yield Odd("1x1 16.png", "PNG 1x1 grey 16 bits", png(scene(1, np.uint16, (1, 1))),
              scene(1, np.uint16, (1, 1)), 16)  # fmt: skip


def names() -> Iterator[Odd]:
    data = png(scene())
    for name in ("과다 노출 사진.png", "露出オーバー.png", "sun ☀️ 😀.png", "  spaces  .png",
                 "-dash.png", "UPPER.PNG", "a.b.c.png", "100% #1 [2] {x} 'q'.png",
                 "e\u0301 decomposed.png", "L" * 200 + ".png"):  # fmt: skip
        yield Odd(name, "PNG, name", data, scene())
    yield Odd("really a png.jpg", "PNG named .jpg", png(scene(4)), scene(4), alpha=True,
              target=".png")  # fmt: skip
    jpeg = saved(scene(), "JPEG", quality=95)
    yield Odd("really a jpeg.png", "JPEG named .png", jpeg, decoded(jpeg), exact=False,
              target=".jpg")  # fmt: skip


def broken() -> Iterator[Odd]:
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    whole = {
        "png": png(noisy),
        "jpg": saved(noisy, "JPEG"),
        "webp": saved(noisy, "WEBP"),
        "tif": saved(noisy, "TIFF", compression="tiff_lzw"),
        "bmp": saved(noisy, "BMP"),
    }
    for suffix, data in whole.items():
        for share in (0.02, 0.5, 0.98):
            yield Odd(f"cut {share}.{suffix}", f"{suffix.upper()}, {share:.0%} of it",
                      data[: int(len(data) * share)])  # fmt: skip
    deep = png(rng.integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16))
    yield Odd("cut 16.png", "PNG 16 bits, half of it", deep[: len(deep) // 2])
    flipped = bytearray(whole["png"])
    flipped[len(flipped) // 2] ^= 4
    yield Odd("flipped.png", "PNG, one bit flipped", bytes(flipped))
    twelve = bytearray(whole["jpg"])
    twelve[twelve.index(b"\xff\xc0") + 4] = 12
    yield Odd("twelve.jpg", "JPEG that says 12 bits", bytes(twelve))
    yield Odd("empty.png", "0 bytes", b"")
    yield Odd("zeros.png", "4 kB of zeros", bytes(4096))
    yield Odd("noise.jpg", "4 kB of noise", rng.integers(0, 256, 4096, np.uint8).tobytes())


def foreign() -> Iterator[Odd]:
    frames = [Image.fromarray(scene()), Image.fromarray(scene()[::-1].copy())]
    for form, name in (("PNG", "moving.png"), ("WEBP", "moving.webp"), ("TIFF", "pages.tif"),
                       ("GIF", "moving gif.png")):  # fmt: skip
        data = saved(frames[0], form, save_all=True, append_images=frames[1:])
        yield Odd(name, f"{form} of 2 frames", data)
    yield Odd("text.png", "a text", b"I am not a picture.\n" * 20)
    yield Odd("page.jpg", "a web page", b"<!DOCTYPE html><html><body>404</body></html>")
    yield Odd("vector.png", "SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>')
    yield Odd("avif.jpg", "AVIF", b"\0\0\0\x1cftypavif" + bytes(40))
    yield Odd("heic.jpg", "HEIC", b"\0\0\0\x1cftypheic" + bytes(40))
    yield Odd("floats.tif", "TIFF of floats", tiff(scene().astype(np.float32) / 255))
    yield Odd("signed.tif", "TIFF of signed 16 bits", tiff(scene(1).astype(np.int16)))
    planes = scene(3, np.uint16).transpose(2, 0, 1)
    yield Odd("planes.tif", "TIFF 16 bits, plane by plane",
              tiff(planes, photometric="rgb", planarconfig="separate"))  # fmt: skip


def bombs() -> Iterator[Odd]:
    side = 30_000
    packed = zlib.compressobj(1)
    rows = b"".join(packed.compress(bytes(1 + side)) for _ in range(side)) + packed.flush()
    header = struct.pack(">II5B", side, side, 8, 0, 0, 0, 0)
    yield Odd("bomb.png", "PNG, 900 million pixels in 4 MB", png_file(header, b"", rows))
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 27)))
    yield Odd("text bomb.png", "PNG, 128 MB of text in 130 kB", png(scene(), text))
    jpeg = bytearray(saved(scene(1), "JPEG"))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 60_000, 60_000)
    yield Odd("bomb.jpg", "JPEG, says 60,000 x 60,000", bytes(jpeg))
    bmp = bytearray(saved(scene(), "BMP"))
    struct.pack_into("<ii", bmp, 18, 60_000, 60_000)
    yield Odd("bomb.bmp", "BMP, says 60,000 x 60,000", bytes(bmp))


def write(folder: Path, odd: Odd) -> Path:
    """Put a file into a folder."""
    path = folder / odd.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(odd.data)
    assert os.path.lexists(path)
    return path
