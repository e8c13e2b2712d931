"""A label as a service would send it: one page of 10 × 15 cm with a few words, as PDF or ZPL. And a picture."""

import struct
import zlib
from io import BytesIO
from zipfile import ZipFile


def pdf(words: str) -> bytes:
    """The least that is a whole PDF."""
    text = f"BT /F1 14 Tf 20 380 Td ({words}) Tj ET".encode("ascii", "replace")
    parts = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 283.46 425.2] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    out, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(parts) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, rows)
    return out + table + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))


def zpl(words: str) -> bytes:
    return f"^XA^CI28^PW800^LL1200^FO50,50^A0N,40^FD{words}^FS^XZ\n".encode()


def zipped(name: str, content: bytes) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


def png(name: str, side: int = 96) -> bytes:
    """A disc, of a colour that follows from its name."""
    seed = zlib.crc32(name.encode())
    colour = bytes(80 + (seed >> shift) % 150 for shift in (0, 8, 16))
    far, middle = (side * 0.4) ** 2, (side - 1) / 2
    rows = (
        b"\0" + b"".join(
            colour if (x - middle) ** 2 + (y - middle) ** 2 < far else b"\xff\xff\xff" for x in range(side)
        )
        for y in range(side)
    )  # fmt: skip
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"".join(rows))),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
