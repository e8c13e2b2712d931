"""Signing in: OAuth 2.0 with a code that works once and refresh tokens that rotate."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from connectors.contract import Account, Credentials
from connectors.failures import Category, Failure
from connectors.http import Client

TOKEN_PATH = "/Api/v3/oauth/token"  # noqa: S105 - an address
CONSENT_PATH = "/Api/v3/oauth/authorize"


def bearer(token: str) -> Mapping[str, str]:
    """Tokens are JWTs; Bling wants to be told so on every call."""
    return {"Authorization": f"Bearer {token}", "enable-jwt": "1"}


def consent_url(account: Account, state: str) -> str:
    """The redirect address is the one registered with the application, so it is not sent."""
    query = {"response_type": "code", "client_id": account.credentials["client_id"], "state": state}
    return f"{account.hosts['consent'].rstrip('/')}{CONSENT_PATH}?{urlencode(query)}"


def exchange(http: Client, code: str, query: Mapping[str, str]) -> Credentials:
    if error := query.get("error"):
        raise Failure(Category.AUTH, f"Bling did not give its consent: {query.get('error_description') or error}.")
    # A second use of the code revokes what the first one granted: never repeated.
    return _tokens(http, {"grant_type": "authorization_code", "code": code}, once=True)


def refresh(http: Client) -> Credentials:
    token = str(http.account.credentials.get("refresh_token", ""))
    if not token:
        raise Failure(Category.AUTH, "This Bling account has not been connected yet.")
    return _tokens(http, {"grant_type": "refresh_token", "refresh_token": token}, once=False)


def _tokens(http: Client, form: Mapping[str, str], *, once: bool) -> Credentials:
    known = dict(http.account.credentials)
    pair = f"{known.get('client_id', '')}:{known.get('client_secret', '')}"
    answer = http.post(
        TOKEN_PATH,
        operation="token",
        data=dict(form),
        headers={
            "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
            "Accept": "1.0",
            "enable-jwt": "1",
        },
        signed=False,
        effect=once,
    ).reader()
    life = timedelta(seconds=min(answer.integer("expires_in"), 30 * 86_400))
    return {
        **known,
        "access_token": answer.text("access_token"),
        "refresh_token": answer.text("refresh_token"),
        "expires_at": (datetime.now(UTC) + life).isoformat(),
    }
