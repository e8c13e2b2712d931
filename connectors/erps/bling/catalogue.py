"""What an order is made of in Bling: products by their codes, and the form of payment."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from connectors.erps.bling import payloads
from connectors.erps.bling.calls import Calls
from connectors.erps.bling.memory import Memory
from connectors.failures import Refusal
from connectors.reading import Reader
from orders.documents import OrderDocument

SKUS_PER_CALL = 50
# The search for products leaves out those without stock unless it is asked for them: none, zero, negative.
STOCK_FILTERS: tuple[str, ...] = ("", "0", "2")

# Keyed by account and host. A product that was deleted meanwhile is noticed when Bling refuses the order.
_products = Memory(seconds=300, size=50_000)
_forms = Memory(seconds=900, size=5_000)


class Catalogue:
    def __init__(self, calls: Calls, settings: Mapping[str, Any], mine: Hashable) -> None:
        self.calls, self.settings, self._mine = calls, settings, mine

    def items(self, skus: Sequence[str]) -> Mapping[str, str]:
        found = self._find_products(skus)
        return {sku: str(min(ids)) for sku, ids in found.items()}

    def products_of(self, order: OrderDocument) -> dict[str, int]:
        """SKU -> product id for all lines; a Refusal that names what Bling does not have."""
        paths = {item.sku: f"$.items[{place}].sku" for place, item in reversed(list(enumerate(order.items)))}
        if "" in paths:
            raise Refusal("The line has no SKU.", path=paths[""], code="sku")
        known: dict[str, int | None] = {sku: _products.get((self._mine, sku)) for sku in paths}
        unknown = [sku for sku, product in known.items() if product is None]
        found = self._find_products(unknown) if unknown else {}
        for sku in unknown:
            known[sku] = _the_one(sku, found.get(sku, ()), paths[sku])
            _products.put((self._mine, sku), known[sku])
        return {sku: product for sku, product in known.items() if product is not None}

    def _find_products(self, skus: Sequence[str]) -> dict[str, list[int]]:
        """SKU -> ids of the products with exactly that code: the active ones where there are any."""
        found: dict[str, list[int]] = {}
        wanted = list(dict.fromkeys(sku for sku in skus if sku))
        for stock in STOCK_FILTERS:
            missing = [sku for sku in wanted if sku not in found]
            for start in range(0, len(missing), SKUS_PER_CALL):
                found |= self._with_codes(missing[start : start + SKUS_PER_CALL], stock)
        return found

    def _with_codes(self, skus: Sequence[str], stock: str) -> dict[str, list[int]]:
        rows: dict[str, list[Reader]] = {}
        query = [("codigos[]", sku) for sku in skus] + [("criterio", "5"), ("tipo", "T")]
        query += [("filtroSaldoEstoque", stock)] if stock else []
        for row in self.calls.rows("/produtos", query, operation="find_products"):
            if (code := str(row.raw.get("codigo") or "")) in skus:
                rows.setdefault(code, []).append(row)
        return {code: _active(same) for code, same in rows.items()}

    def payment_form(self) -> int:
        if chosen := payloads.whole(self.settings, "payment_form"):
            return chosen
        held = _forms.get(self._mine)
        if held is None:
            rows = list(self.calls.rows("/formas-pagamentos", [("situacao", "1")], operation="payment_forms"))
            if not rows:
                raise Refusal("The Bling account has no active form of payment.", path="$.settings.payment_form")
            default = next((row for row in rows if row.integer("padrao", 0) == 1), rows[0])
            held = default.integer("id")
            _forms.put(self._mine, held)
        return int(held)

    def forget(self, order: OrderDocument) -> None:
        """What was remembered may be what Bling refused."""
        _forms.forget(self._mine)
        for item in order.items:
            _products.forget((self._mine, item.sku))


def _active(rows: Sequence[Reader]) -> list[int]:
    active = [row for row in rows if row.text("situacao", "A") == "A"]
    return sorted({row.integer("id") for row in active or rows})


def _the_one(sku: str, ids: Sequence[int], path: str) -> int:
    if not ids:
        raise Refusal(f"Bling has no product with the code {sku!r}.", path=path, code="sku")
    if len(ids) > 1:
        named = ", ".join(str(one) for one in ids)
        raise Refusal(f"Bling has several products with the code {sku!r}: {named}.", path=path, code="sku")
    return ids[0]
