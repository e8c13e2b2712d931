"""Headers that close doors, on every page there is."""

import pytest
from django.test import Client

from tests.monitoring.test_strangers import NAMES, _path, fill
from tests.monitoring.world import World, text_of

POLICY = {
    "default-src 'none'",
    "script-src 'self' 'unsafe-eval'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}


# Files that the browser's own viewer shows: it is a page that the policy would stop. A picture may be kept.
FILES = {"pick_list_pdf", "packing_slips", "packing_labels_print", "packing_danfe", "item_picture"}
OTHERS = {
    "the sign-in": "/login/", "nothing": "/nowhere/", "the admin": "/auth/user/",
    "a forgotten password": "/sign-in/forgotten/", "a new password": "/sign-in/new-password/MQ/no-token/",
}  # fmt: skip


@pytest.mark.parametrize("name", [*(name for name in NAMES if name not in FILES), *OTHERS])
def test_every_page_has_them(owner: Client, world: World, name: str) -> None:
    fill(world)
    answer = owner.get(OTHERS.get(name) or _path(name))
    policy = set(answer.headers["content-security-policy"].split("; "))
    if name == "connection_sign_in":
        assert "form-action 'self' https: http://127.0.0.1:*" in policy
    else:
        assert policy >= POLICY
    assert not any("unsafe-inline" in line for line in policy if not line.startswith("style-src-attr"))
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["permissions-policy"].startswith("camera=(self), microphone=()")
    assert answer.headers["x-frame-options"] == "DENY"
    assert "no-store" in answer.headers["cache-control"]


def test_the_colours_are_a_file_that_may_be_kept(client: Client) -> None:
    answer = client.get("/theme.css")
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert b"--color-primary-600:" in answer.content
    assert b"--color-base-50:" in answer.content


def test_no_page_writes_its_own_script_or_style(owner: Client, world: World) -> None:
    for path in ("/", "/orders/", "/failures/", "/people/", "/account/", "/login/"):
        text = text_of(owner.get(path))
        assert "<style" not in text
        assert text.count("<script") == text.count("<script src=")
        assert " onchange=" not in text


def test_pages_and_files_are_sent_small(owner: Client, world: World) -> None:
    for path in ("/orders/", "/static/unfold/css/styles.css"):
        answer = owner.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip", path
