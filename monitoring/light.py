"""The light: whether all is well, in one word and three numbers. One judgement for the first page and every header."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Light:
    """What is open of some sellers: connections and those that rest or are stuck, jobs by state, documents, orders."""

    connections: int = 0
    idle: int = 0
    overdue: int = 0
    running: int = 0
    ready: int = 0
    # Of those that are ready: failed before.
    trying: int = 0
    unknown: int = 0
    refused: int = 0
    unread: int = 0
    rejected: int = 0
    held: int = 0
    not_in_erp: int = 0
    incidents: int = 0

    @property
    def waiting(self) -> int:
        return self.ready - self.trying + self.unread

    @property
    def failed(self) -> int:
        """As many as the page of failures lists."""
        return self.refused + self.rejected + self.unknown + self.trying

    @property
    def needs_person(self) -> bool:
        return bool(self.refused or self.rejected or self.idle or self.overdue)

    @property
    def clear(self) -> bool:
        """Nothing is open: said only when every sale has arrived and every connection works."""
        return bool(self.connections) and not (
            self.needs_person or self.failed or self.unread or self.held or self.not_in_erp or self.incidents
        )

    @property
    def tone(self) -> str:
        if not self.connections:
            return "grey"
        if self.clear:
            return "green"
        return "red" if self.needs_person else "amber"
