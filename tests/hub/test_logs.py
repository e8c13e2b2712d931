import json
import logging
import logging.config
import sys
from typing import Any

import pytest
from django.conf import settings

from hub import logs


def written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], style: str) -> str:
    """One line as the configured handler writes it, inside two scopes."""
    configured = logging.config.DictConfigurator(settings.LOGGING)
    handler = logging.StreamHandler(sys.stdout)
    formatters: Any = settings.LOGGING["formatters"]
    handler.setFormatter(configured.configure_formatter(formatters[style]))
    handler.addFilter(logs.Ids())
    monkeypatch.setattr(logging.getLogger("said"), "handlers", [handler])
    with logs.about(connection=3), logs.about(job=7, order=None):
        logging.getLogger("said").warning("It went wrong: %s", "no answer")
    logging.getLogger("said").warning("afterwards")
    return capsys.readouterr().out


def test_json_has_the_ids_as_fields(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = map(json.loads, written(monkeypatch, capsys, "json").splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("WARNING", "said", "It went wrong: no answer")
    assert (first["connection"], first["job"]) == (3, 7)
    assert "order" not in first
    assert "about" not in first
    assert "job" not in second


def test_a_line_ends_with_the_ids(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = written(monkeypatch, capsys, "line").splitlines()
    assert first.endswith("It went wrong: no answer connection=3 job=7")
    assert second.rstrip().endswith("afterwards")
