"""RFC 6749 section 2.3: which proofs of a client are taken, and that there is exactly one."""

import base64
from urllib.parse import quote_plus

import pytest

from broker.identity.clients.model import Client, Registered
from tests.lab import SECRETS, Lab, assert_refused, basic

GRANT = {"grant_type": "client_credentials"}
ODD = "p%+ :/é?&=" + "s" * 40
PERCENT = "100%ff-" + "s" * 40  # no UTF-8 once it is decoded


def header(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.fixture
def odd(lab: Lab) -> Lab:
    for client_id, secret in (("odd:id", ODD), ("odd id", ODD), ("percent", PERCENT)):
        client = Client(
            client_id,
            "Odd",
            "acme",
            "client_secret_basic",
            Registered.ADMIN,
            (),
            ("client_credentials",),
            resources=("tickets",),
        )
        lab.put_client(client, secret)
    return lab


def test_basic_is_taken_with_its_percent_encoding(odd: Lab) -> None:
    for client_id, secret in (("odd:id", ODD), ("odd id", ODD), ("percent", PERCENT)):
        sent = header(f"{quote_plus(client_id)}:{quote_plus(secret)}")
        assert odd.post("/token", GRANT, sent).status_code == 200


def test_basic_is_taken_without_its_percent_encoding(odd: Lab) -> None:
    for client_id, secret in (("odd id", ODD), ("percent", PERCENT), ("nightly", SECRETS["nightly"])):
        assert odd.post("/token", GRANT, header(f"{client_id}:{secret}")).status_code == 200


def test_a_secret_that_was_encoded_twice_is_wrong(odd: Lab) -> None:
    sent = header(f"odd+id:{quote_plus(quote_plus(ODD))}")
    odd.refused(odd.post("/token", GRANT, sent), 401, "invalid_client", "client_authentication_failed")


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_scheme_is_the_same_in_any_case(lab: Lab, scheme: str) -> None:
    value = basic("nightly")["Authorization"].replace("Basic", scheme)
    assert lab.post("/token", GRANT, {"Authorization": value}).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Basic " + base64.b64encode(b":secret").decode(),
        "Basic " + base64.b64encode(b"nightly:\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"night\0ly:x").decode(),
        "Bearer abc",
        "Digest username=nightly",
        "Basic bmlnaHRseTp4, Basic bmlnaHRseTp4",
        "Basic \u00e9\u00e9",
    ],
)
def test_a_broken_authorization_header_is_a_failed_authentication(lab: Lab, value: str) -> None:
    before = lab.state()
    response = lab.post("/token", GRANT, {"Authorization": value})
    assert_refused(response, 401, "invalid_client")
    assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert lab.state() == before


@pytest.mark.requirement("EXT-CC-02")
def test_the_secret_is_taken_from_the_body_of_a_client_registered_for_that(lab: Lab) -> None:
    refresh = lab.tokens("post-app")["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "client_id": "post-app"}
    wrong = lab.post("/token", {**form, "client_secret": "x" * 43})
    lab.refused(wrong, 401, "invalid_client", "client_authentication_failed")
    assert "WWW-Authenticate" not in wrong.headers
    assert lab.post("/token", {**form, "client_secret": SECRETS["post-app"]}).status_code == 200


def test_a_secret_in_the_body_without_a_client_id_names_nobody(lab: Lab) -> None:
    form = {**GRANT, "client_secret": SECRETS["post-app"]}
    lab.refused(lab.post("/token", form), 400, "invalid_request", "parameter_missing")


def test_the_registered_method_is_the_only_one(lab: Lab) -> None:
    refresh = lab.tokens("post-app")["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    lab.refused(lab.post("/token", form, basic("post-app")), 401, "invalid_client", "client_method_mismatch")
    posted = {**GRANT, "client_id": "nightly", "client_secret": SECRETS["nightly"]}
    lab.refused(lab.post("/token", posted), 401, "invalid_client", "client_method_mismatch")
    public = lab.tokens()["refresh_token"]
    lab.refused(
        lab.post("/token", {**form, "refresh_token": public}, basic("desk-app", "")),
        401,
        "invalid_client",
        "client_method_mismatch",
    )
    assert lab.refresh(refresh, "post-app").status_code == 200
    assert lab.refresh(public).status_code == 200


@pytest.mark.parametrize("secret", ["right", "wrong"])
def test_two_methods_at_once_are_refused_even_if_both_are_right(lab: Lab, secret: str) -> None:
    sent = SECRETS["nightly"] if secret == "right" else "x" * 43
    form = {**GRANT, "client_id": "nightly", "client_secret": sent}
    lab.refused(
        lab.post("/token", form, basic("nightly")), 400, "invalid_request", "client_authentication_repeated"
    )
    assert lab.client_credentials().status_code == 200


def test_basic_and_the_same_client_id_in_the_body_are_one_authentication(lab: Lab) -> None:
    assert lab.post("/token", {**GRANT, "client_id": "nightly"}, basic("nightly")).status_code == 200
    other = lab.post("/token", {**GRANT, "client_id": "web-app"}, basic("nightly"))
    record = lab.refused(other, 400, "invalid_request", "client_authentication_repeated")
    assert record["detail"] == "authenticated as nightly"


def test_credentials_in_the_query_are_not_read(lab: Lab) -> None:
    query = f"/token?client_id=post-app&client_secret={SECRETS['post-app']}"
    lab.refused(lab.post(query, GRANT), 401, "invalid_client", "client_unknown")


def test_a_failed_authentication_burns_nothing(lab: Lab) -> None:
    code = lab.code("web-app")
    form = {"grant_type": "authorization_code", "code": code}
    before = lab.state()
    assert_refused(lab.post("/token", form, basic("web-app", "x" * 43)), 401, "invalid_client")
    assert lab.state() == before
    assert lab.redeem(code, "web-app").status_code == 200
