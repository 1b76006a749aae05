"""A client that nobody registered: known by the document at its `client_id`, from discovery to refresh."""

import base64
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from broker.admin.estate_file import parse, read_yaml
from broker.admin.export import export
from broker.admin.load import judged
from broker.cli.local import apply_of, origin_of
from broker.denials.model import Kind, Target
from broker.estate.model import Edge
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Tenant, Trust
from broker.runtime.egress import Egress
from tests import live
from tests.documents import HOST, Authority, Names, Site, answered, document, outside, reaching, site
from tests.lab import (
    ACME,
    CALLBACK,
    ISSUER,
    VERIFIER,
    Browser,
    Lab,
    assert_page,
    assert_refused,
    claims,
    landed,
    race,
    warned,
)

DAY = 86400
NUMBERS = itertools.count()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[Site, Authority]]:
    with site(tmp_path) as found:
        yield found


@pytest.fixture
def web(host: tuple[Site, Authority]) -> Site:
    return host[0]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.fixture
def open_lab(lab: Lab, host: tuple[Site, Authority], names: Names) -> Iterator[Lab]:
    with outside(lab, reaching(host[1], lab.clock, names)) as found:
        yield found


def begun(lab: Lab, client_id: str, source: str = "203.0.113.7", **changes: str | None) -> int:
    """The status of an authorization request: 200 is the page to sign in."""
    return lab.browser(source).get(lab.authorize_url(client_id, **changes)).status_code


def away(web: Site, path: str = "/client.json") -> None:
    """The site is there and broken."""
    web.answer(path, b"", 503)


class Signer:
    """A client's key, and assertions signed with it (RFC 7523)."""

    def __init__(self, kid: str) -> None:
        self.kid, self._key = kid, ec.generate_private_key(ec.SECP256R1())

    @property
    def jwks(self) -> dict[str, object]:
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "ES256"}]}

    def proof(self, lab: Lab, client_id: str, audience: str = ISSUER) -> dict[str, str]:
        now = int(lab.clock.time)
        said = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 60}
        token = jwt.encode(
            {**said, "jti": f"j{next(NUMBERS)}"}, self._key, "ES256", headers={"kid": self.kid}
        )
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return {"client_assertion_type": kind, "client_assertion": token}


def keyed(signer: Signer, **more: object) -> dict[str, object]:
    return {"token_endpoint_auth_method": "private_key_jwt", "jwks": signer.jwks, **more}


# From discovery to refresh


@pytest.mark.requirement("MCP-AS-04")
@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_documents_are_advertised_with_the_method_none(open_lab: Lab, door: str) -> None:
    for name in ("oauth-authorization-server", "openid-configuration"):
        metadata = open_lab.get(f"/.well-known/{name}{door}").json
        assert metadata["client_id_metadata_document_supported"] is True
        assert {"none", "private_key_jwt"} <= set(metadata["token_endpoint_auth_methods_supported"])


def test_nothing_is_advertised_where_no_document_is_believed(make_lab: Callable[..., Lab]) -> None:
    off = make_lab(client_documents=False)
    path = "/.well-known/oauth-authorization-server"
    assert "client_id_metadata_document_supported" not in off.get(path).json
    lab = make_lab()
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("acme", "Acme", True, Trust(()))))
    assert "client_id_metadata_document_supported" not in lab.get(f"{path}/t/acme").json
    assert lab.get(path).json["client_id_metadata_document_supported"] is True


@pytest.mark.requirement("MCP-AS-05")
@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_a_public_client_signs_a_user_in_and_refreshes(open_lab: Lab, web: Site, door: str) -> None:
    url = web.publish()
    tokens = open_lab.tokens(url, door=door)
    said = claims(tokens["access_token"])
    assert said["client_id"] == url and said["iss"] == (ACME if door else ISSUER) and said["sub"] == "alice"
    again = open_lab.refresh(tokens["refresh_token"], url, door)
    assert again.status_code == 200 and again.json["refresh_token"] != tokens["refresh_token"]
    assert open_lab.active(again.json["access_token"], door=door)
    exchanged = open_lab.exchange(again.json["access_token"], door=door)
    assert claims(exchanged.json["access_token"])["act"]["act"]["client_id"] == url
    assert open_lab.revoke(again.json["refresh_token"], url, door).status_code == 200
    assert not open_lab.active(again.json["access_token"], door=door)
    assert web.seen == ["/client.json"], "one fetch for all of it"


@pytest.mark.requirement("CIMD-AS-11")
def test_no_client_id_that_is_made_here_could_be_a_url(lab: Lab) -> None:
    assert "://" not in lab.register().json["client_id"]


def test_how_a_client_became_known_is_in_the_evidence(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    assert begun(open_lab, url) == begun(open_lab, url) == 200
    (record,) = open_lab.facts("client.fetched")
    assert record["client"] == url and record["source"] == "203.0.113.7"
    assert record["change"]["name"] == "Published app" and record["change"]["redirect_uris"] == [CALLBACK]
    web.publish(client_name="New name")
    open_lab.clock.advance(301)
    assert begun(open_lab, url) == 200
    assert [found["change"]["name"] for found in open_lab.facts("client.fetched")] == [
        "Published app",
        "New name",
    ]


@pytest.mark.requirement("CIMD-AS-14")
def test_a_client_proves_itself_with_the_key_in_its_document(open_lab: Lab, web: Site) -> None:
    signer = Signer("one")
    url = web.publish(**keyed(signer))
    code = open_lab.code(url)
    assert_refused(open_lab.redeem(code, url), 401, "invalid_client")
    assert_refused(open_lab.redeem(code, url, **Signer("one").proof(open_lab, url)), 401, "invalid_client")
    tokens = open_lab.redeem(code, url, **signer.proof(open_lab, url))
    assert tokens.status_code == 200, tokens.json
    assert_refused(open_lab.refresh(tokens.json["refresh_token"], url), 401, "invalid_client")
    again = open_lab.refresh(tokens.json["refresh_token"], url, **signer.proof(open_lab, url))
    assert again.status_code == 200 and claims(again.json["access_token"])["client_id"] == url


def test_a_client_proves_itself_with_a_key_at_its_jwks_uri_and_turns_it(open_lab: Lab, web: Site) -> None:
    first, second = Signer("one"), Signer("two")
    keys_at = web.url("/jwks.json", f"keys.{HOST}")
    web.answer("/jwks.json", first.jwks)
    url = web.publish(
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_methods_supported=["none", "private_key_jwt"],
        token_endpoint_auth_signing_alg="ES256",
        jwks_uri=keys_at,
    )
    code = open_lab.code(url)
    tokens = open_lab.redeem(code, url, **first.proof(open_lab, url))
    assert tokens.status_code == 200, tokens.json
    assert web.seen == ["/client.json", "/jwks.json"]
    web.answer("/jwks.json", second.jwks)
    open_lab.clock.advance(40)
    again = open_lab.refresh(tokens.json["refresh_token"], url, **second.proof(open_lab, url))
    assert again.status_code == 200, again.json
    arrived = landed(open_lab.consent_page(client_id=url))
    assert "code" in arrived, "turned keys ask for no new consent"


@pytest.mark.requirement("CIMD-AS-08")
def test_a_client_whose_keys_lead_inside_cannot_authenticate(open_lab: Lab, web: Site, names: Names) -> None:
    inside = f"inside.{HOST}"
    signer = Signer("one")
    web.answer("/jwks.json", signer.jwks)
    url = web.publish(token_endpoint_auth_method="private_key_jwt", jwks_uri=web.url("/jwks.json", inside))
    code = open_lab.code(url)
    names.turns[inside] = [["10.0.0.1"]]
    assert_refused(open_lab.redeem(code, url, **signer.proof(open_lab, url)), 401, "invalid_client")
    assert open_lab.last("token.refused")["reason"] == "client_keys_unavailable"
    assert "/jwks.json" not in web.seen
    names.turns[inside] = [["127.0.0.1"]]
    open_lab.clock.advance(31)
    assert open_lab.redeem(code, url, **signer.proof(open_lab, url)).status_code == 200


def test_a_client_with_no_method_of_ours_is_told_so(open_lab: Lab, web: Site) -> None:
    url = web.publish(token_endpoint_auth_methods_supported=["attest_jwt_client_auth"])
    text = assert_page(open_lab.browser().get(open_lab.authorize_url(url)), 400)
    assert "unauthorized_client" in text and "client_method_mismatch" in text


# The ways of real clients


def test_quirk_17_claude_code_names_no_port_and_uses_any(open_lab: Lab, web: Site) -> None:
    url = web.publish(
        client_name="Claude Code",
        redirect_uris=["http://localhost/callback", "http://127.0.0.1/callback"],
        token_endpoint_auth_method="none",
        response_types=["code"],
    )
    for there in ("http://localhost:54321/callback", "http://127.0.0.1:7777/callback"):
        code = open_lab.code(url, redirect_uri=there)
        assert open_lab.redeem(code, url, redirect_uri=there).status_code == 200
    assert_page(
        open_lab.browser().get(open_lab.authorize_url(url, redirect_uri="http://localhost:1/other")), 400
    )


@pytest.mark.requirement("MCP-SEP-3149-02")
def test_quirk_18_chatgpt_prefers_a_key_and_may_go_without(open_lab: Lab, web: Site) -> None:
    signer = Signer("one")
    web.answer("/oauth/jwks.json", signer.jwks)
    url = web.publish(
        "/oauth/client.json",
        client_name="ChatGPT",
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_methods_supported=["none", "private_key_jwt"],
        jwks_uri=web.url("/oauth/jwks.json"),
    )
    assert open_lab.tokens(url)["refresh_token"]
    code = open_lab.code(url)
    assert open_lab.redeem(code, url, **signer.proof(open_lab, url)).status_code == 200


def test_quirk_24_vs_code_lists_grants_that_are_not_offered(open_lab: Lab, web: Site) -> None:
    url = web.publish(
        client_name="Visual Studio Code",
        grant_types=["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        redirect_uris=[
            "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
            "https://vscode.dev/redirect",
            CALLBACK,
        ],
        application_type="native",
    )
    assert open_lab.tokens(url)["refresh_token"]
    assert begun(open_lab, url, redirect_uri="http://127.0.0.1:40000/") == 200


# Fetched once, kept within bounds


def test_a_pre_flight_without_cookies_costs_one_fetch_for_both_visits(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    preflight = open_lab.http().get(open_lab.authorize_url(url), base_url=ISSUER)
    assert preflight.status_code == 303
    assert open_lab.tokens(url) and len(web.seen) == 1


def test_a_crowd_that_comes_at_once_makes_one_client(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    assert race(8, lambda n: begun(open_lab, url, f"198.51.100.{n}")) == [200] * 8
    assert len(open_lab.facts("client.fetched")) == 1
    assert len([row for row in open_lab.table("client") if row[0] == url]) == 1


@pytest.mark.requirement("CIMD-AS-06")
@pytest.mark.requirement("MCP-AS-07")
@pytest.mark.parametrize(("said", "seconds"), [(None, 300), ("max-age=3600", 3600), ("no-store", 300)])
def test_a_document_is_fetched_again_when_it_is_no_longer_fresh(
    open_lab: Lab, web: Site, said: str | None, seconds: int
) -> None:
    url = web.url()
    web.answer("/client.json", document(url), **({"cache_control": said} if said else {}))
    for passed, fetches in ((0, 1), (seconds - 1, 1), (2, 2)):
        open_lab.clock.advance(passed)
        assert begun(open_lab, url) == 200 and len(web.seen) == fetches


def test_another_process_uses_what_was_fetched(open_lab: Lab, host: tuple[Site, Authority]) -> None:
    url = host[0].publish()
    assert begun(open_lab, url) == 200
    with outside(open_lab, reaching(host[1], open_lab.clock)) as other:
        assert begun(other, url) == 200 and len(host[0].seen) == 1
        host[0].publish(redirect_uris=["https://client.example/new"])
        open_lab.clock.advance(301)
        assert begun(other, url, redirect_uri="https://client.example/new") == 200
        assert begun(open_lab, url, redirect_uri="https://client.example/new") == 200
        assert len(host[0].seen) == 2


def test_a_row_is_written_when_it_is_new_changed_or_old(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    begun(open_lab, url)
    first = open_lab.client(url)
    open_lab.clock.advance(299)
    begun(open_lab, url)
    assert open_lab.client(url) == first
    open_lab.clock.advance(2)
    begun(open_lab, url)
    assert open_lab.client(url).fetched_at == first.fetched_at + 301
    assert open_lab.client(url).unused_until == first.unused_until + 301


def test_a_stale_document_serves_while_its_site_is_away_and_no_longer(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    tokens = open_lab.tokens(url)
    away(web)
    open_lab.clock.advance(301)
    again = open_lab.refresh(tokens["refresh_token"], url)
    assert again.status_code == 200
    asked = len(web.seen)
    assert begun(open_lab, url) == 200 and len(web.seen) == asked, "not asked by everybody"
    open_lab.clock.advance(DAY)
    assert begun(open_lab, url) == 503
    assert open_lab.last("authorization.refused")["reason"] == "client_document_unreachable"
    assert_refused(open_lab.refresh(again.json["refresh_token"], url), 503, "temporarily_unavailable")
    web.publish()
    assert open_lab.refresh(again.json["refresh_token"], url).status_code == 200


def test_a_process_that_began_anew_serves_what_is_stale_too(
    open_lab: Lab, host: tuple[Site, Authority]
) -> None:
    url = host[0].publish()
    tokens = open_lab.tokens(url)
    away(host[0])
    open_lab.clock.advance(3600)
    with outside(open_lab, reaching(host[1], open_lab.clock)) as anew:
        assert anew.refresh(tokens["refresh_token"], url).status_code == 200
        anew.clock.advance(DAY)
        assert begun(anew, url) == 503


@pytest.mark.parametrize("gone", [404, 410])
def test_who_takes_the_document_down_ends_the_client(open_lab: Lab, web: Site, gone: int) -> None:
    url = web.publish()
    tokens = open_lab.tokens(url)
    web.answer("/client.json", b"", gone)
    open_lab.clock.advance(301)
    assert begun(open_lab, url) == 400
    assert_refused(open_lab.refresh(tokens["refresh_token"], url), 401, "invalid_client")
    assert open_lab.last("token.refused")["reason"] == "client_document_invalid"
    web.publish()
    assert open_lab.refresh(tokens["refresh_token"], url).status_code == 200, "nothing was burnt"


def test_an_invalid_document_does_not_displace_what_was_consented(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    before = open_lab.tokens(url) and open_lab.client(url)
    web.answer("/client.json", document(url, client_name=None))
    open_lab.clock.advance(301)
    assert begun(open_lab, url) == 400
    assert open_lab.client(url) == before


def test_one_source_may_have_so_many_unknown_documents_fetched(
    make_lab: Callable[..., Lab], host: tuple[Site, Authority]
) -> None:
    made = make_lab(client_documents_per_minute=3)
    with outside(made, reaching(host[1], made.clock)) as lab:
        known = host[0].publish("/known.json")
        assert begun(lab, known) == 200
        for n in range(2):
            assert begun(lab, host[0].url(f"/{n}.json")) == 400
        limited = lab.browser().get(lab.authorize_url(host[0].url("/3.json")))
        assert "too many" in assert_page(limited, 429).lower() and int(limited.headers["Retry-After"]) > 0
        assert_refused(lab.redeem("x", host[0].url("/4.json")), 429, "temporarily_unavailable")
        assert lab.last("token.refused")["reason"] == "rate_limited"
        assert "/3.json" not in host[0].seen and "/4.json" not in host[0].seen
        assert begun(lab, known) == 200, "who is known is not held up"
        lab.clock.advance(301)
        assert begun(lab, known) == 200
        assert begun(lab, host[0].publish("/5.json"), source="198.51.100.9") == 200


def test_a_fetch_happens_outside_of_every_transaction(lab: Lab, web: Site, names: Names) -> None:
    """While the site answers, another process writes: nobody holds the one writer that there is."""
    url = "https://app.example/client.json"

    class During(Egress):
        def get(self, *_: object, **__: object) -> object:
            lab.switch("user", "bob")
            return answered(document(url))

    with outside(lab, During(False, lab.clock, names)) as found:
        assert begun(found, url) == 200
    lab.lift("user", "bob")


# Who is off stays off


def test_a_switched_off_client_is_not_fetched_and_comes_back_when_the_switch_is_lifted(
    open_lab: Lab, web: Site
) -> None:
    url = web.publish()
    tokens = open_lab.tokens(url)
    open_lab.switch("client", url)
    open_lab.clock.advance(301)
    assert begun(open_lab, url) == 400
    assert open_lab.last("authorization.refused")["reason"] == "client_off"
    assert_refused(open_lab.refresh(tokens["refresh_token"], url), 401, "invalid_client")
    assert open_lab.last("token.refused")["reason"] == "client_off"
    assert not open_lab.active(tokens["access_token"]) and len(web.seen) == 1
    open_lab.lift("client", url)
    assert open_lab.refresh(tokens["refresh_token"], url).status_code == 200


def test_a_url_can_be_switched_off_before_it_was_ever_seen(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    open_lab.switch("client", url)
    assert begun(open_lab, url) == 400 and web.seen == []
    open_lab.lift("client", url)
    assert begun(open_lab, url) == 200


def test_a_switch_of_one_tenant_stops_nobody_at_anothers_door(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    open_lab.broker.switches.throw(Target(Kind.CLIENT, url), "test", tenant="globex")
    files = {"resource": "https://files.example/mcp", "scope": "files:read"}
    assert begun(open_lab, url, door="/t/globex", **files) == 400 and web.seen == []
    assert begun(open_lab, url, door="/t/acme", **files) == 200


def test_a_url_that_is_one_tenants_client_is_nobody_at_anothers_door(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    open_lab.put_client(
        Client(url, "Ours", "acme", "none", Registered.ADMIN, (CALLBACK,), ("authorization_code",))
    )
    files = {"resource": "https://files.example/mcp", "scope": "files:read"}
    assert begun(open_lab, url, door="/t/globex", **files) == 400
    assert open_lab.last("authorization.refused")["reason"] == "client_unknown"
    assert begun(open_lab, url, door="/t/acme", **files) == 200 and web.seen == []


@pytest.mark.parametrize("registered", [True, False], ids=["by an administrator", "by its document"])
def test_a_client_that_an_administrator_removed_never_comes_back_by_its_document(
    open_lab: Lab, web: Site, registered: bool
) -> None:
    url = web.publish()
    if registered:
        open_lab.apply(f'clients: [{{client_id: "{url}", type: public, redirect_uris: ["{CALLBACK}"]}}]')
    assert begun(open_lab, url) == 200
    fetched = len(web.seen)
    open_lab.change(lambda tx: open_lab.broker.clients.remove(tx, url))
    open_lab.clock.advance(301)
    assert begun(open_lab, url) == 400
    assert open_lab.last("authorization.refused")["reason"] == "client_off"
    assert_refused(open_lab.redeem("x", url), 401, "invalid_client")
    assert len(web.seen) == fetched


def test_a_client_that_got_nothing_is_forgotten_and_may_come_again(open_lab: Lab, web: Site) -> None:
    url, used = web.publish(), web.publish("/used.json")
    assert begun(open_lab, url) == 200 and open_lab.tokens(used)
    open_lab.clock.advance(DAY + 1)
    open_lab.broker.sweep()
    assert [record["client"] for record in open_lab.facts("client.expired")] == [url]
    rows = {row[0] for row in open_lab.table("client")}
    assert url not in rows and used in rows
    assert open_lab.tokens(url)["access_token"] and len(open_lab.facts("client.fetched")) == 3


def test_a_prune_leaves_clients_alone_that_are_known_by_documents(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    assert begun(open_lab, url) == 200
    apply = apply_of(open_lab.broker)
    exported = export(apply.holdings())
    assert url not in exported
    changes = apply.apply(
        judged(parse(read_yaml(exported)), open_lab.folder), origin_of(open_lab.broker), prune=True
    )
    assert url not in [change.id for change in changes] and begun(open_lab, url) == 200


# A consent is for the client as it was


def consented(lab: Lab, url: str, browser: Browser, **changes: str | None) -> None:
    assert "code" in landed(browser.allow(lab.consent_page(browser=browser, client_id=url, **changes)))


@pytest.mark.requirement("CIMD-AS-12")
@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uris": [CALLBACK, "https://client.example/more"]},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": f"https://{HOST}/jwks"},
        keyed(Signer("new"), token_endpoint_auth_methods_supported=["none", "private_key_jwt"]),
    ],
    ids=["redirect URIs", "method", "keys"],
)
def test_a_changed_document_needs_a_new_consent(open_lab: Lab, web: Site, change: dict[str, object]) -> None:
    url = web.publish()
    browser = open_lab.browser()
    consented(open_lab, url, browser)
    assert "code" in landed(browser.get(open_lab.authorize_url(url))), "remembered while it is the same"
    web.publish(**change)
    open_lab.clock.advance(301)
    page = browser.get(open_lab.authorize_url(url))
    text = page.get_data(as_text=True)
    assert page.status_code == 200 and "This is the first time you are asked." in text
    assert warned(browser.get(open_lab.authorize_url(url, prompt="none")))["error"] == "consent_required"
    assert "code" in landed(browser.allow(page))
    assert "code" in landed(browser.get(open_lab.authorize_url(url))), "and is remembered anew"


def test_a_new_name_needs_no_new_consent(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    browser = open_lab.browser()
    consented(open_lab, url, browser)
    web.publish(client_name="New name", logo_uri=f"https://{HOST}/logo.png")
    open_lab.clock.advance(301)
    assert "code" in landed(browser.get(open_lab.authorize_url(url)))


def test_a_document_that_changes_while_the_user_reads_is_shown_again(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    browser = open_lab.browser()
    page = open_lab.consent_page(browser=browser, client_id=url)
    web.publish(redirect_uris=[CALLBACK, "https://client.example/more"])
    open_lab.clock.advance(301)
    begun(open_lab, url)
    again = browser.allow(page)
    assert again.status_code in (400, 403) and open_lab.rows("access_grant") == 0
    fresh = browser.get(open_lab.authorize_url(url))
    assert "code" in landed(browser.allow(fresh))


def test_a_grant_reaches_further_only_when_the_user_of_the_client_says_so(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    tokens = open_lab.tokens(url)
    edge = Edge("tickets", "files", {"tickets:read": ("files:read",)})
    open_lab.change(lambda tx: open_lab.broker.changes.put_edge(tx, edge))
    files = "https://files.example/mcp"
    asked = open_lab.exchange(tokens["access_token"], resource=files).json["interaction_uri"]
    browser = open_lab.browser()
    page = browser.sign_in(browser.get(asked.removeprefix(ISSUER)))
    text = page.get_data(as_text=True)
    assert f'<strong class="who">{HOST}:{web.port}</strong>' in text and "This is another site" not in text
    assert_page(browser.allow(page), 200)
    assert open_lab.exchange(tokens["access_token"], resource=files).status_code == 200


def test_what_was_granted_goes_on_when_redirects_or_keys_change(open_lab: Lab, web: Site) -> None:
    first, second = Signer("one"), Signer("two")
    url = web.publish(**keyed(first))
    tokens = open_lab.redeem(open_lab.code(url), url, **first.proof(open_lab, url)).json
    web.publish(**keyed(second, redirect_uris=["https://client.example/new"]))
    open_lab.clock.advance(301)
    assert_refused(
        open_lab.refresh(tokens["refresh_token"], url, **first.proof(open_lab, url)), 401, "invalid_client"
    )
    assert open_lab.refresh(tokens["refresh_token"], url, **second.proof(open_lab, url)).status_code == 200


@pytest.mark.parametrize("methods", [["none"], ["none", "private_key_jwt"]])
def test_a_grant_to_a_client_with_a_key_is_worth_nothing_once_no_key_is_needed(
    open_lab: Lab, web: Site, methods: list[str]
) -> None:
    signer = Signer("one")
    url = web.publish(**keyed(signer))
    code = open_lab.code(url)
    tokens = open_lab.redeem(open_lab.code(url), url, **signer.proof(open_lab, url)).json
    web.publish(**keyed(signer, token_endpoint_auth_methods_supported=methods))
    open_lab.clock.advance(301)
    begun(open_lab, url)
    assert_refused(open_lab.refresh(tokens["refresh_token"], url), 400, "invalid_grant")
    assert open_lab.last("token.refused")["reason"] == "client_method_mismatch"
    assert_refused(open_lab.redeem(code, url), 400, "invalid_grant")
    web.publish(**keyed(signer))
    open_lab.clock.advance(301)
    assert open_lab.refresh(tokens["refresh_token"], url, **signer.proof(open_lab, url)).status_code == 200


def test_a_client_that_manages_its_own_registration_needs_a_new_consent_too(lab: Lab) -> None:
    made = lab.register().json
    browser = lab.browser()
    consented(lab, made["client_id"], browser)
    assert "code" in landed(browser.get(lab.authorize_url(made["client_id"])))
    client = lab.client(made["client_id"])
    assert client.registered is Registered.DYNAMIC
    lab.put_client(replace(client, redirect_uris=(CALLBACK, "https://client.example/more")))
    assert browser.get(lab.authorize_url(made["client_id"])).status_code == 200


# A process of its own


def test_a_whole_sign_in_at_a_broker_that_runs(
    tmp_path: Path, host: tuple[Site, Authority], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Site(host[1].leaf("localhost"))
    monkeypatch.setenv("BROKER_EGRESS_AUTHORITIES", str(host[1].file))
    callback = "http://127.0.0.1:1/callback"
    url = home.publish(host="localhost", redirect_uris=["http://127.0.0.1/callback"])
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": url,
        "redirect_uri": callback,
        "resource": "https://tickets.example/mcp",
        "scope": "tickets:read",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    form = {"client_id": url, "redirect_uri": callback, "code_verifier": VERIFIER}
    (tmp_path / "live").mkdir()
    try:
        with (
            live.serve(tmp_path / "live", live.ESTATE.read_text("utf-8")) as broker,
            live.ScriptedBrowser() as browser,
            httpx2.Client(trust_env=False) as http,
        ):
            found = live.arrived(browser.visit(f"{broker.issuer}/authorize?{urlencode(asked)}"))
            assert browser.seen[-1] == f"localhost:{home.port} wants to use Ticket desk"
            answer = http.post(
                f"{broker.issuer}/token",
                data={"grant_type": "authorization_code", "code": found["code"], **form},
            )
            assert answer.status_code == 200, answer.text
            again = http.post(
                f"{broker.issuer}/token",
                data={
                    "grant_type": "refresh_token",
                    "refresh_token": answer.json()["refresh_token"],
                    "client_id": url,
                },
            )
            assert again.status_code == 200 and json.loads(again.text)["access_token"]
            assert home.seen == ["/client.json"]
    finally:
        home.close()
