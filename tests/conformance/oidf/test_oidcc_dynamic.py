"""The OpenID suite's plan oidcc-dynamic, by name: clients that register themselves."""

from collections.abc import Iterator
from dataclasses import replace

import jwt
import pytest
from werkzeug.test import TestResponse

from tests import openid
from tests.assertions import JWT_BEARER, KeyHost
from tests.lab import CALLBACK, ISSUER, VERIFIER, Lab, assert_page, landed, warned
from tests.proofs import Holder


def registered(lab: Lab, **metadata: object) -> str:
    answer = lab.register(grant_types=["authorization_code", "refresh_token"], **metadata)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    client_id: str = answer.json["client_id"]
    return client_id


def refused(lab: Lab, **metadata: object) -> str:
    answer = lab.register(**metadata)
    assert answer.status_code == 400, answer.get_data(as_text=True)
    error: str = answer.json["error"]
    return error


def test_oidcc_idtoken_rs256(lab: Lab) -> None:
    client = registered(lab, id_token_signed_response_alg="RS256")
    got = openid.login(lab, client)
    assert jwt.get_unverified_header(got.id_token)["alg"] == "RS256"
    said = openid.verified(lab, got.id_token, client)
    assert said["at_hash"] == openid.half_hash(got.tokens["access_token"])


def test_oidcc_idtoken_unsigned(lab: Lab) -> None:
    assert refused(lab, id_token_signed_response_alg="none") == "invalid_client_metadata"


def test_oidcc_userinfo_rs256(lab: Lab) -> None:
    """Signed answers are not offered: the member is ignored, and the answer is JSON."""
    client = registered(lab, userinfo_signed_response_alg="RS256")
    assert "userinfo_signing_alg_values_supported" not in (lab.get("/.well-known/openid-configuration").json)
    told = openid.userinfo(lab, openid.login(lab, client).tokens["access_token"])
    assert (told.mimetype, told.json["sub"]) == ("application/json", "alice")


def test_oidcc_ensure_redirect_uri_in_authorization_request(lab: Lab) -> None:
    client = registered(lab, redirect_uris=[CALLBACK, f"{CALLBACK}/two"])
    assert_page(lab.browser().get(openid.ask(lab, client, redirect_uri=None)), 400)
    assert openid.login(lab, client).tokens["id_token"]


def test_oidcc_redirect_uri_query_OK(lab: Lab) -> None:
    uri = f"{CALLBACK}?foo=bar"
    client = registered(lab, redirect_uris=[uri])
    browser = lab.browser()
    page = browser.sign_in(browser.get(openid.ask(lab, client, redirect_uri=uri)))
    arrived = landed(browser.allow(page))
    assert arrived["foo"] == "bar" and "code" in arrived


def test_oidcc_redirect_uri_query_mismatch(lab: Lab) -> None:
    client = registered(lab, redirect_uris=[f"{CALLBACK}?foo=bar"])
    assert_page(lab.browser().get(openid.ask(lab, client, redirect_uri=f"{CALLBACK}?bar=foo")), 400)


def test_oidcc_redirect_uri_query_added(lab: Lab) -> None:
    client = registered(lab)
    assert_page(lab.browser().get(openid.ask(lab, client, redirect_uri=f"{CALLBACK}?foo=bar")), 400)


def test_oidcc_redirect_uri_regfrag(lab: Lab) -> None:
    assert refused(lab, redirect_uris=[f"{CALLBACK}#foobar"]) == "invalid_redirect_uri"


def test_oidcc_discovery(lab: Lab) -> None:
    found = lab.get("/.well-known/openid-configuration").json
    assert found["registration_endpoint"] == f"{ISSUER}/register"


def test_oidcc_server(lab: Lab) -> None:
    client = registered(lab)
    assert openid.verified(lab, openid.login(lab, client).id_token, client)["sub"] == "alice"


def shown(lab: Lab, member: str, address: str) -> TestResponse:
    """The consent page of a client with such a link."""
    client = registered(lab, **{member: address})
    browser = lab.browser()
    return browser.sign_in(browser.get(openid.ask(lab, client)))


def test_oidcc_registration_logo_uri(lab: Lab) -> None:
    """Ignored: a page here shows nothing that a client could choose to look like somebody else."""
    assert "pictures.example" not in assert_page(
        shown(lab, "logo_uri", "https://pictures.example/l.png"), 200
    )
    assert refused(lab, logo_uri="https://127.0.0.1/logo.png") == "invalid_client_metadata"


def test_oidcc_registration_policy_uri(lab: Lab) -> None:
    """Ignored, for the same reason."""
    assert "words.example" not in assert_page(shown(lab, "policy_uri", "https://words.example/policy"), 200)
    assert refused(lab, policy_uri="javascript:alert(1)") == "invalid_client_metadata"


def test_oidcc_registration_tos_uri(lab: Lab) -> None:
    """Ignored, for the same reason."""
    assert "words.example" not in assert_page(shown(lab, "tos_uri", "https://words.example/terms"), 200)
    assert refused(lab, tos_uri="data:text/html,x") == "invalid_client_metadata"


def test_oidcc_registration_sector_uri(lab: Lab) -> None:
    """Subjects are the same for every client, so that nothing depends on the sector: it is ignored."""
    client = registered(lab, sector_identifier_uri="https://client.example/sector.json")
    assert openid.verified(lab, openid.login(lab, client).id_token, client)["sub"] == "alice"


def test_oidcc_registration_sector_bad(lab: Lab) -> None:
    assert refused(lab, sector_identifier_uri="http://10.0.0.1/sector") == "invalid_client_metadata"


@pytest.fixture
def keys() -> Iterator[KeyHost]:
    host = KeyHost()
    yield host
    host.close()


class ByKey:
    """A client that registered with its key, and proves itself with it."""

    def __init__(self, lab: Lab, **metadata: object) -> None:
        self.lab, self.holder, self.count = lab, Holder(), 0
        self.jwk = {**self.holder.jwk, "kid": "first", "use": "sig", "alg": "ES256"}
        given = metadata or {"jwks": {"keys": [self.jwk]}}
        self.id = registered(lab, token_endpoint_auth_method="private_key_jwt", **given)

    def _form(self, **form: str) -> TestResponse:
        self.count += 1
        now = int(self.lab.clock.now())
        who = {"iss": self.id, "sub": self.id, "aud": ISSUER, "iat": now, "exp": now + 60}
        head = {"typ": "JWT", "alg": "ES256", "kid": self.jwk["kid"]}
        assertion = self.holder.signed(head, {**who, "jti": f"{self.id}-{self.count}"})
        proof = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER}
        return self.lab.post("/token", {**proof, **form})

    def login(self) -> TestResponse:
        browser = self.lab.browser()
        page = browser.sign_in(browser.get(openid.ask(self.lab, self.id)))
        code = landed(browser.allow(page))["code"]
        return self._form(
            grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER
        )

    def refresh(self, token: str) -> TestResponse:
        return self._form(grant_type="refresh_token", refresh_token=token)


def test_oidcc_registration_jwks_uri(lab: Lab) -> None:
    """The key set at an address; that it is fetched is proven where clients authenticate."""
    client = registered(
        lab, token_endpoint_auth_method="private_key_jwt", jwks_uri="https://client.example/jwks.json"
    )
    assert lab.client(client).jwks_uri == "https://client.example/jwks.json"
    given = {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://client.example/jwks.json"}
    assert refused(lab, **given) == "invalid_client_metadata"


def test_oidcc_server_rotate_keys(lab: Lab) -> None:
    client = registered(lab)
    before = {key["kid"] for key in lab.get("/jwks").json["keys"]}
    first = openid.login(lab, client)
    lab.broker.door_keys.rotate(ISSUER, "ES256")
    lab.clock.advance(lab.broker.settings.key_publish_before + 1)
    lab.broker.door_keys.tend()
    lab.broker.door_keys.refresh()
    after = {key["kid"] for key in lab.get("/jwks").json["keys"]}
    second = openid.login(lab, client)
    kids = [jwt.get_unverified_header(token)["kid"] for token in (first.id_token, second.id_token)]
    assert kids[0] in before & after and kids[1] in after - before
    assert openid.verified(lab, second.id_token, client)["sub"] == "alice"


def test_oidcc_refresh_token_rp_key_rotation(lab: Lab, keys: KeyHost) -> None:
    """A client publishes another key and goes on refreshing with that one."""
    keys.reached_from(lab)
    client = ByKey(lab)
    token = client.login().json["refresh_token"]
    lab.put_client(replace(lab.client(client.id), jwks=None, jwks_uri=keys.url))
    client.holder = Holder()
    client.jwk = {**client.holder.jwk, "kid": "second", "use": "sig", "alg": "ES256"}
    keys.publish(client.jwk)
    answer = client.refresh(token)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert openid.verified(lab, answer.json["id_token"], client.id)["sub"] == "alice"


def test_oidcc_request_uri_unsigned(lab: Lab) -> None:
    """Not offered."""
    client = registered(lab)
    asked = openid.ask(lab, client, request_uri="https://client.example/request.jwt")
    assert warned(lab.browser().get(asked))["error"] == "request_uri_not_supported"


def test_oidcc_request_uri_signed_rs256(lab: Lab) -> None:
    """Not offered: the wish to sign them is ignored, and a request object is refused."""
    client = registered(lab, request_object_signing_alg="RS256")
    asked = openid.ask(lab, client, request_uri="https://client.example/request.jwt#hash")
    assert warned(lab.browser().get(asked))["error"] == "request_uri_not_supported"


def test_oidcc_ensure_request_object_with_redirect_uri(lab: Lab) -> None:
    client = registered(lab)
    asked = openid.ask(lab, client, request="eyJhbGciOiJub25lIn0.e30.")
    assert warned(lab.browser().get(asked))["error"] == "request_not_supported"


def test_oidcc_refresh_token(lab: Lab) -> None:
    client = registered(lab)
    got = openid.login(lab, client)
    answer = lab.refresh(got.tokens["refresh_token"], client).json
    assert openid.verified(lab, answer["id_token"], client)["sub"] == "alice"


def test_oidcc_ensure_client_assertion_with_iss_aud_succeeds(lab: Lab) -> None:
    client = ByKey(lab)
    answer = client.login()
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert openid.verified(lab, answer.json["id_token"], client.id)["sub"] == "alice"
