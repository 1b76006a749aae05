"""Client ID metadata documents: which URL is a client, what a document may say, what a consent rests on."""

import json
from dataclasses import replace

import pytest

from broker.identity.clients.documents import address, read, rules
from broker.identity.clients.documents.address import Here
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Trust
from broker.runtime.fetcher import Unusable
from tests.documents import answered, document

URL = "https://app.example/client.json"
HERE = Here.of("https://as.example", (8400, 9464), loopback=False)
AT_HOME = Here.of("http://127.0.0.1:8400", (8400, 9464), loopback=True)
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}  # the public key of RFC 7515, appendix A.3


def described(**changes: object) -> Client:
    return read.client(URL, answered(document(URL, **changes)), HERE)


def fault(**changes: object) -> str:
    with pytest.raises(Unusable) as error:
        described(**changes)
    return str(error.value)


def test_tokens_are_bound_to_certificates_where_the_server_sees_them() -> None:
    bound = {"tls_client_certificate_bound_access_tokens": True}
    assert fault(**bound).startswith("tls_client_certificate_bound_access_tokens: this server sees no")
    assert not described(tls_client_certificate_bound_access_tokens=False).certificate_bound
    seen = replace(HERE, certificates=True)
    assert read.client(URL, answered(document(URL, **bound)), seen).certificate_bound
    with pytest.raises(Unusable, match="not both"):
        read.client(URL, answered(document(URL, **bound, dpop_bound_access_tokens=True)), seen)


# The URL


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://a-1.b2.example/x",
        "https://app.example:8443/x",
        "https://app.example/x/",
        "https://app.example//x",
        "https://app.example/%7Ex;v=1,2/@a:b!$&'()*+=",
        "https://app.example/..x/x../...",
        "https://xn--bcher-kva.example/x",
        "https://app.example/" + "x" * 492,
    ],
)
def test_a_plain_https_url_with_a_path_is_a_client_id(url: str) -> None:
    assert address.refused(url, HERE) is None


@pytest.mark.requirement("CIMD-AS-15")
@pytest.mark.parametrize(
    "url",
    [
        *("http://app.example/x", "ftp://app.example/x", "HTTPS://app.example/x", "https:/app.example/x"),
        *("https://app.example", "https://app.example/", "https://app.example?x", "https:///x", "https://"),
        *(
            "https://app.example/./x",
            "https://app.example/x/..",
            "https://app.example/.",
            "https://app.example/x/.",
        ),
        *("https://app.example/%2e/x", "https://app.example/x/.%2E", "https://app.example/%2e%2e"),
        *(
            "https://app.example/x#",
            "https://app.example/x#y",
            "https://app.example/x?",
            "https://app.example/x?a=b",
        ),
        *("https://u@app.example/x", "https://u:p@app.example/x", "https://@app.example/x"),
        *(
            "https://App.example/x",
            "https://app.example./x",
            "https://.app.example/x",
            "https://a..b.example/x",
        ),
        *(
            "https://-a.example/x",
            "https://a-.example/x",
            "https://a_b.example/x",
            "https://bücher.example/x",
        ),
        *(
            "https://app.example:443/x",
            "https://app.example:/x",
            "https://app.example:0/x",
            "https://app.example:99999/x",
        ),
        *("https://app.example:08443/x", "https://app.example:+1/x"),
        *(
            "https://app.example/ x",
            "https://app.example/x\n",
            "https://app.example/x\\y",
            "https://app.example/%zz",
        ),
        *(
            "https://app.example/é",
            'https://app.example/"',
            "https://app.example/x%",
            "https://app.example\\@b.example/x",
        ),
        "https://app.example/" + "x" * 493,
    ],
)
def test_no_other_spelling_is_one(url: str) -> None:
    assert address.refused(url, HERE)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "[::1]",
            "[::ffff:7f00:1]",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
        ),
        *("10.0.0.1", "8.8.8.8", "app.example.1", "app.0x1", "app.0x"),
        *(
            "localhost",
            "a.localhost",
            "metadata.google.internal",
            "x.local",
            "intranet",
            "wiki",
            "x.corp",
            "x.lan",
        ),
        *(
            "x.home.arpa",
            "1.0.0.127.in-addr.arpa",
            "x.onion",
            "x.test",
            "x.invalid",
            "x.localdomain",
            "x.private",
        ),
    ],
)
def test_a_literal_or_local_host_is_refused_by_its_name(host: str) -> None:
    assert address.refused(f"https://{host}/x", HERE)
    assert address.refused(f"https://{host}:8443/x", HERE)


def test_this_server_is_refused_on_any_port_and_its_neighbours_are_not() -> None:
    for url in ("https://as.example/x", "https://as.example:8443/x", "https://as.example/t/acme/x"):
        assert address.refused(url, HERE) == "it is this server itself"
    for url in ("https://www.as.example/x", "https://as.example.org/x", "https://bas.example/x"):
        assert address.refused(url, HERE) is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_in_development_on_loopback_a_document_may_be_there_too_but_not_where_this_server_listens(
    host: str,
) -> None:
    for scheme in ("http", "https"):
        assert address.refused(f"{scheme}://{host}:7000/x", AT_HOME) is None
        assert address.refused(f"{scheme}://{host}:7000/x", HERE)
        for port in (8400, 9464):
            assert address.refused(f"{scheme}://{host}:{port}/x", AT_HOME) == "it is this server itself"
    for url in (
        "http://app.example:7000/x",
        "http://127.0.0.2:7000/x",
        "http://a.localhost:7000/x",
        "http://10.0.0.1/x",
    ):
        assert address.refused(url, AT_HOME)
    assert address.refused(URL, AT_HOME) is None


def test_only_what_has_a_scheme_looks_like_a_document() -> None:
    assert all(map(address.looks_like_one, (URL, "http://x", "https://")))
    assert not any(map(address.looks_like_one, ("desk-app", "dyn_1", "https:x", "odd:id", "")))


def test_a_host_is_told_from_its_authority() -> None:
    assert address.host_of("https://app.example:8443/x") == "app.example"
    assert address.authority_of("https://app.example:8443/x") == "app.example:8443"


# The document


def test_a_document_names_the_types_of_details_that_its_client_uses_here_and_elsewhere() -> None:
    asking = described(authorization_details_types=["payment_initiation", "mcp_tool_call"])
    assert asking.authorization_details_types == ("mcp_tool_call",)
    assert described().authorization_details_types == ()


def test_a_document_describes_a_client_of_the_whole_server() -> None:
    assert described(
        scope="tickets:read", logo_uri="https://app.example/logo.png", unknown={"a": [1]}
    ) == Client(
        URL,
        "Published app",
        None,
        "none",
        Registered.DOCUMENT,
        ("https://client.example/cb",),
        ("authorization_code", "refresh_token"),
    )


@pytest.mark.parametrize("status", [201, 202, 204, 206, 304, 400, 404, 410, 500])
def test_only_status_200_is_a_document(status: int) -> None:
    with pytest.raises(Unusable, match=f"status {status}"):
        read.client(URL, answered(document(URL), status), HERE)


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/client+json"],
)
def test_json_is_a_document(kind: str) -> None:
    assert read.client(URL, answered(document(URL), kind=kind), HERE).client_id == URL


@pytest.mark.parametrize(
    "kind",
    ["", "text/html", "text/json", "application/jsonp", "application/+json", "json", "application/json-seq"],
)
@pytest.mark.requirement("CIMD-AS-03")
def test_no_other_content_type_is(kind: str) -> None:
    with pytest.raises(Unusable, match="content type"):
        read.client(URL, answered(document(URL), kind=kind), HERE)


SOUND = json.dumps(document(URL)).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[" + SOUND + b"]",
        b'"x"',
        SOUND + b"x",
        b"\xef\xbb\xbf" + SOUND,
        SOUND.decode().encode("utf-16"),
        SOUND[:-1] + b', "client_name": "Another"}',
        SOUND[:-1] + b', "x": {"a": 1, "a": 2}}',
        SOUND[:-1] + b', "x": NaN}',
        SOUND[:-1] + b', "x": "\\ud800"}',
        SOUND[:-1] + b', "x": "\xff"}',
        SOUND[:-1] + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b"<!doctype html>",
    ],
)
def test_anything_but_one_sound_json_object_is_refused(body: bytes) -> None:
    assert read.client(URL, answered(SOUND), HERE)
    with pytest.raises(Unusable, match="JSON"):
        read.client(URL, answered(body), HERE)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "https://APP.example/client.json",
        "https://app.example/client.json/",
        "https://app.example:443/client.json",
        "https://app.example/clien%74.json",
        "https://app.example/client.json ",
        "https://other.example/client.json",
        [URL],
        {"": URL},
    ],
)
def test_the_client_id_is_the_url_byte_for_byte(given: object) -> None:
    assert fault(client_id=given).startswith("client_id:")


@pytest.mark.requirement("MCP-AS-09")
@pytest.mark.parametrize("name", [None, "", "  ", "x" * 201, 7, ["x"], "a\nb", "a\u202eb", "\x00"])
def test_a_client_has_a_printable_name(name: object) -> None:
    assert fault(client_name=name).startswith("client_name:")
    assert described(client_name="x" * 200).name == "x" * 200


@pytest.mark.requirement("MCP-AS-09")
@pytest.mark.parametrize(
    "uris",
    [
        *(None, [], "https://client.example/cb", [7], [None], [""], {"a": 1}),
        *(["javascript:alert(1)"], ["http://client.example/cb"], ["https://client.example/cb#"], ["/cb"]),
        ["https://client.example/cb", "http://client.example/cb"],
    ],
)
def test_every_redirect_uri_must_be_one_that_could_be_registered(uris: object) -> None:
    assert fault(redirect_uris=uris).startswith("redirect_uris:")


def test_a_client_on_loopback_or_of_an_own_scheme_is_native_unless_it_says_otherwise() -> None:
    uris = ["http://localhost/callback", "http://127.0.0.1/callback"]
    assert described(redirect_uris=uris).application_type == "native"
    assert described(redirect_uris=["cursor://callback/x"]).application_type == "native"
    assert described().application_type == "web"
    assert described(application_type="native").application_type == "native"
    assert "loopback" in fault(redirect_uris=uris, application_type="web")
    assert fault(application_type="desktop").startswith("application_type:")


def test_grant_types_that_are_not_offered_are_left_out() -> None:
    device = "urn:ietf:params:oauth:grant-type:device_code"
    assert described(grant_types=["refresh_token", device, "authorization_code"]).grant_types == (
        "authorization_code",
        "refresh_token",
    )
    assert described(grant_types=None).grant_types == ("authorization_code",)
    assert described(grant_types=[device, "client_credentials"]).grant_types == ()
    bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert described(grant_types=[bearer]).grant_types == (bearer,)


def test_a_client_that_wants_no_code_is_refused() -> None:
    assert described(response_types=["code", "none"]).grant_types
    assert fault(response_types=["token"]).startswith("response_types:")


@pytest.mark.requirement("CIMD-AS-04")
@pytest.mark.parametrize("member", ["client_secret", "client_secret_expires_at"])
@pytest.mark.parametrize("value", ["s", "", 0, None])
def test_a_document_holds_no_secret(member: str, value: object) -> None:
    body = json.dumps({**document(URL), member: value}).encode()
    with pytest.raises(Unusable, match=member):
        read.client(URL, answered(body), HERE)


# Its authentication (section 6; SEP-3149)


KEYS = {"jwks": {"keys": [EC]}}


@pytest.mark.requirement("MCP-SEP-3149-01")
@pytest.mark.requirement("MCP-SEP-3149-02")
@pytest.mark.requirement("MCP-SEP-3149-03")
@pytest.mark.parametrize(
    ("members", "methods"),
    [
        ({}, ("none",)),
        ({"token_endpoint_auth_method": "none"}, ("none",)),
        ({"token_endpoint_auth_method": "private_key_jwt", **KEYS}, ("private_key_jwt",)),
        (
            {
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                **KEYS,
            },
            ("private_key_jwt", "none"),
        ),
        (
            {
                "token_endpoint_auth_method": "none",
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                **KEYS,
            },
            ("none", "private_key_jwt"),
        ),
        ({"token_endpoint_auth_methods_supported": ["private_key_jwt"], **KEYS}, ("private_key_jwt",)),
        (
            {
                "token_endpoint_auth_method": "attest_jwt_client_auth",
                "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth", "none"],
            },
            ("none",),
        ),
        ({"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}, ("none",)),
        (
            {
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                "token_endpoint_auth_signing_alg": "ES384",
                **KEYS,
            },
            ("none",),
        ),
    ],
)
@pytest.mark.requirement("MCP-SEP-3149-01", "MCP-SEP-3149-02", "MCP-SEP-3149-03")
def test_the_methods_are_those_that_both_sides_have(
    members: dict[str, object], methods: tuple[str, ...]
) -> None:
    client = described(**members)
    assert client.methods == methods and client.public == ("none" in methods)


@pytest.mark.parametrize(
    "members",
    [
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_methods_supported": []},
        {
            "token_endpoint_auth_methods_supported": ["attest_jwt_client_auth"],
            "token_endpoint_auth_method": "none",
        },
    ],
)
def test_a_client_with_no_method_of_ours_is_not_taken_for_a_public_one(members: dict[str, object]) -> None:
    with pytest.raises(read.NoCommonMethod):
        described(**members)


@pytest.mark.requirement("CIMD-AS-04")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
def test_no_method_shares_a_secret_not_even_as_one_of_several(method: str) -> None:
    assert method in fault(token_endpoint_auth_method=method)
    assert method in fault(token_endpoint_auth_methods_supported=["none", method])
    assert method in fault(token_endpoint_auth_method=method, token_endpoint_auth_methods_supported=["none"])


def test_who_authenticates_with_a_key_publishes_it() -> None:
    assert fault(token_endpoint_auth_method="private_key_jwt").startswith("jwks_uri:")
    at = described(token_endpoint_auth_method="private_key_jwt", jwks_uri="https://keys.example/jwks.json")
    assert (at.jwks, at.jwks_uri) == (None, "https://keys.example/jwks.json")
    assert json.loads(described(**KEYS).jwks or "") == KEYS["jwks"]
    assert fault(**KEYS, jwks_uri="https://keys.example/jwks.json").startswith("jwks:")
    rs = described(
        token_endpoint_auth_method="private_key_jwt", token_endpoint_auth_signing_alg="RS256", **KEYS
    )
    assert rs.assertion_alg == "RS256"


@pytest.mark.parametrize(
    "jwks",
    [
        *([], {}, {"keys": []}, {"keys": [{}]}, {"keys": "x"}),
        {"keys": [{**EC, "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}]},
        {"keys": [EC, {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}]},
        {"keys": [{**EC, "use": "enc"}]},
    ],
)
def test_inline_keys_are_public_and_verify(jwks: object) -> None:
    assert fault(jwks=jwks).startswith("jwks:")


def test_keys_of_other_kinds_beside_a_good_one_do_no_harm() -> None:
    assert described(jwks={"keys": [{"kty": "XYZ"}, EC]}).jwks


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "http://keys.example/jwks",
            "https://keys.example",
            "https://10.0.0.1/jwks",
            "https://localhost/jwks",
        ),
        *("https://vault.internal/jwks", "https://as.example/jwks", "file:///etc/passwd", "javascript:x", ""),
    ],
)
def test_a_jwks_uri_passes_the_same_filters(uri: str) -> None:
    assert fault(jwks_uri=uri).startswith("jwks_uri:")


# Trust and consent


def test_a_domain_stands_for_itself_and_all_below_it() -> None:
    trust = Trust(("app.example",))
    assert trust.admits("app.example") and trust.admits("a.b.app.example")
    assert not any(map(trust.admits, ("myapp.example", "example", "app.example.org", "app.exampl")))


def test_what_is_denied_is_denied_whatever_is_allowed() -> None:
    trust = Trust(("example",), ("bad.example",))
    assert trust.admits("app.example")
    assert not trust.admits("bad.example") and not trust.admits("very.bad.example")
    assert Trust(None, ("bad.example",)).admits("good.example")


def test_an_empty_list_allows_nobody_and_none_everybody() -> None:
    assert Trust().admits("app.example") and not Trust(()).admits("app.example")


def test_the_hosts_of_the_document_and_of_the_keys_must_both_be_trusted() -> None:
    client = described(jwks_uri="https://keys.other.example/jwks")
    assert rules.trusted(client, Trust())
    assert rules.trusted(client, Trust(("app.example", "other.example")))
    assert not rules.trusted(client, Trust(("app.example",)))
    assert not rules.trusted(client, Trust(None, ("other.example",)))
    assert rules.trusted(replace(client, registered=Registered.ADMIN), Trust(()))


@pytest.mark.parametrize("registered", [Registered.DOCUMENT, Registered.DYNAMIC])
def test_a_consent_rests_on_redirects_methods_and_keys_and_on_nothing_else(registered: Registered) -> None:
    client = replace(described(jwks_uri="https://app.example/jwks"), registered=registered)
    found = rules.digest(client)
    assert found is not None and len(found) <= 64
    for same in (
        replace(client, name="Other", created_at=1.0, unused_until=2.0, fetched_at=3.0),
        replace(client, grant_types=("authorization_code",)),
        replace(client, redirect_uris=client.redirect_uris[::-1]),
    ):
        assert rules.digest(same) == found
    for other in (
        replace(client, redirect_uris=(*client.redirect_uris, "https://client.example/2")),
        replace(client, method="private_key_jwt"),
        replace(client, other_methods=("private_key_jwt",)),
        replace(client, jwks="{}"),
        replace(client, jwks_uri="https://app.example/jwks2"),
    ):
        assert rules.digest(other) != found


def test_of_a_client_that_only_an_administrator_changes_no_digest_is_kept() -> None:
    assert rules.digest(replace(described(), registered=Registered.ADMIN)) is None


def test_a_client_is_weakened_when_it_need_not_prove_itself_any_more() -> None:
    public = described()
    proven = replace(public, method="private_key_jwt")
    either = replace(proven, other_methods=("none",))
    assert rules.weakened(rules.digest(proven), public) and rules.weakened(rules.digest(proven), either)
    assert not rules.weakened(rules.digest(proven), replace(proven, jwks="{}"))
    assert not rules.weakened(rules.digest(public), public) and not rules.weakened(
        rules.digest(public), proven
    )
    assert not rules.weakened(None, public)


def test_a_client_that_is_nowhere_on_the_web_could_be_any_program() -> None:
    local = described(redirect_uris=["http://127.0.0.1/cb", "http://localhost/cb", "app.x://cb/x"])
    assert rules.only_local(local) and not rules.only_local(replace(local, registered=Registered.ADMIN))
    assert not rules.only_local(described(redirect_uris=["http://127.0.0.1/cb", "https://app.example/cb"]))


@pytest.mark.parametrize(("said", "meant"), [(True, True), (False, False), ("true", False), (None, False)])
def test_a_document_may_say_that_its_requests_are_pushed(said: object, meant: bool) -> None:
    assert described(require_pushed_authorization_requests=said).pushed_only is meant
