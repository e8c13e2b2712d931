"""Login with Amazon: OAuth 2.0 tokens. The refresh token stays the same until the seller authorises again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from connectors.contract import Account, Credentials
from connectors.failures import Category, Failure, Fault
from connectors.http import Client

T = TypeVar("T")
TOKEN_PATH = "/auth/o2/token"  # noqa: S105 - a path
CONSENT_PATH = "/apps/authorize/consent"
# The token row is locked during this call.
REFRESH_SECONDS = 6.0


def headers(token: str) -> Mapping[str, str]:
    """No signature: Amazon has ignored AWS signatures since October 2023."""
    return {"x-amz-access-token": token, "x-amz-date": datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")}


def explain(body: Any) -> tuple[str, str]:
    """(code, message). Several errors may come together; codes are spelled with and without a space."""
    if not isinstance(body, dict):
        return "", ""
    if isinstance(body.get("error"), str):
        return body["error"][:80], str(body.get("error_description") or "")[:500]
    errors = [error for error in _as_list(body.get("errors")) if isinstance(error, dict)]
    if not errors:
        return "", ""
    parts = [str(error[key]) for error in errors for key in ("message", "details") if error.get(key)]
    return str(errors[0].get("code") or "").replace(" ", "")[:80], " ".join(parts)[:500]


def _as_list(value: Any) -> list[Any]:
    # A submitInvoice answer nests the list once more, as `errors.errors`.
    if isinstance(value, dict):
        value = value.get("errors")
    return value if isinstance(value, list) else []


def consent_url(account: Account, state: str) -> str:
    query = {"application_id": account.settings.get("application_id", ""), "state": state}
    return f"{account.hosts['consent']}{CONSENT_PATH}?{urlencode(query)}"


def exchange(account: Account, http: Client, code: str, query: Mapping[str, str]) -> Credentials:
    """The code of the consent page (`spapi_oauth_code`, good for about five minutes) for the first tokens."""
    form = {"grant_type": "authorization_code", "code": code or query.get("spapi_oauth_code", "")}
    if account.redirect_uri:
        form["redirect_uri"] = account.redirect_uri
    credentials = _tokens(account, http, form)
    if partner := query.get("selling_partner_id"):
        credentials["selling_partner_id"] = partner
    return credentials


def refresh(account: Account, http: Client) -> Credentials:
    return _tokens(
        account,
        http,
        {"grant_type": "refresh_token", "refresh_token": account.credentials.get("refresh_token", "")},
    )


def _tokens(account: Account, http: Client, form: Mapping[str, str]) -> Credentials:
    held = account.credentials
    answer = http.post(
        TOKEN_PATH,
        operation="token",
        host="login",
        data={**form, "client_id": held.get("client_id", ""), "client_secret": held.get("client_secret", "")},
        signed=False,
        effect=False,
        seconds=REFRESH_SECONDS,
    ).reader()
    dies = datetime.now(UTC) + timedelta(seconds=max(0, min(answer.integer("expires_in", 3600), 86_400)))
    return {
        **held,
        "access_token": answer.text("access_token"),
        "refresh_token": answer.text("refresh_token", str(held.get("refresh_token", ""))),
        "expires_at": dies.isoformat(),
    }


@contextmanager
def not_enabled(sentence: str) -> Iterator[None]:
    """Around a call that needs more than reading orders: one API that Amazon has not enabled must not stop the
    connection's orders, as a lost sign-in would. `sentence` says what to do.
    """
    try:
        yield
    except Failure as failure:
        if failure.status != 403:
            raise
        raise Failure(Category.REJECTED, sentence, code="not_enabled", status=403, fault=Fault.SELLER) from failure


class Renewal:
    """Amazon answers 403, not 401, to an expired token: such a call is made once more with a new one.

    A 403 also means a missing role, so it is tried once per piece of work, not once per call.
    """

    def __init__(self, http: Client) -> None:
        self.http = http
        self.done = False

    def around(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Failure as failure:
            if failure.status != 403 or self.done or self.http.around.tokens is None:
                raise
        self.done = True
        self.http.around.tokens.renew(self.http.around.tokens.current())
        return call()
