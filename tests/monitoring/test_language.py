"""Portuguese is complete: every message of ours has its translation, and pages show no English one."""

import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from connectors.registry import services
from tests.monitoring.test_strangers import NAMES, _path
from tests.monitoring.world import World, browser_of, person, text_of

FOLDER = Path(settings.BASE_DIR) / "hub" / "locale" / "pt_BR" / "LC_MESSAGES"
# The same in both languages.
SAME = {"ERP", "UF", "CNPJs", "Total", "total", "item", "status"}


def messages() -> list[tuple[str, str]]:
    """(source, translation) of the catalogue that is read at run time."""
    with (FOLDER / "django.mo").open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return [(key[0] if isinstance(key, tuple) else key, value) for key, value in catalogue.items() if key]


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
            if answer.status_code == 200:
                leftover = visible_texts(text_of(answer)) & (foreign - own)
                assert not leftover, f"{path}: {leftover}"
