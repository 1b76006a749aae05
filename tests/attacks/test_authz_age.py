"""AUTHZ: how old and how strong a sign-in may be; and signed request objects, which are not offered."""

from collections.abc import Callable

import pytest

from broker.protocol import acr
from tests import openid
from tests.lab import START, Lab, assert_refused, basic, landed
from tests.openid import RP
from tests.proofs import Holder
from tests.pushing import asked

HOUR = 3600.0


@pytest.fixture
def hour_ago(make_lab: Callable[..., Lab]) -> tuple[Lab, openid.Login]:
    """A user who signed in an hour ago and is still signed in."""
    lab = make_lab(session_idle=2 * int(HOUR))
    openid.add(lab)
    login = openid.login(lab)
    lab.clock.advance(HOUR)
    return lab, login


def again(lab: Lab, login: openid.Login, **changes: str) -> tuple[bool, dict[str, object]]:
    """Whether the user had to sign in, and what the id_token says then."""
    page = login.browser.get(openid.ask(lab, **changes))
    signs_in = b'name="password"' in page.data
    if signs_in:
        page = login.browser.sign_in(page)
    arrived = landed(page if page.status_code == 303 else login.browser.allow(page))
    answer = lab.redeem(arrived["code"], RP, resource=None)
    return signs_in, openid.verified(lab, answer.json["id_token"])


@pytest.mark.attack("AUTHZ-27")
@pytest.mark.parametrize("age", ["0", "1", "3599"])
def test_a_sign_in_that_is_too_old_is_repeated_and_the_token_says_when(
    hour_ago: tuple[Lab, openid.Login], age: str
) -> None:
    lab, login = hour_ago
    signed_in, said = again(lab, login, max_age=age)
    assert signed_in and said["auth_time"] == int(START + HOUR)


@pytest.mark.attack("AUTHZ-27")
@pytest.mark.parametrize("age", ["3600", "999999999", None])
def test_a_sign_in_that_is_new_enough_is_told_of_as_it_was(
    hour_ago: tuple[Lab, openid.Login], age: str | None
) -> None:
    lab, login = hour_ago
    signed_in, said = again(lab, login, **({} if age is None else {"max_age": age}))
    assert not signed_in and said["auth_time"] == int(START)


@pytest.mark.attack("AUTHZ-27")
@pytest.mark.requirement("RFC9470-05")
def test_a_class_out_of_reach_is_said_to_be(lab: Lab) -> None:
    for wish in (
        {"acr_values": "urn:nobody"},
        {"claims": '{"id_token":{"acr":{"essential":true,"values":["urn:nobody"]}}}'},
    ):
        arrived = landed(lab.browser().get(lab.authorize_url(**wish)))
        assert arrived["error"] == "unmet_authentication_requirements"
    browser = lab.browser()
    page = browser.get(lab.authorize_url(acr_values=acr.MFA))
    assert landed(browser.sign_in(page))["error"] == "unmet_authentication_requirements"
    assert lab.rows("authorization_code") == 0


@pytest.mark.attack("AUTHZ-27")
@pytest.mark.parametrize("age", ["-1", "abc"])
def test_an_age_that_is_no_number_is_refused(lab: Lab, age: str) -> None:
    assert landed(lab.browser().get(lab.authorize_url(max_age=age)))["error"] == "invalid_request"


@pytest.mark.attack("AUTHZ-21")
def test_a_signed_request_object_has_no_say_either(lab: Lab) -> None:
    """AUTHZ-23 is about servers that take them: here neither what is in one nor what stands beside it counts."""
    holder = Holder()
    inside = {"iss": "web-app", "aud": "https://as.example", "client_id": "web-app", "scope": "refunds:write"}
    signed = holder.signed({"alg": "ES256", "typ": "oauth-authz-req+jwt"}, inside)
    arrived = landed(lab.browser().get(lab.authorize_url("web-app", request=signed)))
    assert arrived["error"] == "request_not_supported"
    answer = lab.post("/par", {**asked(lab), "request": signed}, basic("web-app"))
    assert_refused(answer, 400, "request_not_supported")
    assert lab.rows("authorization_request") == lab.rows("pushed_request") == 0
