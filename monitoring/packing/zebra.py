"""Our label in the words of a label printer (ZPL II): 10 × 15 cm at 203 dots per inch."""

from qrcode import QRCode
from qrcode.constants import ERROR_CORRECT_M
from reportlab.lib.units import inch, mm

from monitoring.packing.paper import BOLD, LABEL, Pen

DOTS = 203 / inch
# Whatever another label has left in the printer is undone: home, turning, mirror image. ^CI28: text is UTF-8.
_BEGIN = "^XA^CI28^PW{width}^LL{height}^LH0,0^LT0^LS0^PON^PMN^FWN"
# The printer's own commands begin with the first two, and "_" begins our way of writing them.
_COMMANDS = "^~_"
# The printer's font 0 stands this much higher above its line than its size says of the letters of ours.
_ASCENT = 0.8


def dots(points: float) -> int:
    return round(points * DOTS)


def escaped(text: str) -> str:
    """Field data that can only be data: commands and control characters in hexadecimal, for `^FH`."""
    return "".join(f"_{ord(char):02X}" if char in _COMMANDS or char < " " else char for char in text)


class ZebraPen(Pen):
    """Collects commands; `label` is what the printer gets."""

    bar_step = 1 / DOTS

    def __init__(self, left: float, top: float, room: float) -> None:
        super().__init__(left, top, room)
        self._fields: list[str] = []

    def label(self) -> bytes:
        begin = _BEGIN.format(width=8 * round(LABEL[0] / mm), height=8 * round(LABEL[1] / mm))
        return "\n".join([begin, *self._fields, "^XZ"]).encode()

    def square(self, value: str, left: float, bottom: float, side: float) -> None:
        code = QRCode(error_correction=ERROR_CORRECT_M)
        code.add_data(value)
        code.make()
        magnified = min(10, max(1, dots(side) // code.modules_count))
        self._field(left, bottom + side, f"^BQN,2,{magnified}", f"MA,{value}")

    def _text(self, line: str, font: str, size: float) -> None:
        # Font 0 is bold and narrower than ours, so that what fits there fits here.
        height = dots(size if font == BOLD else size * 0.95)
        self._field(self.left, self.y + size * _ASCENT, f"^A0N,{height}", line)

    def _rule(self) -> None:
        self._fields.append(f"{self._at(self.left, self.y)}^GB{dots(self.room)},2,2^FS")

    def _bars(self, value: str, bar: float, height: float) -> None:
        self._field(self.left, self.y + height, f"^BY{dots(bar)}^BCN,{dots(height)},N,N,N,A", value)

    def _field(self, left: float, top: float, kind: str, text: str) -> None:
        self._fields.append(f"{self._at(left, top)}{kind}^FH_^FD{escaped(text)}^FS")

    @staticmethod
    def _at(left: float, top: float) -> str:
        return f"^FO{dots(left)},{dots(LABEL[1] - top)}"
