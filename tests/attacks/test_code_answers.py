"""CODE: what comes with a code's tokens, and the page that carries a code back by form."""

import html
import re

import pytest

from tests import openid
from tests.lab import CALLBACK, Lab, Page
from tests.openid import RP


@pytest.mark.attack("CODE-28")
@pytest.mark.parametrize("nonce", ["n0nce", "n" * 500, 'ünï"<>', None])
def test_an_id_token_is_tied_to_its_request_and_its_access_token(lab: Lab, nonce: str | None) -> None:
    openid.add(lab)
    login = openid.login(lab, nonce=nonce)
    said = openid.verified(lab, login.id_token)
    assert said.get("nonce") == nonce and ("nonce" in said) == (nonce is not None)
    assert said["at_hash"] == openid.half_hash(login.tokens["access_token"])
    assert said["aud"] == RP and said.get("azp", RP) == RP


@pytest.mark.attack("CODE-28")
def test_a_refreshed_id_token_has_no_nonce_of_another_request(lab: Lab) -> None:
    openid.add(lab)
    login = openid.login(lab, scope="openid")
    again = lab.refresh(login.tokens["refresh_token"], RP).json
    said = openid.verified(lab, again["id_token"])
    assert "nonce" not in said and said["at_hash"] == openid.half_hash(again["access_token"])


STATE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&{{7777*7777}}"


@pytest.mark.attack("CODE-29")
@pytest.mark.parametrize("outcome", ["code", "error"])
def test_the_page_that_posts_a_code_cannot_be_framed_or_written_into(lab: Lab, outcome: str) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, response_mode="form_post", state=STATE)
    decision = "allow" if outcome == "code" else "deny"
    answer = browser.submit(Page.of(page), decision=decision)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200 and outcome in dict(Page.of(answer).fields)
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and answer.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "base-uri 'none'" in policy
    assert "unsafe" not in policy and "nonce-" not in policy
    assert policy.split("form-action ")[1].split(";")[0] == CALLBACK
    assert answer.headers["Cache-Control"] == "no-store" and "Location" not in answer.headers
    assert Page.of(answer).values("state") == [STATE]
    assert "<script>alert" not in text and "<img src=x" not in text and "60481729" not in text
    assert not re.search(r"\son[a-z]+\s*=", html.unescape(re.sub(r'value="[^"]*"', "", text)))
    scripts = re.findall(r"<script[^>]*>([^<]*)</script>", text)
    assert scripts == [""], "one script, of this server, and nothing in the page itself"
    assert re.search(r'<script src="/static/[0-9a-f]+/form_post\.js" defer>', text)


@pytest.mark.attack("CODE-29")
def test_the_script_does_nothing_but_press_the_button(lab: Lab) -> None:
    browser = lab.browser()
    page = lab.consent_page(browser=browser, response_mode="form_post")
    text = browser.allow(page).get_data(as_text=True)
    (source,) = re.findall(r'<script src="([^"]+)"', text)
    script = lab.get(source)
    assert script.status_code == 200 and script.mimetype == "text/javascript"
    lines = script.get_data(as_text=True).split("\n")
    assert lines == ['"use strict";', 'document.getElementById("primary").submit();', ""]
    assert text.count("<form") == 1 and '<button class="primary wide" type="submit"' in text
