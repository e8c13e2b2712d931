"""Signing in: OAuth 2.0 with a code and refresh tokens that each work once."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlencode

from connectors.contract import Account, Credentials
from connectors.failures import Category, Failure
from connectors.http import Client


def bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def consent_url(account: Account, state: str) -> str:
    """The redirect address must equal the registered one byte for byte."""
    query = {
        "response_type": "code",
        "client_id": account.credentials["client_id"],
        "redirect_uri": account.redirect_uri,
        "state": state,
    }
    if _proves(account):
        query |= {"code_challenge": challenge(_verifier(account, state)), "code_challenge_method": "S256"}
    return f"{account.hosts['consent'].rstrip('/')}/authorization?{urlencode(query)}"


def exchange(http: Client, code: str, query: Mapping[str, str]) -> Credentials:
    if error := query.get("error"):
        raise Failure(
            Category.AUTH, f"Mercado Livre did not give its consent: {query.get('error_description') or error}."
        )
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": http.account.redirect_uri}
    if _proves(http.account):
        form["code_verifier"] = _verifier(http.account, query.get("state", ""))
    return _tokens(http, form)


def _proves(account: Account) -> bool:
    """Whether the application was registered with PKCE (RFC 7636), which then is mandatory."""
    return account.settings.get("pkce") == "yes"


def _verifier(account: Account, state: str) -> str:
    """Nothing to keep between the two steps: it is made anew from the state, with what no browser ever sees."""
    key = str(account.credentials.get("client_secret", ""))
    return _plain(hmac.new(key.encode(), state.encode(), sha256).digest())


def challenge(verifier: str) -> str:
    return _plain(sha256(verifier.encode()).digest())


def _plain(digest: bytes) -> str:
    return urlsafe_b64encode(digest).decode().rstrip("=")


def refresh(http: Client) -> Credentials:
    token = str(http.account.credentials.get("refresh_token", ""))
    if not token:
        raise Failure(Category.AUTH, "This Mercado Livre account has not been connected yet.")
    return _tokens(http, {"grant_type": "refresh_token", "refresh_token": token})


def _tokens(http: Client, form: Mapping[str, str]) -> Credentials:
    known = dict(http.account.credentials)
    application = {name: known.get(name, "") for name in ("client_id", "client_secret")}
    # The code and the refresh token die with their first use, so a call that may have arrived is not repeated.
    answer = http.post(
        "/oauth/token", operation="token", data={**form, **application}, signed=False, effect=True
    ).reader()
    life = timedelta(seconds=min(answer.integer("expires_in"), 30 * 86_400))
    return {
        **known,
        "access_token": answer.text("access_token"),
        "refresh_token": answer.text("refresh_token", ""),
        "user_id": answer.text("user_id", str(known.get("user_id", ""))),
        "expires_at": (datetime.now(UTC) + life).isoformat(),
    }
