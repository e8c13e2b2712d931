"""What all our papers share: a font with Portuguese letters, text that always fits its box, bar codes."""

from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path

import reportlab
from anyascii import anyascii
from reportlab.graphics import renderPDF
from reportlab.graphics.barcode.code128 import Code128
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

LABEL = (100 * mm, 150 * mm)
SIZES = {"label": LABEL, "a4": A4}
# Bitstream Vera comes with reportlab; its licence lets it be embedded in documents.
PLAIN, BOLD = "Vera", "VeraBd"
_FILES = {PLAIN: "Vera.ttf", BOLD: "VeraBd.ttf"}
_LINE = 1.2
# Narrower lines than this a thermal printer with 203 dots per inch blurs.
_THINNEST_BAR = 0.19 * mm


@cache
def _fonts() -> frozenset[int]:
    """Registers both; returns the characters that both can draw."""
    folder = Path(reportlab.__file__).parent / "fonts"
    drawn = []
    for name, file in _FILES.items():
        font = TTFont(name, str(folder / file))
        pdfmetrics.registerFont(font)
        drawn.append(set(font.face.charToGlyph))
    return frozenset(drawn[0] & drawn[1])


def readable(text: str) -> str:
    """One line that the font can draw whole: other scripts in Latin letters, no control characters."""
    return " ".join("".join(map(_drawn, text)).split())


def _drawn(char: str) -> str:
    if not char.isprintable():
        return " " if char.isspace() else ""
    return char if ord(char) in _fonts() else anyascii(char)


def width(text: str, font: str, size: float) -> float:
    return float(pdfmetrics.stringWidth(text, font, size))


def wrapped(text: str, font: str, size: float, room: float) -> list[str]:
    """Lines no wider than `room` points; a word that is wider itself is cut."""
    lines: list[str] = []
    line = ""
    for word in readable(text).split():
        longer = f"{line} {word}" if line else word
        if width(longer, font, size) <= room:
            line = longer
            continue
        lines += [line] if line else []
        *whole, line = _cut(word, font, size, room)
        lines += whole
    return [*lines, line] if line else lines


def _cut(word: str, font: str, size: float, room: float) -> list[str]:
    pieces, piece = [], ""
    for char in word:
        if piece and width(piece + char, font, size) > room:
            pieces.append(piece)
            piece = ""
        piece += char
    return [*pieces, piece]


def fitted(text: str, font: str, size: float, room: float, most: int, smallest: float = 6) -> tuple[list[str], float]:
    """The text in at most so many lines, smaller where it is long; what is too long even then ends in "…"."""
    while len(lines := wrapped(text, font, size, room)) > most and size > smallest:
        size = max(size - 0.5, smallest)
    if len(lines) <= most:
        return lines, size
    last = lines[most - 1]
    while last and width(f"{last}…", font, size) > room:
        last = last[:-1]
    return [*lines[: most - 1], f"{last}…"], size


class Pen(ABC):
    """Writes downwards from its top. Positions in points, from the lower left corner as in a PDF."""

    # What a bar's width must be a multiple of.
    bar_step = 0.0

    def __init__(self, left: float, top: float, room: float) -> None:
        _fonts()
        self.left, self.y, self.room = left, top, room

    def write(self, text: str, size: float, most: int = 1, font: str = PLAIN, room: float | None = None) -> None:
        """Nothing for an empty text."""
        lines, size = fitted(text, font, size, room or self.room, most)
        for line in lines:
            self.y -= size * _LINE
            self._text(line, font, size)

    def skip(self, points: float) -> None:
        self.y -= points

    def rule(self) -> None:
        self.y -= 2.5 * mm
        self._rule()

    def bars(self, value: str, height: float, room: float | None = None) -> bool:
        """A Code 128 as wide as there is room; False, and nothing drawn, where it would be too fine to be read."""
        code = Code128(value, barWidth=1, barHeight=height, quiet=False)
        bar = min((room or self.room) / code.width, 0.5 * mm)
        if self.bar_step:
            bar -= bar % self.bar_step
        if bar < _THINNEST_BAR:
            return False
        self.y -= height
        self._bars(value, bar, height)
        return True

    @abstractmethod
    def square(self, value: str, left: float, bottom: float, side: float) -> None:
        """A QR code."""

    @abstractmethod
    def _text(self, line: str, font: str, size: float) -> None: ...

    @abstractmethod
    def _rule(self) -> None: ...

    @abstractmethod
    def _bars(self, value: str, bar: float, height: float) -> None: ...


class PdfPen(Pen):
    """On a canvas."""

    def __init__(self, canvas: Canvas, left: float, top: float, room: float) -> None:
        super().__init__(left, top, room)
        self.canvas = canvas

    def square(self, value: str, left: float, bottom: float, side: float) -> None:
        widget = QrCodeWidget(value, barLevel="M", barBorder=0)
        x1, y1, x2, y2 = widget.getBounds()
        drawing = Drawing(side, side, transform=[side / (x2 - x1), 0, 0, side / (y2 - y1), 0, 0])
        drawing.add(widget)
        renderPDF.draw(drawing, self.canvas, left, bottom)

    def _text(self, line: str, font: str, size: float) -> None:
        self.canvas.setFont(font, size)
        self.canvas.drawString(self.left, self.y, line)

    def _rule(self) -> None:
        self.canvas.setLineWidth(0.6)
        self.canvas.line(self.left, self.y, self.left + self.room, self.y)

    def _bars(self, value: str, bar: float, height: float) -> None:
        Code128(value, barWidth=bar, barHeight=height, quiet=False).drawOn(self.canvas, self.left, self.y)


def in_fours(key: str) -> str:
    return " ".join(key[start : start + 4] for start in range(0, len(key), 4))
