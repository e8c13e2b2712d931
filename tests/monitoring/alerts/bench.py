"""One rule whose causes the test decides, a clock to turn, and everything that was written for people."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from hub import vault
from hub.models import Seller
from monitoring.alerts import causes, watch
from monitoring.alerts.causes import Cause
from monitoring.models import Alert, AlertRule, Delivery, Destination

# A Wednesday; 9 h in São Paulo.
NINE = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@dataclass
class Bench:
    seller: Seller
    now: datetime = NINE
    causes: list[Cause] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.phone = self.destination("Phone")
        self.rule = self.rule_for(self.phone)

    def destination(self, name: str, **opened: Any) -> Destination:
        opened = opened or {"url": "https://chat.example/hook"}
        return Destination.objects.create(
            seller=self.seller, name=name, kind="chat", language="en", sealed=vault.seal(opened)
        )

    def rule_for(self, *destinations: Destination, kind: str = "backlog", **choices: Any) -> AlertRule:
        rule = AlertRule.objects.create(seller=self.seller, kind=kind, **choices)
        rule.destinations.set(destinations)
        return rule

    def set(self, **choices: Any) -> None:
        AlertRule.objects.filter(pk=self.rule.pk).update(**choices)

    def there_is(self, *names: str, **facts: Any) -> None:
        """From now on these are the causes, and nothing else."""
        data = {"connection": "Loja", "count": 1, "since": NINE.isoformat()}
        data |= {name: facts.pop(name) for name in ("count", "stage") if name in facts}
        self.causes = [Cause(name, "backlog", {**data, "connection": name}, "/x/", **facts) for name in names]

    def look(self, **later: float) -> list[Delivery]:
        """Turns the clock by so many minutes or hours and looks; returns the messages that this look wrote."""
        self.now += timedelta(**later)
        known = set(Delivery.objects.values_list("pk", flat=True))
        with self.asked():
            watch.look(self.seller, self.now)
        return list(Delivery.objects.exclude(pk__in=known).order_by("pk"))

    @contextmanager
    def asked(self) -> Iterator[None]:
        with patch.dict(causes.KINDS, {"backlog": lambda seller, params, now: iter(self.causes)}):
            yield

    def alert(self, name: str = "a") -> Alert:
        return Alert.objects.filter(cause=name).latest("pk")
