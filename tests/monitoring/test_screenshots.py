"""The pictures of the README: small enough, and of every page that there is."""

import io
import random
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management.base import CommandError
from django.test import Client
from PIL import Image

from monitoring.management.commands import screenshots


def noise(size: tuple[int, int]) -> bytes:
    """The hardest picture to make small."""
    to = io.BytesIO()
    Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3)).save(to, "PNG")
    return to.getvalue()


def test_a_heavy_picture_loses_quality_and_not_its_size() -> None:
    light = screenshots._shrunk(noise((300, 200)), (50,))
    heavy = screenshots._shrunk(noise((300, 200)), (95,))
    assert len(light) < len(heavy) < screenshots.MOST_BYTES
    assert len(screenshots._shrunk(noise((500, 400)), (95, 50))) < len(screenshots._shrunk(noise((500, 400)), (95,)))
    assert Image.open(io.BytesIO(light)).size == (300, 200)


def test_the_password_is_read_from_the_greeting() -> None:
    lines = [
        "Entreposto  http://127.0.0.1:1/\n",
        "Login       admin  s3cret-one   (made for you, shown only this once)\n",
    ]
    assert screenshots._password(lines) == "s3cret-one"
    with pytest.raises(CommandError):
        screenshots._password(["Port 1 is in use.\n"])


def test_every_page_of_the_list_is_there(owner: Client) -> None:
    for name, (path, _link) in screenshots.PAGES.items():
        assert owner.get(path).status_code == 200, name


def test_no_picture_of_the_project_is_heavy() -> None:
    pictures = list((Path(settings.BASE_DIR) / "docs" / "screenshots").glob("*.*"))
    assert {one.name for one in pictures if one.stat().st_size > screenshots.MOST_BYTES} == set()
    assert len(pictures) >= 4 * len(screenshots.PAGES)
