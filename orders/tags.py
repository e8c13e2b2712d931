"""Words on an order: the channel's, the hub's own two, and those that people give."""

from typing import Any

from django.db.models import BooleanField, F, Func, JSONField, Value
from django.utils.translation import gettext_lazy

RETURN_FLOW = "return flow"
# A person has given the parcel up; should it arrive after all, that counts.
LOST = "lost"
_LABELS = {RETURN_FLOW: gettext_lazy("return flow"), LOST: gettext_lazy("lost")}


def label(tag: str) -> str:
    """As people read it."""
    return str(_LABELS.get(tag, tag))


class Tagged(Func):
    """Whether the order has this tag, on either database. PostgreSQL answers it by the index of those with any."""

    output_field = BooleanField()
    conditional = True
    template = "(%(expressions)s)"
    arg_joiner = " @> "

    def __init__(self, tag: str) -> None:
        super().__init__(F("tags"), Value([tag], output_field=JSONField()))
        self.tag = tag

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        tags, with_tags = compiler.compile(self.get_source_expressions()[0])
        # The tag itself is a parameter; `tags` is our own column.
        return f"EXISTS (SELECT 1 FROM json_each({tags}) WHERE value = %s)", [*with_tags, self.tag]  # noqa: S608
