"""What the simulated shops sell and the simulated ERPs know."""

from decimal import Decimal

_COLOURS = ("PRETA", "AZUL", "VERDE", "BRANCA")
_GOODS = (
    ("GAR-1L", "Garrafa térmica 1 L", "89.90"),
    ("CAN-325", "Caneca de cerâmica 325 ml", "39.90"),
    ("CAM-M", "Camiseta de algodão M", "59.90"),
    ("MOC-22", "Mochila 22 L", "189.00"),
    ("LUM-LED", "Luminária de mesa LED", "129.50"),
)
SKUS: list[tuple[str, str, Decimal]] = [
    (f"{code}-{colour}", f"{title} {colour.lower()}", Decimal(price))
    for code, title, price in _GOODS
    for colour in _COLOURS
]
