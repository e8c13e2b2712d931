"""Portuguese is complete: every message of ours has its translation, and pages show no English one."""

import ast
import gettext
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from connectors.registry import services
from tests.monitoring.test_strangers import NAMES, _path, fill
from tests.monitoring.world import World, browser_of, person, text_of

FOLDER = Path(settings.BASE_DIR) / "hub" / "locale" / "pt_BR" / "LC_MESSAGES"
# The same in both languages.
SAME = {"ERP", "UF", "CNPJs", "Total", "total", "item", "status"}


def messages() -> list[tuple[str, str]]:
    """(source, translation) of the catalogue that is read at run time."""
    with (FOLDER / "django.mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    named = [(key[0] if isinstance(key, tuple) else key, value) for key, value in catalogue.items() if key]
    # A context stands in front of its message.
    return [(source.rpartition("\x04")[2], value) for source, value in named]


def sources() -> set[str]:
    text = (FOLDER / "django.po").read_text(encoding="utf-8")
    return {
        "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', block)).replace('\\"', '"').replace("\\n", "\n")
        for block in re.findall(r'^msgid ((?:"(?:[^"\\]|\\.)*"\n)+)', text, re.MULTILINE)
    } - {""}


def test_every_message_is_translated() -> None:
    text = (FOLDER / "django.po").read_text(encoding="utf-8")
    assert "fuzzy" not in text
    assert sources() == {source for source, _translated in messages()}
    assert all(translated for _source, translated in messages())


def test_placeholders_survive() -> None:
    for source, translated in messages():
        assert set(re.findall(r"%\(\w+\)s", translated)) <= set(re.findall(r"%\(\w+\)s", source)), source


def test_what_services_ask_and_answer_is_translated() -> None:
    known = {source for source, _translated in messages()}
    for service in services().values():
        said = {text for field in service.fields for text in (field.label, field.help) if text}
        said |= {label for field in service.fields for _value, label in field.choices}
        said |= {verdict.sentence for verdict in service.failures.by_code.values()}
        said |= {verdict.sentence for verdict in service.failures.by_status.values()}
        assert said <= known, f"{service.kind}: add these to monitoring/pages/service_words.py: {said - known}"


def visible_texts(page: str) -> set[str]:
    body = re.sub(r"(?s)<(script|style|pre)\b.*?</\1>", "", page)
    texts = re.findall(r">([^<>]+)<", body) + re.findall(r'(?:placeholder|aria-label|data-name|title)="([^"]+)"', body)
    return {" ".join(text.split()) for text in texts}


@pytest.mark.parametrize("language", ["pt-br", "en"])
def test_no_page_shows_the_other_language(world: World, language: str) -> None:
    order = world.order("1", held=True, holds=["money"], difference="0.37")
    world.export_job(order)
    world.call(order)
    world.export_job(world.exported("2"), "unknown")
    world.rejected("3")
    fill(world)
    client = browser_of(person("ana", world))
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = language
    foreign = {
        (source if language == "pt-br" else translated)
        for source, translated in messages()
        if "%" not in source and source != translated and len(source) > 2
    } - {source if language == "pt-br" else translated for source, translated in messages() if source in SAME}
    own = {translated if language == "pt-br" else source for source, translated in messages()}
    with translation.override(language):
        for path in ["/", *(_path(name) for name in NAMES if not name.startswith("api"))]:
            answer = client.get(path)
            if answer.status_code == 200 and answer.headers["content-type"] not in ("application/pdf", "image/png"):
                leftover = visible_texts(text_of(answer)) & (foreign - own)
                assert not leftover, f"{path}: {leftover}"


# --- What is said anywhere, shown by a page of these tests or not ---

PACKAGES = ("hub", "orders", "connectors", "monitoring")
MARKED = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
# Said by Django itself, in its own catalogue; or the same in both languages.
ELSEWHERE = {"Log in", "Password", "Username", "SKU"}


def said_in_python() -> dict[str, Path]:
    """source -> file, of every text that is handed to a function of gettext's."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for file in (Path(settings.BASE_DIR) / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKED:
                    # The first text is the source; a context before it is not.
                    place = 1 if node.func.id.startswith("pgettext") else 0
                    texts = [one.value for one in node.args[place:] if isinstance(one, ast.Constant)]
                    found |= {text: file for text in texts[:1] if isinstance(text, str)}
    return found


def said_in_templates() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in (Path(settings.BASE_DIR) / "templates").rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        for _mark, source in re.findall(r"""\{%\s*trans(?:late)?\s+(["'])(.*?)\1""", text):
            found[source] = file
        for block in re.findall(r"(?s)\{%\s*blocktrans(?:late)?\b[^%]*%\}(.*?)\{%\s*(?:plural|endblocktrans)", text):
            found[re.sub(r"\{\{\s*(\w+)\s*\}\}", r"%(\1)s", block.replace("%", "%%"))] = file
    return found


@pytest.mark.parametrize("say", [said_in_python, said_in_templates])
def test_whatever_is_said_anywhere_has_its_translation(say: Callable[[], dict[str, Path]]) -> None:
    known = {source for source, _translated in messages()} | SAME | ELSEWHERE
    missing = {source: file.name for source, file in say().items() if source and source not in known}
    assert not missing
