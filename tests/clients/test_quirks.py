"""RFC 6749, 7591, 8252, 8707, 9207, MCP authorization: what real clients do beside the standards, each with its test.

The first line of a test says who does it.
"""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.lab import (
    ACME,
    ISSUER,
    TICKETS,
    VERIFIER,
    Lab,
    Page,
    assert_page,
    assert_refused,
    basic,
    claims,
    landed,
    race,
)

DOORS = ["", "/t/acme"]
CURSOR = [
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://www.cursor.com/agents/mcp/oauth/callback",
    "http://localhost:8787/callback",
]
VS_CODE = ["http://127.0.0.1/", "http://127.0.0.1:33418/", "https://vscode.dev/redirect"]
BOTH = ["authorization_code", "refresh_token"]
CLAUDE = "https://claude.ai/api/mcp/auth_callback"


def registered(lab: Lab, door: str = "", **metadata: object) -> dict[str, object]:
    answer = lab.register(door, **{"grant_types": BOTH, **metadata})
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer.json


def arrives(lab: Lab, client_id: object, uri: str, **changes: str | None) -> dict[str, str]:
    """What a client gets at this redirect URI, its user having signed in and allowed what is asked."""
    browser = lab.browser()
    page = lab.consent_page(browser=browser, client_id=str(client_id), redirect_uri=uri, **changes)
    if page.status_code == 400:
        return {"error": assert_page(page, 400)}
    answer = page if page.status_code == 303 else browser.allow(page)
    assert answer.headers["Location"].startswith(uri), answer.headers["Location"]
    return landed(answer)


def test_the_scope_of_a_registration_is_no_ceiling(lab: Lab) -> None:
    """Every SDK registers with the scope that it needs first, and asks for more later."""
    made = registered(lab, scope="tickets:read")
    assert made["scope"] == "tickets:read"
    tokens = lab.tokens(str(made["client_id"]), scope="tickets:read customers:read")
    assert tokens["scope"] == "tickets:read customers:read"


def test_a_visit_without_cookies_before_the_users_own_takes_nothing_away(lab: Lab) -> None:
    """FastMCP opens the authorization address itself, without cookies, before the browser does."""
    client_id = str(registered(lab)["client_id"])
    url = lab.authorize_url(client_id)
    for _ in range(20):
        tried = lab.get(url)
        assert tried.status_code == 303 and tried.headers["Location"].startswith(f"{ISSUER}/consent?")
    browser = lab.browser()
    assert "code" in landed(browser.allow(browser.sign_in(browser.get(url))))
    assert "code" in landed(browser.allow(browser.get(url + "&prompt=consent")))
    assert_page(lab.get(lab.authorize_url("dyn_forgotten"), Accept="text/html"), 400)  # so it registers anew


def test_a_door_without_registration_names_no_endpoint_and_says_why_when_asked(
    make_lab: Callable[..., Lab],
) -> None:
    """The Python SDK posts to /register also where no endpoint is named."""
    for is_open in (True, False):
        lab = make_lab(registration_open=is_open)
        for door in DOORS:
            metadata = lab.get(f"/.well-known/oauth-authorization-server{door}").json
            answer = lab.register(door)
            assert ("registration_endpoint" in metadata) is is_open
            if is_open:
                assert answer.status_code == 201
            else:
                assert_refused(answer, 403, "access_denied")


@pytest.mark.parametrize("door", DOORS)
def test_the_scopes_of_a_server_are_those_that_users_may_be_asked_for(lab: Lab, door: str) -> None:
    """The Python SDK, Claude Code, Codex and VS Code ask for every scope that the server lists."""
    listed = lab.get(f"/.well-known/oauth-authorization-server{door}").json["scopes_supported"]
    assert {"tickets:read", "offline_access"} <= set(listed)
    assert not [scope for scope in listed if re.search("admin|crm|ledger", scope)]
    assert len(listed) == len(set(listed))
    offered = "tickets:read customers:read tickets:write refunds:write".split()
    tokens = lab.tokens(door=door, scope=" ".join(listed), prompt="consent")
    assert tokens["scope"].split() == [*offered, "openid", "profile", "email"]
    assert str(claims(tokens["access_token"])["scope"]).split() == offered


@pytest.mark.parametrize("prompt", [None, "consent"])
@pytest.mark.parametrize("scope", ["tickets:read offline_access", "offline_access"])
def test_offline_access_and_the_prompt_that_comes_with_it_are_taken(
    lab: Lab, scope: str, prompt: str | None
) -> None:
    """Python SDK, FastMCP, mcp-remote and Inspector add both; Claude Code adds the scope wherever it is."""
    tokens = lab.tokens(scope=scope, prompt=prompt)
    assert tokens["scope"] == "tickets:read" and "refresh_token" in tokens
    assert "refresh_token" not in lab.tokens("no-refresh", scope=scope, prompt=prompt)
    for name in ("tickets", "notes"):
        resource = lab.get(f"/.well-known/oauth-protected-resource/r/{name}").json
        assert "offline_access" not in resource["scopes_supported"]


@pytest.mark.parametrize(("door", "issuer"), [("", ISSUER), ("/t/acme", ACME)])
def test_the_issuer_is_the_same_bytes_everywhere(lab: Lab, door: str, issuer: str) -> None:
    """Python SDK, Copilot CLI and others compare byte by byte, and render addresses their own way."""
    assert issuer == issuer.lower() and not issuer.endswith("/") and ":443" not in issuer
    for name in ("oauth-authorization-server", "openid-configuration"):
        assert lab.get(f"/.well-known/{name}{door}").json["issuer"] == issuer
    browser = lab.browser()
    arrived = landed(browser.allow(lab.consent_page(browser=browser, door=door)))
    token = claims(lab.redeem(arrived["code"], door=door).json["access_token"])
    assert arrived["iss"] == token["iss"] == issuer
    published = lab.get("/.well-known/oauth-protected-resource/r/tickets").json
    assert published["authorization_servers"] == [ACME], "it serves one tenant"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.requirement("MCP-AS-15")
def test_the_issuer_comes_with_success_and_with_errors(lab: Lab, door: str) -> None:
    """Codex and the SDKs refuse an answer without the issuer that the metadata promises."""
    metadata = lab.get(f"/.well-known/oauth-authorization-server{door}").json
    assert metadata["authorization_response_iss_parameter_supported"] is True
    browser = lab.browser()
    page = lab.consent_page(browser=browser, door=door)
    for answer in (
        browser.get(lab.authorize_url(door=door, scope="nonsense")),
        browser.submit(Page.of(page), decision="deny"),
        browser.allow(lab.consent_page(browser=browser, door=door)),
    ):
        assert landed(answer)["iss"] == metadata["issuer"] and landed(answer)["state"] == "st4te"


def every_octet(text: str) -> str:
    return "".join(f"%{octet:02X}" for octet in text.encode())


@pytest.mark.parametrize("secret", ["s" * 40, "a+b/c=d%41:é" + "x" * 30])
@pytest.mark.parametrize("encode", [str, quote, lambda text: quote(text, safe=""), every_octet])
def test_basic_authentication_with_and_without_percent_encoding(
    lab: Lab, secret: str, encode: Callable[[str], str]
) -> None:
    """The TypeScript SDKs send the parts as they are; Python's percent-encode them, as the RFC says."""
    nightly = lab.client("nightly")
    lab.change(lambda tx: lab.broker.clients.set_secret(tx, nightly, secret))
    form = {"grant_type": "client_credentials"}
    good = lab.post("/token", form, basic(encode("nightly"), encode(secret)))
    assert good.status_code == 200, good.get_data(as_text=True)
    assert_refused(lab.post("/token", form, basic("nightly", encode(secret + "x"))), 401, "invalid_client")


def test_what_is_issued_needs_no_encoding(lab: Lab) -> None:
    """The TypeScript SDKs do not encode what they put into a header."""
    made = registered(lab, token_endpoint_auth_method="client_secret_basic")
    for name in ("client_id", "client_secret"):
        assert quote(str(made[name]), safe="") == made[name]


def test_basic_authentication_may_come_with_the_same_client_id_in_the_body(lab: Lab) -> None:
    """Several libraries always send the client_id in the form."""
    form = {"grant_type": "client_credentials", "client_id": "nightly"}
    assert lab.post("/token", form, basic("nightly")).status_code == 200
    assert_refused(
        lab.post("/token", {**form, "client_id": "web-app"}, basic("nightly")), 400, "invalid_request"
    )


@pytest.mark.requirement("MCP-AS-20")
def test_without_a_proof_a_token_is_a_bearer_token_with_a_number_of_seconds(lab: Lab) -> None:
    """The Python SDK takes no other type; few clients turn a text into a number."""
    first = lab.tokens()
    for answer in (first, lab.refresh(first["refresh_token"]).json):
        assert answer["token_type"] == "Bearer" and type(answer["expires_in"]) is int


@pytest.mark.requirement("MCP-AS-04")
def test_discovery_satisfies_the_schemas_of_the_sdks(lab: Lab) -> None:
    """The TypeScript SDKs read openid-configuration with the schema of OpenID Connect."""
    needed = {"issuer", "authorization_endpoint", "token_endpoint", "response_types_supported"}
    for door in DOORS:
        oauth = lab.get(f"/.well-known/oauth-authorization-server{door}").json
        openid = lab.get(f"/.well-known/openid-configuration{door}").json
        assert openid == lab.get(f"{door}/.well-known/openid-configuration").json
        assert needed <= set(oauth)
        needed_by_openid = {"jwks_uri", "subject_types_supported", "id_token_signing_alg_values_supported"}
        assert needed | needed_by_openid <= set(openid)
        for document in (oauth, openid):
            assert "S256" in document["code_challenge_methods_supported"]
            assert "none" in document["token_endpoint_auth_methods_supported"], "Claude and Codex look for it"
            assert None not in document.values() and [] not in document.values()


def test_a_registration_is_echoed_in_arrays_and_without_nulls(lab: Lab) -> None:
    """The TypeScript SDKs refuse null; the Python SDK names no method and takes what it is given."""
    made = registered(
        lab, redirect_uris=["http://localhost:4000/callback"], scope=None, logo_uri=None, contacts=[]
    )
    assert made["token_endpoint_auth_method"] == "none" and "client_secret" not in made
    assert made["redirect_uris"] == ["http://localhost:4000/callback"]
    assert made["grant_types"] == BOTH and made["response_types"] == ["code"]
    assert None not in made.values() and isinstance(made["client_id"], str)
    for method in ("client_secret_basic", "client_secret_post"):
        secret = registered(lab, token_endpoint_auth_method=method)
        assert secret["token_endpoint_auth_method"] == method and secret["client_secret"]
        assert type(secret["client_secret_expires_at"]) is int


def test_members_of_a_registration_that_nobody_knows_are_ignored(lab: Lab) -> None:
    """Gemini CLI sends code_challenge_method."""
    made = registered(lab, code_challenge_method="S256", x_vendor={"nested": [1]})
    assert not {"code_challenge_method", "x_vendor"} & set(made)
    assert lab.tokens(str(made["client_id"]))["token_type"] == "Bearer"


def test_answers_with_secrets_are_never_stored(lab: Lab) -> None:
    """The conformance suite looks for it, and proxies obey it."""
    made = lab.register(token_endpoint_auth_method="client_secret_post")
    code = lab.code()
    for answer in (made, lab.redeem(code), lab.redeem(code), lab.get(lab.authorize_url())):
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("path", "method"),
    [("/.well-known/oauth-authorization-server", "GET"), ("/register", "POST"), ("/token", "POST")],
)
def test_a_client_in_a_web_page_may_ask_and_read(lab: Lab, door: str, path: str, method: str) -> None:
    """Inspector and others in a browser send MCP-Protocol-Version, so that the browser asks first."""
    registered(lab, door, redirect_uris=["http://localhost:6274/oauth/callback"])
    page = {"Origin": "http://localhost:6274"}
    url = path + door if path.startswith("/.well") else door + path
    asked = {
        **page,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "mcp-protocol-version, content-type, authorization",
    }
    preflight = lab.http().options(url, base_url=ISSUER, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] in ("*", page["Origin"])
    assert method in preflight.headers["Access-Control-Allow-Methods"]
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
    assert {"mcp-protocol-version", "content-type", "authorization"} <= set(allowed)
    answer = lab.http().open(url, method=method, base_url=ISSUER, headers=page)
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", page["Origin"])
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_refusals_say_whether_the_client_or_the_grant_is_gone(lab: Lab) -> None:
    """The TypeScript SDKs and Claude register anew at 401 invalid_client, and sign in anew at invalid_grant."""
    tokens = lab.tokens()
    assert_refused(lab.refresh(tokens["refresh_token"], "dyn_forgotten"), 401, "invalid_client")
    assert_refused(
        lab.post("/token", {"grant_type": "client_credentials"}, basic("nightly", "wrong")),
        401,
        "invalid_client",
    )
    assert_refused(lab.refresh("mcpb_rt_nonsense"), 400, "invalid_grant")
    assert_refused(lab.redeem("mcpb_ac_nonsense"), 400, "invalid_grant")
    assert lab.refresh(tokens["refresh_token"]).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
@pytest.mark.parametrize("port", ["", ":8000"])
def test_the_port_on_loopback_may_be_any_and_the_one_used_is_kept(lab: Lab, host: str, port: str) -> None:
    """Claude Code, VS Code and Copilot CLI register one port or none, and listen on another."""
    client_id = registered(lab, redirect_uris=[f"http://{host}{port}/callback"])["client_id"]
    used, other = f"http://{host}:51004/callback", f"http://{host}:51005/callback"
    code = arrives(lab, client_id, used)["code"]
    assert_refused(lab.redeem(code, str(client_id), redirect_uri=other), 400, "invalid_grant")
    assert lab.redeem(code, str(client_id), redirect_uri=used).status_code == 200
    elsewhere = "localhost" if host != "localhost" else "127.0.0.1"
    for uri in (
        f"http://{elsewhere}:51004/callback",
        f"http://{host}:51004/other",
        f"https://{host}/callback",
    ):
        assert "error" in arrives(lab, client_id, uri)


def test_a_registration_with_loopback_and_a_web_page_serves_both(lab: Lab) -> None:
    """VS Code registers the bare address, a usual port and a page of its own."""
    client_id = registered(lab, redirect_uris=VS_CODE, client_name="Visual Studio Code")["client_id"]
    for uri in (*VS_CODE, "http://127.0.0.1:60871/"):
        assert "code" in arrives(lab, client_id, uri)


def test_a_callback_with_an_id_in_its_path_is_exact_but_for_the_port(lab: Lab) -> None:
    """Codex registers http://127.0.0.1:PORT/callback/ID."""
    client_id = registered(lab, redirect_uris=["http://127.0.0.1:4101/callback/q7Xa"])["client_id"]
    assert "code" in arrives(lab, client_id, "http://127.0.0.1:4102/callback/q7Xa")
    for path in ("/callback/other", "/callback/", "/callback/q7Xa/"):
        assert "error" in arrives(lab, client_id, f"http://127.0.0.1:4102{path}")


def test_one_registration_with_three_kinds_of_redirect_uri(lab: Lab) -> None:
    """Cursor registers a scheme of its own, a web page and loopback at once."""
    made = registered(lab, redirect_uris=CURSOR, client_name="Cursor")
    assert made["redirect_uris"] == CURSOR
    for uri in CURSOR:
        assert "code" in arrives(lab, made["client_id"], uri, prompt="consent")


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///tmp/x",
        "vbscript:x",
        "blob:https://app.example/x",
        "about:blank",
    ],
)
def test_a_scheme_that_no_app_owns_spoils_the_whole_registration(lab: Lab, uri: str) -> None:
    """Nobody who is honest registers these; beside them Cursor's own are taken."""
    for given in (uri, uri.replace(uri[:4], uri[:4].upper())):
        assert_refused(lab.register(redirect_uris=[*CURSOR, given]), 400, "invalid_redirect_uri")


def test_a_client_may_ask_for_its_secret_in_the_body(lab: Lab) -> None:
    """Claude registers with client_secret_post."""
    made = registered(lab, redirect_uris=[CLAUDE], token_endpoint_auth_method="client_secret_post")
    code = arrives(lab, made["client_id"], CLAUDE)["code"]
    form = {
        "grant_type": "authorization_code",
        "client_id": str(made["client_id"]),
        "code": code,
        "redirect_uri": CLAUDE,
        "code_verifier": VERIFIER,
        "resource": TICKETS,
    }
    assert_refused(lab.post("/token", {**form, "client_secret": "wrong"}), 401, "invalid_client")
    assert lab.post("/token", {**form, "client_secret": str(made["client_secret"])}).status_code == 200


def test_registering_again_and_again_costs_little_and_leaves_nothing(lab: Lab) -> None:
    """Claude registers at every fresh connection, at times twice."""
    found = [str(registered(lab, redirect_uris=[CLAUDE])["client_id"]) for _ in range(10)]
    assert "code" in arrives(lab, found[0], CLAUDE) and "code" in arrives(lab, found[-1], CLAUDE)
    lab.clock.advance(lab.broker.settings.registration_unused_lifetime)
    lab.broker.tend()
    for client_id in found:
        assert lab.browser().get(lab.authorize_url(client_id, redirect_uri=CLAUDE)).status_code == 400


@pytest.mark.parametrize("scope", [" offline_access", "+offline_access", "  tickets:read  offline_access "])
def test_spaces_too_many_in_a_scope_are_overlooked(lab: Lab, scope: str) -> None:
    """Claude sends a scope that begins with a space."""
    query = lab.authorize_url(scope=None) + f"&scope={scope.replace(' ', '%20')}"
    browser = lab.browser()
    code = landed(browser.allow(browser.sign_in(browser.get(query))))["code"]
    tokens = lab.redeem(code).json
    assert tokens["scope"] == "tickets:read"
    again = lab.refresh(tokens["refresh_token"], scope=scope.replace("+", " "))
    assert again.status_code == 200 and again.json["scope"] == "tickets:read"


@pytest.mark.parametrize("asked", [TICKETS, TICKETS + "/", TICKETS.replace("mcp1", "MCP1")])
def test_a_resource_may_have_a_slash_too_many_at_every_step(lab: Lab, asked: str) -> None:
    """Claude Code adds a slash or leaves it out; what the token is for stays as registered."""
    tokens = lab.tokens(resource=asked)
    again = lab.refresh(tokens["refresh_token"], resource=asked).json
    assert claims(tokens["access_token"])["aud"] == claims(again["access_token"])["aud"] == TICKETS


def test_without_a_resource_there_is_a_default(lab: Lab) -> None:
    """Older Codex names no resource anywhere."""
    tokens = lab.tokens(resource=None)
    again = lab.refresh(tokens["refresh_token"]).json
    assert claims(tokens["access_token"])["aud"] == claims(again["access_token"])["aud"] == TICKETS


def test_a_refresh_without_scope_keeps_what_was_granted(lab: Lab) -> None:
    """Claude Code and every SDK leave the scope out."""
    tokens = lab.tokens(scope="tickets:read customers:read")
    again = lab.refresh(tokens["refresh_token"]).json
    narrow = lab.refresh(again["refresh_token"], scope="tickets:read").json
    assert narrow["scope"] == "tickets:read"
    assert lab.refresh(narrow["refresh_token"]).json["scope"] == tokens["scope"] == again["scope"]


def test_processes_that_race_with_one_refresh_token_all_go_on(lab: Lab) -> None:
    """Several processes of Claude Code share one file of tokens."""
    token = lab.tokens()["refresh_token"]
    answers = race(6, lambda _: lab.refresh(token))
    assert [answer.status_code for answer in answers] == [200] * 6
    (successor,) = {answer.json["refresh_token"] for answer in answers}
    assert len({answer.json["access_token"] for answer in answers}) == 6
    assert lab.refresh(successor).status_code == 200
