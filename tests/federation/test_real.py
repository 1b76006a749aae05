"""OpenID Connect Core section 3.1 with npm's oidc-provider: discovery, the visit, the token, and the account."""

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx2
import pytest

from tests.federation.real import Pair, pair
from tests.lab import claims

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CALLBACK = "http://127.0.0.1/callback"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair(tmp_path_factory.mktemp("upstream")) as found:
        yield found


def authorize_url(issuer: str) -> str:
    asked = {
        "response_type": "code",
        "client_id": "desk-app",
        "redirect_uri": CALLBACK,
        "state": "st4te",
        "scope": "tickets:read",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"{issuer}/authorize?{urlencode(asked)}"


def walked(http: httpx2.Client, answer: httpx2.Response, fields: dict[str, str]) -> httpx2.Response:
    """Follow redirects and fill every form on the way, until somebody leaves for the client."""
    for _ in range(30):
        if answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(CALLBACK):
                return answer
            answer = http.get(target)
            continue
        assert answer.status_code == 200, (answer.status_code, str(answer.url), answer.text)
        if (link := re.search(r'href="([^"]*/login/upstream/corp\?[^"]*)"', answer.text)) is not None:
            answer = http.get(html.unescape(link[1]))
            continue
        form = re.search(r'<form[^>]*action="([^"]*)"', answer.text)
        assert form is not None, answer.text
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', answer.text))
        target = urljoin(str(answer.url), html.unescape(form[1]))
        origin = f"{urlsplit(target).scheme}://{urlsplit(target).netloc}"
        sent = {name: html.unescape(value) for name, value in hidden.items()} | fields
        answer = http.post(target, data=sent, headers={"Origin": origin})
    raise AssertionError(answer.url)


@pytest.mark.parametrize("person", ["erin", "alice"])
def test_a_person_of_the_real_provider_gets_a_token(both: Pair, person: str) -> None:
    with httpx2.Client(trust_env=False, timeout=20) as http:
        answer = http.get(authorize_url(both.broker.issuer))
        fields = {"login": person, "password": "any", "decision": "allow"}
        left = walked(http, answer, fields)
        came = parse_qs(urlsplit(left.headers["location"]).query)
        assert "code" in came, left.headers["location"]
        form = {
            "grant_type": "authorization_code",
            "client_id": "desk-app",
            "code": came["code"][0],
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        token = claims(http.post(f"{both.broker.issuer}/token", data=form).json()["access_token"])
    assert token["tenant"] == "acme" and token["amr"] == ["fed"]
    if person == "erin":
        assert token["sub"] == "erin"
    else:
        assert str(token["sub"]).startswith("alice-"), "alice is somebody else, who has an account here"
