"""Image files without what stands in them beside the pixels: where that is damaged, the pixels may be whole."""

from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def without_metadata(data: bytes) -> bytes:
    """The same file without texts, EXIF data, colour profiles and other blocks that no pixel needs.

    PNG, JPEG, WebP and AVIF; any other file comes back as it is. What is kept is kept byte for byte.
    """
    if data.startswith(PNG_SIGNATURE):
        return PNG_SIGNATURE + b"".join(_png_chunks(data))
    if data.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd8" + b"".join(_jpeg_segments(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        body = b"WEBP" + b"".join(_webp_chunks(data))
        return b"RIFF" + len(body).to_bytes(4, "little") + body
    if data[4:8] == b"ftyp":
        return data.replace(b"Exif", b"none")  # an item of a kind that decoders skip; all offsets stay
    return data


def _png_chunks(data: bytes) -> Iterator[bytes]:
    """Those that a decoder must know, and the transparent colour."""
    start = len(PNG_SIGNATURE)
    while start + 8 <= len(data):
        kind, stop = data[start + 4 : start + 8], start + 12 + int.from_bytes(data[start : start + 4])
        if kind[:1].isupper() or kind == b"tRNS":
            yield data[start:stop]
        start = stop


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    """All but comments and application data; those of Adobe say how colours are stored."""
    start = 2
    while data[start : start + 1] == b"\xff" and start + 4 <= len(data):
        marker, stop = data[start + 1], start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if marker == 0xDA:  # the pixels begin: all that follows
            break
        if not (0xE1 <= marker <= 0xEF or marker == 0xFE) or marker == 0xEE:
            yield data[start:stop]
        start = stop
    yield data[start:]


def _webp_chunks(data: bytes) -> Iterator[bytes]:
    """Pixels, transparency and frames; flags of a header say no more of the rest."""
    start = 12
    while start + 8 <= len(data):
        kind, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
        stop = start + 8 + size + size % 2
        if kind == b"VP8X":
            yield data[start : start + 8] + bytes([data[start + 8] & 0b00010010]) + data[start + 9 : stop]
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"):
            yield data[start:stop]
        start = stop
