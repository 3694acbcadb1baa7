"""Writes tests/jobs/images: small images of every kind, and as PPM the pixels that torchvision makes of them, whole and
resized. Needs torchvision and Pillow:  python3 tests/oracle/images.py tests/jobs/images"""
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets.folder import pil_loader
from torchvision.transforms import Resize


def picture(height, width, channels):
    """Waves and a little noise, (height, width, channels) uint8."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.RandomState(1).randint(0, 40, (height, width, channels))
    waves = [np.sin(x * (0.21 + 0.1 * c) + y * 0.13 * (c - 1)) * 100 + 110 for c in range(channels)]
    return np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


def png(pixels, depth, colour, interlaced=False):
    """What Pillow does not write: samples of `depth` 8 or 16, any colour type, Adam7."""
    data = pixels.astype(">u2") if depth == 16 else pixels
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for y, x, down, right in passes if interlaced else [(0, 0, 1, 1)]:
        part = data[y::down, x::right]
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tEXt", b"Comment\0ignored")
            + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def write_images(folder):
    colour = Image.fromarray(picture(21, 33, 3))
    gray = Image.fromarray(picture(21, 33, 1)[:, :, 0])
    for name, subsampling in {"420": 2, "422": 1, "444": 0}.items():
        colour.save(folder / f"colour_{name}.jpg", quality=85, subsampling=subsampling)
    colour.save(folder / "progressive.jpg", quality=85, progressive=True)
    gray.save(folder / "gray.jpg", quality=85)
    colour.convert("CMYK").save(folder / "cmyk.jpg", quality=85)
    Image.fromarray(picture(1, 1, 3)).save(folder / "one_pixel.jpg")
    Image.fromarray(picture(67, 102, 3)).save(folder / "larger.jpg", quality=85)

    colour.save(folder / "colour.png")
    gray.save(folder / "gray.png")
    gray.convert("1").save(folder / "black_and_white.png")
    colour.convert("P", palette=Image.Palette.ADAPTIVE, colors=13).save(folder / "palette.png")
    transparent = colour.convert("P", palette=Image.Palette.ADAPTIVE, colors=200)
    transparent.save(folder / "palette_alpha.png", transparency=bytes(range(200)))
    Image.fromarray(picture(21, 33, 4), "RGBA").save(folder / "colour_alpha.png")
    Image.fromarray(picture(21, 33, 2), "LA").save(folder / "gray_alpha.png")
    wide = picture(21, 33, 4).astype(np.uint16) * 256 + picture(21, 33, 4)[::-1]
    (folder / "colour_16.png").write_bytes(png(wide[:, :, :3], 16, 2))
    (folder / "colour_alpha_16.png").write_bytes(png(wide, 16, 6))
    (folder / "gray_alpha_16.png").write_bytes(png(wide[:, :, :2], 16, 4))
    (folder / "gray_16.png").write_bytes(png(wide[:, :, 0] // 200, 16, 0))
    (folder / "interlaced.png").write_bytes(png(picture(21, 33, 3), 8, 2, interlaced=True))


folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for old in folder.iterdir():
    old.unlink()
write_images(folder)
for path in sorted(folder.iterdir()):
    image = pil_loader(str(path))
    image.save(folder / (path.name + ".ppm"))
    Resize((16, 20))(image).save(folder / (path.name + ".resized.ppm"))
    if path.name == "colour.png":
        for name, size in {"narrow": (21, 9), "wide": (21, 50), "low": (7, 33), "tall": (30, 33)}.items():
            Resize(size)(image).save(folder / f"{path.name}.{name}.ppm")
