"""Every failure has a category, an owner and a sentence for the person who reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from orders.documents import storable


class Category(StrEnum):
    TRANSIENT = "transient"  # retried by itself, with a growing wait
    RATE_LIMITED = "rate_limited"  # due again when the service says
    AUTH = "auth"  # the connection pauses until somebody signs in again
    REJECTED = "rejected"  # the data is wrong: a person decides
    BUG = "bug"  # ours


class Fault(StrEnum):
    """Whose move it is."""

    SELLER = "seller"
    SERVICE = "service"
    HUB = "hub"


class Failure(Exception):  # noqa: N818 - the product's own word, also on pages
    """A call, or the work around it, that did not do what it should.

    `uncertain` says that a write may nevertheless have happened (time-out, connection lost, a gateway's 5xx): it is
    looked up before it is ever repeated. `retry_at` is the earliest time for the next try, where it is known.
    `path` is the JSON path of the offending value.
    """

    def __init__(
        self,
        category: Category,
        message: str,
        *,
        code: str = "",
        status: int | None = None,
        fault: Fault | None = None,
        path: str = "",
        retry_at: datetime | None = None,
        uncertain: bool = False,
    ) -> None:
        # Services' own words end up here, and here they become rows.
        super().__init__(storable(message))
        self.category = category
        self.message = storable(message)
        self.code = storable(code)
        self.status = status
        self.fault = fault or _USUAL_FAULT[category]
        self.path = storable(path)
        self.retry_at = retry_at
        self.uncertain = uncertain

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


_USUAL_FAULT = {
    Category.TRANSIENT: Fault.SERVICE,
    Category.RATE_LIMITED: Fault.SERVICE,
    Category.AUTH: Fault.SELLER,
    Category.REJECTED: Fault.SELLER,
    Category.BUG: Fault.HUB,
}


class Refusal(Failure):
    """This document cannot be read or this data cannot be sent: `path` says where, the message what."""

    def __init__(self, message: str, *, path: str = "", code: str = "") -> None:
        super().__init__(Category.REJECTED, message, path=path, code=code)


# The code of a step whose time has not come: waiting for the other side is no trouble.
NOT_YET = "not_yet"


class NotYet(Failure):
    """The other side is not ready for this step. No attempt is counted; the job comes back at `retry_at`."""

    def __init__(self, message: str, *, retry_at: datetime) -> None:
        super().__init__(Category.TRANSIENT, message, code=NOT_YET, retry_at=retry_at)


# What differs between equal failures: what is quoted, numbers, ids and dates.
_PARTICULARS = re.compile(r"\"[^\"]*\"|'[^']*'|\b[\w.:/-]*\d[\w.:/-]*")


def in_general(text: str, mark: str = "#") -> str:
    """The sentence without its particulars."""
    return _PARTICULARS.sub(mark, text)


def cause_of(failure: Failure) -> str:
    """A short key, the same for failures of one cause: category, code, and the message without its particulars."""
    text = in_general(f"{failure.path}: {failure.message}").casefold()
    return sha256(f"{failure.category}\0{failure.code}\0{text}".encode()).hexdigest()[:16]


def unexpected(error: Exception, category: Category = Category.BUG, *, uncertain: bool = False) -> Failure:
    """Whatever escaped where only `Failure` may: said where a person looks. The caller logs its traceback."""
    return Failure(category, f"{type(error).__name__}: {error}"[:500], uncertain=uncertain)


class LeaseLost(Exception):  # noqa: N818
    """Another worker has taken this job over: stop, and write nothing."""


@dataclass(frozen=True)
class Verdict:
    """A row of the failure table: what a status or error code means and what to tell the person.

    `certain` overrides the general rule of which answers leave a write's outcome open.
    """

    category: Category
    sentence: str
    fault: Fault | None = None
    certain: bool | None = None


@dataclass(frozen=True)
class FailureTable:
    """status or error code -> verdict. A service names only the rows in which it differs."""

    by_code: Mapping[str, Verdict] = field(default_factory=dict)
    by_status: Mapping[int, Verdict] = field(default_factory=dict)

    def verdict(self, status: int, code: str = "") -> Verdict:
        return (
            self.by_code.get(code)
            or self.by_status.get(status)
            or _BY_STATUS.get(status)
            or _BY_CLASS.get(status // 100)
            or _UNEXPECTED
        )


_UNEXPECTED = Verdict(Category.BUG, "The service gave an answer this hub does not expect.")
_BY_CLASS = {
    3: Verdict(Category.TRANSIENT, "The service redirects to another address, which is not followed."),
    4: Verdict(Category.REJECTED, "The service refused this request."),
    5: Verdict(Category.TRANSIENT, "The service is failing at the moment."),
}
_BY_STATUS = {
    401: Verdict(Category.AUTH, "The service no longer accepts this connection's sign-in."),
    403: Verdict(Category.AUTH, "The service denies this connection the permission for this."),
    408: Verdict(Category.TRANSIENT, "The service took too long to read the request."),
    425: Verdict(Category.TRANSIENT, "The service is not ready for this request."),
    429: Verdict(Category.RATE_LIMITED, "The service's limit of calls is used up."),
    501: Verdict(Category.REJECTED, "The service does not offer this."),
}
