"""Client ID metadata documents under attack: the CIMD cases of the table."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Tenant, Trust
from broker.runtime.egress import Egress
from tests.documents import HOST, Authority, Canary, Names, Site, document, outside, reaching, site
from tests.lab import CALLBACK, Lab, Page, assert_page, assert_refused, landed

LOOPBACK = "http://127.0.0.1:8400"


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
    """A broker for which names below `HOST` lead to the site on loopback."""
    with outside(lab, reaching(host[1], lab.clock, names)) as found:
        yield found


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Canary]:
    found = Canary(monkeypatch)
    yield found
    found.close()


def named(lab: Lab, client_id: str, **changes: str | None) -> TestResponse:
    """An authorization request of a client that calls itself so."""
    return lab.browser().get(lab.authorize_url(client_id, **changes))


def stopped(lab: Lab, client_id: str, reason: str, **changes: str | None) -> None:
    """A page, nothing kept but the evidence, and `invalid_client` at the token endpoint for the same reason."""
    before = lab.state()
    text = assert_page(named(lab, client_id, **changes), 400)
    assert reason in text and "code=" not in text
    record = lab.last("authorization.refused")
    assert (record["outcome"], record["reason"]) == ("denied", reason), record
    assert_refused(lab.redeem("mcpb_ac_x", client_id), 401, "invalid_client")
    assert lab.last("token.refused")["reason"] == reason
    assert lab.state() == before


def asked_to_sign_in(lab: Lab, client_id: str, **changes: str | None) -> bool:
    """Whether the request got past client and redirect URI."""
    return b'name="password"' in named(lab, client_id, **changes).data


@pytest.mark.requirement("CIMD-AS-01")
@pytest.mark.attack("CIMD-01")
@pytest.mark.parametrize(
    "spelling",
    [
        "http://{at}/client.json",
        "https://{at}",
        "https://{at}/",
        "https://{at}/./client.json",
        "https://{at}/x/../client.json",
        "https://{at}/%2e/client.json",
        "https://{at}/x/%2E./client.json",
        "https://{at}/client.json#x",
        "https://{at}/client.json#",
        "https://user:pass@{at}/client.json",
        "https://{at}/client.json?",
        "https://{at}/client.json?a=b",
        "https://127.0.0.1:{port}/client.json",
        "https://8.8.8.8/client.json",
        "https://[2606:4700:4700::1111]/client.json",
        "https://APP.example:{port}/client.json",
        "https://app.example.:{port}/client.json",
    ],
)
@pytest.mark.requirement("CIMD-AS-01")
def test_a_client_id_url_has_one_plain_form(open_lab: Lab, web: Site, names: Names, spelling: str) -> None:
    good = web.publish()
    stopped(open_lab, spelling.format(at=f"{HOST}:{web.port}", port=web.port), "client_document_address")
    assert names.asked == web.seen == []
    assert asked_to_sign_in(open_lab, good)


@pytest.mark.requirement("CIMD-AS-02")
@pytest.mark.requirement("CIMD-AS-05")
@pytest.mark.requirement("CIMD-AS-13")
@pytest.mark.attack("CIMD-03")
@pytest.mark.parametrize("status", [201, 204, 206, 404])
@pytest.mark.requirement("CIMD-AS-02", "CIMD-AS-05")
def test_any_status_but_200_is_no_document(open_lab: Lab, web: Site, status: int) -> None:
    url = web.url()
    web.answer("/client.json", b"" if status == 204 else document(url), status)
    stopped(open_lab, url, "client_document_invalid")
    assert web.seen == ["/client.json"] * 2, "not cached"
    web.publish()
    assert asked_to_sign_in(open_lab, url)


@pytest.mark.attack("CIMD-03")
@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.requirement("CIMD-AS-13")
def test_a_site_that_is_broken_gives_no_document(open_lab: Lab, web: Site, status: int) -> None:
    url = web.url()
    web.answer("/client.json", document(url), status)
    stopped(open_lab, url, "client_document_unreachable")
    web.publish()
    assert asked_to_sign_in(open_lab, url)


@pytest.mark.requirement("CIMD-AS-02")
@pytest.mark.attack("CIMD-03")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(open_lab: Lab, web: Site, canary: Canary, status: int) -> None:
    url = web.url()
    for there in (web.url("/real.json"), canary.url("127.0.0.1"), "http://169.254.169.254/latest/meta-data"):
        web.answer("/client.json", b"", status, location=there)
        web.answer("/real.json", document(url))
        stopped(open_lab, url, "client_document_invalid")
    assert set(web.seen) == {"/client.json"} and canary.untouched()


@pytest.mark.requirement("CIMD-AS-03")
@pytest.mark.requirement("CIMD-AS-05")
@pytest.mark.requirement("CIMD-AS-09")
@pytest.mark.requirement("MCP-AS-09")
@pytest.mark.attack("CIMD-03")
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("text/html", lambda body: body),
        ("application/json", lambda body: body[:-1]),
        ("application/json", lambda body: b"[" + body + b"]"),
        ("application/json", lambda body: b"\xef\xbb\xbf" + body),
        ("application/json", lambda body: body[:-1] + b', "client_name": "Another"}'),
        ("application/json", lambda body: body[:-1] + b', "x": "' + b"x" * 5120 + b'"}'),
    ],
    ids=["html", "no JSON", "array", "byte order mark", "duplicate keys", "more than 5 KB"],
)
@pytest.mark.requirement("MCP-AS-09")
def test_only_one_sound_json_object_is_a_document(
    open_lab: Lab, web: Site, kind: str, change: Callable[[bytes], bytes]
) -> None:
    url = web.url()
    sound = json.dumps(document(url)).encode()
    web.answer("/client.json", change(sound), kind=kind)
    stopped(open_lab, url, "client_document_invalid")
    web.answer("/client.json", sound)
    assert asked_to_sign_in(open_lab, url)


@pytest.mark.requirement("MCP-AS-06")
@pytest.mark.attack("CIMD-05")
@pytest.mark.parametrize(
    "differs",
    [
        lambda url: url.replace(HOST, HOST.upper()),
        lambda url: url + "/",
        lambda url: url.replace("/client", "/clien%74"),
        lambda url: f"https://{HOST}:443/client.json",
        lambda url: url.replace(HOST, f"other.{HOST}"),
        lambda url: None,
    ],
    ids=["case", "slash", "percent", "default port", "host", "missing"],
)
def test_a_document_for_another_client_id_is_refused(
    open_lab: Lab, web: Site, differs: Callable[[str], str | None]
) -> None:
    url = web.publish(client_id=differs(web.url()))
    stopped(open_lab, url, "client_document_invalid")
    web.publish()
    assert asked_to_sign_in(open_lab, url)


@pytest.mark.requirement("MCP-AS-08")
@pytest.mark.attack("CIMD-07")
def test_a_redirect_uri_that_the_document_does_not_list_is_never_gone_to(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    for wrong in ("https://evil.example/cb", CALLBACK + "/", CALLBACK + "?a=b", "http://127.0.0.1/cb"):
        assert_page(named(open_lab, url, redirect_uri=wrong), 400)
        assert open_lab.last("authorization.refused")["reason"] == "redirect_uri_mismatch"
    assert asked_to_sign_in(open_lab, url, redirect_uri=CALLBACK)


@pytest.mark.attack("CIMD-07")
def test_a_redirect_uri_that_leaves_the_document_while_the_user_reads_gets_nothing(
    open_lab: Lab, web: Site
) -> None:
    url = web.publish(redirect_uris=[CALLBACK, "https://client.example/2"])
    browser = open_lab.browser()
    page = open_lab.consent_page(browser=browser, client_id=url)
    web.publish(redirect_uris=["https://client.example/2"])
    open_lab.clock.advance(301)
    assert asked_to_sign_in(open_lab, url, redirect_uri="https://client.example/2")
    assert_page(browser.allow(page), 400)
    assert open_lab.last("authorization.refused")["reason"] == "redirect_uri_mismatch"
    assert open_lab.rows("access_grant") == open_lab.rows("authorization_code") == 0


SPECIAL = [
    *("127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "100.127.255.255", "0.0.0.0", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.1.1.1"),
    *("240.0.0.1", "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.0.0.1", "192.88.99.1"),
    *("::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1"),
    *(
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
    ),
    *("2002:7f00:1::", "2002:808:808::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "100::1"),
    *("2a00::5efe:7f00:1", "2a00::200:5efe:7f00:1", "fe80::5efe:a00:1"),
]


@pytest.mark.requirement("CIMD-AS-07")
@pytest.mark.requirement("MCP-AS-10")
@pytest.mark.attack("CIMD-09")
@pytest.mark.requirement("MCP-AS-10", "CIMD-AS-07")
def test_a_special_use_address_is_never_connected_to(make_lab: Callable[..., Lab], canary: Canary) -> None:
    lab = make_lab(client_documents_per_minute=1000, failures_per_minute=1000)
    names = Names()
    with outside(lab, Egress(False, lab.clock, names)) as closed:
        for number, address in enumerate(SPECIAL):
            name = f"n{number}.{HOST}"
            names.turns[name] = [[address]]
            stopped(closed, canary.url(name), "client_document_unreachable")
        assert canary.untouched() and len(names.asked) == 2 * len(SPECIAL)
        details = {record.get("detail") for record in closed.facts("authorization.refused")}
        assert any("not on the public internet" in str(detail) for detail in details)
        # The twin: an address of the internet is tried, and the watch sees it.
        names.turns[f"good.{HOST}"] = [["93.184.215.14"]]
        stopped(closed, canary.url(f"good.{HOST}"), "client_document_unreachable")
        assert canary.knocks == ["93.184.215.14"] * 2


@pytest.mark.attack("CIMD-10")
@pytest.mark.parametrize(
    "local",
    [
        *("2130706433", "0x7f.1", "0x7f000001", "127.1", "[::1]", "localhost", "a.localhost"),
        *("metadata.google.internal", "x.local", "intranet", "169.254.169.254", "[fd00:ec2::254]"),
    ],
)
def test_a_literal_or_local_host_is_refused_without_a_look_up(lab: Lab, canary: Canary, local: str) -> None:
    names = Names()
    with outside(lab, Egress(False, lab.clock, names)) as closed:
        stopped(closed, canary.url(local), "client_document_address")
    assert names.asked == [] and canary.untouched()


@pytest.mark.attack("CIMD-11")
def test_the_address_that_was_checked_is_the_one_connected_to(lab: Lab, canary: Canary) -> None:
    url = canary.url(f"rebinding.{HOST}")
    names = Names(**{f"rebinding.{HOST}": [["93.184.215.14"], ["127.0.0.1"]]})
    with outside(lab, Egress(False, lab.clock, names)) as closed:
        assert_page(named(closed, url), 400)
        assert canary.knocks == ["93.184.215.14"] and names.asked == [f"rebinding.{HOST}"]
        assert_page(named(closed, url), 400)
        assert canary.knocks == ["93.184.215.14"] and len(names.asked) == 2


@pytest.mark.attack("CIMD-11")
@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.169.254", "::1"])
@pytest.mark.parametrize("first", [True, False])
def test_an_answer_that_mixes_good_and_bad_addresses_is_refused(
    lab: Lab, canary: Canary, bad: str, first: bool
) -> None:
    mixed = ["93.184.215.14", "2606:4700:4700::1111"]
    mixed.insert(0 if first else 2, bad)
    names = Names(**{f"mixed.{HOST}": [mixed]})
    with outside(lab, Egress(False, lab.clock, names)) as closed:
        stopped(closed, canary.url(f"mixed.{HOST}"), "client_document_unreachable")
    assert canary.untouched()


def shown(kind: str, folder: Path, authority: Authority) -> ssl.SSLContext:
    """What an impostor's site shows."""
    if kind == "self-signed":
        return Authority(folder, "Another CA").leaf(HOST)
    return authority.leaf(HOST, days=30) if kind == "expired" else authority.leaf(f"other.{HOST}")


@pytest.mark.attack("CIMD-13")
@pytest.mark.parametrize("kind", ["self-signed", "expired", "for another name"])
def test_the_certificate_of_the_site_is_verified(
    open_lab: Lab, host: tuple[Site, Authority], tmp_path: Path, kind: str
) -> None:
    impostor = Site(shown(kind, tmp_path, host[1]))
    try:
        stopped(open_lab, impostor.publish(), "client_document_unreachable")
        assert impostor.seen == []
    finally:
        impostor.close()
    assert asked_to_sign_in(open_lab, host[0].publish())


@pytest.mark.requirement("CIMD-AS-10")
@pytest.mark.requirement("MCP-AS-11")
@pytest.mark.attack("CIMD-18")
@pytest.mark.requirement("MCP-AS-11", "CIMD-AS-10")
def test_the_consent_page_shows_who_really_asks(open_lab: Lab, web: Site, canary: Canary) -> None:
    url = web.publish(
        host=f"evil.{HOST}",
        client_name="Claude",
        logo_uri=canary.url("127.0.0.1"),
        client_uri="https://claude.ai",
    )
    browser = open_lab.browser()
    signing_in = browser.get(open_lab.authorize_url(url)).get_data(as_text=True)
    assert f"evil.{HOST}:{web.port} wants to connect" in signing_in and "Claude" not in signing_in
    text = open_lab.consent_page(browser=browser, client_id=url).get_data(as_text=True)
    heading = text.split("<h1", 1)[1].split("</h1>")[0]
    assert f'<strong class="who">evil.{HOST}:{web.port}</strong> wants to use' in heading
    assert "Claude" not in heading
    assert "unverified app" in text and "calls itself" in text and "Nobody has checked that name" in text
    assert '<p class="host">client.example</p>' in text
    assert f"This is another site than evil.{HOST}" in text
    assert "registered by your administrator" not in text
    assert canary.url("127.0.0.1") not in text and "claude.ai" not in text and canary.untouched()
    assert text.count("<img") == 1 and "mark.svg" in text.split("<img", 1)[1].split(">")[0]


@pytest.mark.attack("CIMD-18")
def test_a_client_that_stays_on_its_own_site_gets_no_warning_about_another(open_lab: Lab, web: Site) -> None:
    own = f"https://{HOST}/cb"
    url = web.publish(redirect_uris=[own])
    text = open_lab.consent_page(client_id=url, redirect_uri=own).get_data(as_text=True)
    assert f'<p class="host">{HOST}</p>' in text and "This is another site" not in text


@pytest.mark.attack("CIMD-18")
def test_a_host_in_another_script_is_shown_in_ascii(open_lab: Lab, web: Site) -> None:
    url = web.publish(host=f"xn--80ak6aa92e.{HOST}")
    text = open_lab.consent_page(client_id=url).get_data(as_text=True)
    assert f"xn--80ak6aa92e.{HOST}" in text.split("<h1", 1)[1].split("</h1>")[0]


LOCAL = "http://127.0.0.1:5000/cb"
KEYED = {
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks": {
        "keys": [
            {
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }
        ]
    },
}


@pytest.mark.requirement("MCP-AS-12")
@pytest.mark.attack("CIMD-19")
@pytest.mark.parametrize("keys", [{}, KEYED], ids=["public", "with a key"])
def test_a_client_with_only_loopback_redirects_is_warned_about_and_not_remembered(
    open_lab: Lab, web: Site, keys: dict[str, object]
) -> None:
    url = web.publish(redirect_uris=["http://127.0.0.1/cb"], **keys)
    browser = open_lab.browser()
    for _ in range(2):
        page = open_lab.consent_page(browser=browser, client_id=url, redirect_uri=LOCAL)
        text = page.get_data(as_text=True)
        assert 'id="only-local"' in text and "Any program on this computer can ask in the name of" in text
        assert "This is the first time you are asked." in text and "allowed before" not in text
        assert "code" in landed(browser.allow(page))


@pytest.mark.attack("CIMD-19")
def test_a_client_on_the_web_is_remembered_and_not_warned_about(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    browser = open_lab.browser()
    page = open_lab.consent_page(browser=browser, client_id=url)
    assert 'id="only-local"' not in page.get_data(as_text=True)
    assert "code" in landed(browser.allow(page))
    assert "code" in landed(browser.get(open_lab.authorize_url(url)))


@pytest.mark.attack("CIMD-21")
def test_a_client_that_an_administrator_registered_under_the_url_wins(open_lab: Lab, web: Site) -> None:
    url = web.publish(redirect_uris=[CALLBACK, "https://evil.example/cb"], client_name="Wider")
    open_lab.put_client(
        Client(
            url,
            "Ours",
            None,
            "none",
            Registered.ADMIN,
            (CALLBACK,),
            ("authorization_code",),
            ("tickets:read",),
        )
    )
    assert_page(named(open_lab, url, redirect_uri="https://evil.example/cb"), 400)
    text = open_lab.consent_page(client_id=url).get_data(as_text=True)
    assert "Ours" in text and "registered by your administrator" in text and "Wider" not in text
    refused = landed(named(open_lab, url, scope="tickets:write"))
    assert refused["error"] == "invalid_scope"
    assert "refresh_token" not in open_lab.tokens(url) and web.seen == []
    assert open_lab.client(url).registered is Registered.ADMIN


@pytest.mark.attack("CIMD-21")
def test_an_administrator_takes_over_a_client_that_was_known_by_its_document(
    open_lab: Lab, web: Site
) -> None:
    url = web.publish(redirect_uris=[CALLBACK, "https://evil.example/cb"])
    assert asked_to_sign_in(open_lab, url, redirect_uri="https://evil.example/cb")
    open_lab.apply(
        f'clients: [{{client_id: "{url}", name: Ours, type: public, redirect_uris: ["{CALLBACK}"]}}]'
    )
    open_lab.clock.advance(90 * 86400)
    open_lab.broker.sweep()
    assert open_lab.client(url).name == "Ours" and open_lab.client(url).registered is Registered.ADMIN
    assert_page(named(open_lab, url, redirect_uri="https://evil.example/cb"), 400)
    assert len(web.seen) == 1


@pytest.mark.requirement("CIMD-AS-07")
@pytest.mark.attack("CIMD-22")
@pytest.mark.parametrize(
    ("issuer", "development", "allowed"),
    [
        (LOOPBACK, True, True),
        (LOOPBACK, False, False),
        ("https://as.example", True, False),
        ("https://as.example", False, False),
    ],
)
def test_documents_from_http_loopback_are_for_development_on_loopback_only(
    make_lab: Callable[..., Lab], issuer: str, development: bool, allowed: bool
) -> None:
    made = make_lab(issuer=issuer, development=development, argon2_memory_kib=19 * 1024)
    plain = Site()
    try:
        for name in ("localhost", "127.0.0.1"):
            url = plain.publish(host=name)
            answer = made.http().get(
                made.authorize_url(url), base_url=issuer, headers={"Accept": "text/html"}
            )
            assert (answer.status_code == 303) == allowed, answer.get_data(as_text=True)
            if not allowed:
                assert "client_document_address" in assert_page(answer, 400)
        assert bool(plain.seen) == allowed
    finally:
        plain.close()


@pytest.mark.attack("CIMD-22")
def test_in_development_a_name_that_is_not_loopback_still_needs_https(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(issuer=LOOPBACK)
    answer = lab.http().get(
        lab.authorize_url(f"http://{HOST}/client.json"), base_url=LOOPBACK, headers={"Accept": "text/html"}
    )
    assert "client_document_address" in assert_page(answer, 400)


@pytest.mark.attack("CIMD-23")
@pytest.mark.parametrize(
    "at",
    [
        *("http://keys.app.example/jwks", "https://127.0.0.1/jwks", "https://vault.internal/jwks"),
        *("https://as.example/jwks", "https://localhost/jwks", "https://keys.app.example/jwks?a=b"),
    ],
)
@pytest.mark.requirement("CIMD-AS-08")
def test_a_jwks_uri_of_no_allowed_form_makes_the_document_unusable(
    open_lab: Lab, web: Site, names: Names, at: str
) -> None:
    url = web.publish(token_endpoint_auth_method="private_key_jwt", jwks_uri=at)
    stopped(open_lab, url, "client_document_invalid")
    assert set(names.asked) == {HOST}


@pytest.mark.attack("CIMD-23")
def test_a_jwks_uri_on_a_host_that_is_not_trusted_makes_the_client_untrusted(
    make_lab: Callable[..., Lab], host: tuple[Site, Authority]
) -> None:
    made = make_lab(client_documents_deny=[f"keys.{HOST}"])
    with outside(made, reaching(host[1], made.clock)) as lab:
        elsewhere = {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": host[0].url("/jwks", f"keys.{HOST}"),
        }
        stopped(lab, host[0].publish(**elsewhere), "client_document_distrusted")
        assert set(host[0].seen) == {"/client.json"}
        elsewhere["jwks_uri"] = host[0].url("/jwks", f"good.{HOST}")
        assert asked_to_sign_in(lab, host[0].publish("/2.json", **elsewhere))


@pytest.mark.requirement("MCP-AS-13")
@pytest.mark.attack("CIMD-24")
def test_a_tenant_decides_which_hosts_it_trusts_at_its_door(open_lab: Lab, web: Site) -> None:
    good, bad = web.publish(host=f"good.{HOST}"), web.publish("/2.json", host=f"very.bad.{HOST}")
    for trust in (Trust(None, (f"bad.{HOST}",)), Trust((f"good.{HOST}",)), Trust((HOST,), (f"bad.{HOST}",))):
        open_lab.change(
            lambda tx, trust=trust: open_lab.broker.tenants.put(tx, Tenant("acme", "Acme", True, trust))
        )
        answer = open_lab.browser().get(open_lab.authorize_url(bad, "/t/acme"))
        assert "client_document_distrusted" in assert_page(answer, 400)
        record = open_lab.last("authorization.refused")
        assert (record["reason"], record["tenant"]) == ("client_document_distrusted", "acme")
        assert f"very.bad.{HOST}" in str(record["detail"])
        assert_refused(open_lab.redeem("x", bad, "/t/acme"), 401, "invalid_client")
    assert web.seen == []
    assert open_lab.tokens(good, door="/t/acme")["access_token"]


@pytest.mark.attack("CIMD-24")
def test_at_the_root_door_the_tenants_policy_holds_once_the_tenant_is_known(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    tokens = open_lab.tokens(url)
    open_lab.change(
        lambda tx: open_lab.broker.tenants.put(tx, Tenant("acme", "Acme", True, Trust(None, (HOST,))))
    )
    page = open_lab.consent_page(client_id=url)
    assert "client_document_distrusted" in assert_page(page, 400)
    assert open_lab.last("authorization.refused")["reason"] == "client_document_distrusted"
    assert_refused(open_lab.refresh(tokens["refresh_token"], url), 401, "invalid_client")
    assert open_lab.last("token.refused")["reason"] == "client_document_distrusted"
    open_lab.change(lambda tx: open_lab.broker.tenants.put(tx, Tenant("acme", "Acme")))
    assert open_lab.refresh(tokens["refresh_token"], url).status_code == 200


@pytest.mark.attack("CIMD-24")
def test_a_tenant_that_does_not_trust_the_client_is_no_choice(open_lab: Lab, web: Site) -> None:
    url = web.publish()
    files = {"resource": "https://files.example/mcp", "scope": "files:read"}
    choice = Page.of(open_lab.consent_page("both", client_id=url, **files)).response
    assert b'value="acme"' in choice.data and b'value="globex"' in choice.data
    open_lab.change(lambda tx: open_lab.broker.tenants.put(tx, Tenant("acme", "Acme", True, Trust(()))))
    page = open_lab.consent_page("both", client_id=url, **files)
    assert b'value="acme"' not in page.data and b"Globex" in page.data


@pytest.mark.attack("CIMD-24")
@pytest.mark.parametrize(
    "policy", [{"client_documents_deny": ["example"]}, {"client_documents_allow": ["trusted.example"]}]
)
def test_the_server_has_a_policy_too(
    make_lab: Callable[..., Lab], host: tuple[Site, Authority], policy: dict[str, object]
) -> None:
    made = make_lab(**policy)
    with outside(made, reaching(host[1], made.clock)) as lab:
        stopped(lab, host[0].publish(), "client_document_distrusted")
        assert host[0].seen == []


@pytest.mark.attack("CIMD-25")
def test_the_broker_never_fetches_from_itself(open_lab: Lab, names: Names) -> None:
    for url in (
        "https://as.example/client.json",
        "https://as.example:8443/client.json",
        "https://as.example/t/acme/client.json",
        "https://as.example:9464/metrics",
        "https://127.0.0.1:8400/healthz",
        "https://127.0.0.1:9464/metrics",
    ):
        stopped(open_lab, url, "client_document_address")
    assert names.asked == []


@pytest.mark.attack("CIMD-25")
def test_not_even_in_development_on_loopback(make_lab: Callable[..., Lab], canary: Canary) -> None:
    lab = make_lab(issuer=LOOPBACK, port=8400, metrics_port=canary.port)
    for place in ("127.0.0.1:8400", "localhost:8400", f"127.0.0.1:{canary.port}", f"localhost:{canary.port}"):
        answer = lab.http().get(
            lab.authorize_url(f"http://{place}/client.json"),
            base_url=LOOPBACK,
            headers={"Accept": "text/html"},
        )
        assert "client_document_address" in assert_page(answer, 400)
    assert canary.untouched()
