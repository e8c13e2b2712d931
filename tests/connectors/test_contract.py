"""The contract every service must keep, built in or from another package."""

import inspect
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import contract, registry
from connectors.contract import Capability, Role, Service
from connectors.failures import Failure
from connectors.intake import interpret
from connectors.simulation.server import Simulator

SERVICES = list(registry.services().values())
NEEDED = {
    Role.CHANNEL: {Capability.CHANGES, Capability.FETCH},
    Role.ERP: {Capability.CHANGES, Capability.FETCH, Capability.FIND, Capability.CREATE},
}
each = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.kind)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


def samples(service: Service) -> list[Path]:
    folder = Path(inspect.getfile(registry.load(service.adapter))).parent / "samples"
    return sorted(folder.glob("*.json"))


@each
def test_capabilities_are_methods_and_methods_capabilities(service: Service) -> None:
    adapter = registry.load(service.adapter)
    has = {capability for capability in Capability if callable(getattr(adapter, capability.value, None))}
    assert has == set(service.capabilities)
    assert NEEDED[service.role] <= has


@each
def test_methods_take_what_the_contract_passes(service: Service) -> None:
    adapter = registry.load(service.adapter)
    protocol = {Role.CHANNEL: contract.Channel, Role.ERP: contract.Erp}[service.role]
    for name in {capability.value for capability in service.capabilities} & set(dir(protocol)):
        wanted = list(inspect.signature(getattr(protocol, name)).parameters)
        given_ = list(inspect.signature(getattr(adapter, name)).parameters)
        assert given_[: len(wanted)] == wanted, name


@each
def test_secrets_are_marked_and_texts_are_there(service: Service) -> None:
    assert service.label and service.hosts and service.poll_seconds > 0
    for field in service.fields:
        named_like_one = any(word in field.name for word in ("secret", "password", "token"))
        assert field.label and field.secret >= named_like_one, field.name


@each
def test_every_sample_is_understood_or_refused_for_a_reason(service: Service) -> None:
    assert samples(service), "a service brings sample payloads"
    understood = 0
    for path in samples(service):
        try:
            understood += interpret(service.kind, path.read_bytes(), {}) is not None
        except Failure as failure:
            assert failure.category == "rejected" and failure.message, path.name
    assert understood


@each
def test_a_sample_goes_through_normalize(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    for path in samples(service):
        try:
            interpret(service.kind, path.read_bytes(), {})
        except Failure:
            continue
        out = io.StringIO()
        call_command("normalize", service.kind, str(path), stdout=out)
        assert json.loads(out.getvalue())["external_id"]
        return


@each
def test_a_bad_payload_says_where(service: Service, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"half": ')
    with pytest.raises(CommandError, match=r"\$: "):
        call_command("normalize", service.kind, str(bad))


@each
@settings(max_examples=60)
@given(raw=JSON)
def test_no_json_makes_a_mapping_crash(service: Service, raw: Any) -> None:
    try:
        interpret(service.kind, json.dumps(raw).encode(), {})
    except Failure as failure:
        assert failure.category == "rejected", failure


@each
def test_a_simulator_offers_what_the_demo_needs(service: Service) -> None:
    if not service.simulator:
        pytest.skip("runs against a real counterpart")
    simulator = registry.load(service.simulator)()
    assert isinstance(simulator, Simulator)
    for name in ("snapshot", "account_credentials", "account_settings"):
        assert callable(getattr(simulator, name))


def test_the_list_of_services_is_printed() -> None:
    out = io.StringIO()
    call_command("connectors", "--json", stdout=out)
    assert {row["kind"] for row in json.loads(out.getvalue())} == set(registry.services())
