"""Images in a terminal: half blocks, two pixels to a character. Decoded by Pillow, of three formats and a bounded size."""

from __future__ import annotations

import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.text import Text

FORMATS = ("PNG", "JPEG", "PPM")  # each decoder that is tried is one more that strangers' bytes reach
PIXELS_MAX = 64_000_000  # 200 MB decoded: a small file may claim far more
PAGE_PIXELS = 1200  # of an image in a page
# What Pillow raises for bytes that are no image, beside its own guard against huge ones
BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error)
_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"P6", b"P5")


def is_picture(value: Any) -> bool:
    """Does it look like one? Nothing is decoded."""
    if isinstance(value, bytes):
        return value.startswith(_MAGIC) and len(value) > 16
    shape: tuple[int, ...] = getattr(value, "shape", ())
    dtype = getattr(getattr(value, "dtype", None), "str", "")
    return dtype == "|u1" and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) and min(shape) > 0


def opened(value: Any) -> Image | None:
    """An image whose size is known; None when it is none, is broken, or is too large."""
    from io import BytesIO

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Image.open(BytesIO(value), formats=FORMATS) if isinstance(value, bytes) else Image.fromarray(value)
    except (*BROKEN, Image.DecompressionBombError):
        return None
    return found if 0 < found.width * found.height <= PIXELS_MAX else None


def drawn(image: Image, columns: int, lines: int) -> Text | None:
    """The image in at most that many columns and lines; None when its bytes are broken."""
    from PIL import Image
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.draft("RGB", (2 * columns, 4 * lines))  # a JPEG is decoded no larger than needed
            small = image.convert("RGBA")
            small.thumbnail((columns, 2 * lines))
    except (*BROKEN, Image.DecompressionBombError):
        return None
    flat = Image.new("RGBA", small.size, (0, 0, 0, 255))
    flat.alpha_composite(small)
    pixels = flat.convert("RGB").load()
    assert pixels is not None
    text = Text(no_wrap=True, end="")
    for y in range(0, small.height, 2):
        for x in range(small.width):
            upper = Color.from_rgb(*pixels[x, y])  # type: ignore[misc]
            lower = Color.from_rgb(*pixels[x, y + 1]) if y + 1 < small.height else None  # type: ignore[misc]
            text.append("▀", Style(color=upper, bgcolor=lower))
        if y + 2 < small.height:
            text.append("\n")
    return text


def as_png(value: Any) -> str:
    """The image as base64 of a PNG that we wrote ourselves, at most PAGE_PIXELS wide and high; "" when it cannot be read."""
    import base64
    from io import BytesIO

    from PIL import Image

    image = opened(value)
    if image is None:
        return ""
    made = BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            small = image.convert("RGBA")
            small.thumbnail((PAGE_PIXELS, PAGE_PIXELS))
            small.save(made, "PNG")
    except (*BROKEN, Image.DecompressionBombError):
        return ""
    return base64.b64encode(made.getvalue()).decode()
