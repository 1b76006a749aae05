"""Clients that push their requests before they send a browser (RFC 9126)."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from werkzeug.test import TestResponse

from tests.lab import ISSUER, Browser, Lab, landed

PREFIX = "urn:ietf:params:oauth:request_uri:"


def asked(lab: Lab, client_id: str = "web-app", **changes: str | None) -> dict[str, str]:
    """The parameters of an authorization request."""
    return dict(parse_qsl(urlsplit(lab.authorize_url(client_id, **changes)).query))


def push(
    lab: Lab,
    client_id: str = "web-app",
    door: str = "",
    source: str = "203.0.113.7",
    dpop: str | None = None,
    **changes: str | None,
) -> TestResponse:
    """Push a request as this client."""
    form, headers = lab._as(client_id, {**asked(lab, client_id, **changes), "dpop": dpop})
    return lab.post(f"{door}/par", form, headers, source)


def pushed(lab: Lab, client_id: str = "web-app", **changes: str | None) -> str:
    """The request_uri of a request that was accepted."""
    answer = push(lab, client_id, **changes)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return str(answer.json["request_uri"])


def address(uri: str, client_id: str | None = "web-app", door: str = "", **more: str) -> str:
    """Where the client sends the browser then."""
    named = {} if client_id is None else {"client_id": client_id}
    return f"{door}/authorize?" + urlencode({**named, "request_uri": uri, **more})


def arrives(
    lab: Lab, uri: str, client_id: str = "web-app", browser: Browser | None = None, **more: str
) -> dict[str, str]:
    """What the client receives once alice signed in and allowed what was pushed."""
    browser = browser or lab.browser()
    page = browser.get(address(uri, client_id, **more))
    if b'name="password"' in page.data:
        page = browser.sign_in(page)
    return landed(page if page.status_code == 303 else browser.allow(page))


def proof_for(lab: Lab, holder: object, path: str = "/par", **changes: object) -> str:
    """A DPoP proof for an endpoint."""
    return holder.proof(f"{ISSUER}{path}", lab.clock.now(), **changes)  # type: ignore[attr-defined]  # a Holder
