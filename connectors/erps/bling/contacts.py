"""The buyer as a Bling contact: found by the document, made, or brought up to date."""

import json
from collections.abc import Mapping
from typing import Any

from connectors.erps.bling import payloads
from connectors.erps.bling.calls import PAGE_SIZE, Calls, id_of_write
from connectors.failures import Category, Failure
from connectors.reading import document_number
from orders.documents import OrderDocument


class Contacts:
    def __init__(self, calls: Calls, settings: Mapping[str, Any]) -> None:
        self.calls, self.settings = calls, settings

    def of(self, order: OrderDocument) -> int:
        wanted = payloads.contact(order)
        found = self._find(wanted["numeroDocumento"])
        if not found:
            return self._make(wanted)
        if self.settings.get("update_contacts", True) not in (False, "false", "no", "0"):
            self._refresh(found, wanted)
        return found

    def _find(self, number: str, **query: str) -> int:
        """Id of the contact with exactly this document; 0 for none. Deleted ones do not count."""
        asked = query or {"numeroDocumento": number}
        params = {**asked, "criterio": "1", "pagina": "1", "limite": str(PAGE_SIZE)}
        rows = self.calls.get("/contatos", operation="find_contact", params=params).list("data")
        ids = [
            row.integer("id")
            for row in rows
            if document_number(row.text("numeroDocumento", "")) == number and row.text("situacao", "A") != "E"
        ]
        # Bling itself makes duplicates at times; the oldest is the one the seller knows.
        return min(ids, default=0)

    def _make(self, wanted: Mapping[str, Any]) -> int:
        try:
            made = self.calls.send("POST", "/contatos", operation="create_contact", json=wanted, effect=True)
            return int(id_of_write(made.reader()))
        except Failure as failure:
            # Whatever became of the contact, the order was not sent; and the next try looks for the contact first.
            failure.uncertain = False
            if failure.category is not Category.REJECTED or "cadastrado" not in failure.message.lower():
                raise
            return self._registered_before(wanted, failure)

    def _registered_before(self, wanted: Mapping[str, Any], refused: Failure) -> int:
        """Another worker was faster, or the search does not know the document in the way Bling wrote it."""
        number = wanted["numeroDocumento"]
        found = self._find(number) or self._find(number, pesquisa=wanted["nome"])
        if not found:
            raise refused
        return found

    def _refresh(self, contact: int, wanted: Mapping[str, Any]) -> None:
        held = self.calls.get(f"/contatos/{contact}", operation="contact").object("data")
        if (body := payloads.refreshed_contact(held.raw, wanted)) is not None:
            self.calls.send("PUT", f"/contatos/{contact}", operation="update_contact", json=_plain(body))


def _plain(body: Mapping[str, Any]) -> Any:
    """The same body with floats where Bling's JSON had numbers."""
    return json.loads(json.dumps(body, default=float))
