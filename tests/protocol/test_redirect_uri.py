import pytest

from broker.protocol.redirect_uri import (
    Destination,
    check_registration,
    destination,
    is_loopback,
    matches,
    source_expression,
    with_parameters,
)


@pytest.mark.parametrize(
    "uri", ["https://c.example/cb", "https://c.example:8443/cb?x=1", "https://c.example"]
)
@pytest.mark.parametrize("application_type", ["web", "native"])
def test_https_may_be_registered_by_any_client(uri: str, application_type: str) -> None:
    assert check_registration(uri, application_type) is None


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/cb",
        "http://127.0.0.1:33418/",
        "http://[::1]:1/cb",
        "http://localhost:8787/callback",
        "https://localhost/cb",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "com.example.app:/cb",
    ],
)
def test_loopback_and_private_schemes_are_for_native_clients_alone(uri: str) -> None:
    assert check_registration(uri, "native") is None
    assert check_registration(uri, "web") is not None


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/cb",
        "c.example/cb",
        "http://c.example/cb",
        "http://127.0.0.2/cb",
        "http://127.1/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "https://user@c.example/cb",
        "https://u:p@c.example/cb",
        "https://c.example/cb#",
        "https://c.example/cb#x",
        "https://c.example\\@evil.example/cb",
        "https://c.example/c b",
        "https://c.example/cb\n",
        "https://c.example/\x00",
        "https://c.exämple/cb",
        "https://c%2eexample/cb",
        "https:///cb",
        "https:cb",
        "https://c.example:99999/cb",
        "https://c.example:x/cb",
        "https://[::1/cb",
        "javascript:alert(1)",
        "JavaScript://x/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:https://x/y",
        "about:blank",
        "view-source:https://x",
        "ws://x/",
        "wss://x/",
        "ftp://x/",
        "mailto:a",
        "intent://x",
        "cursor:",
        "https://c.example/" + "a" * 2048,
        "https://c.example/<script>",
    ],
)
@pytest.mark.parametrize("application_type", ["web", "native"])
def test_what_could_leak_or_run_is_refused_with_a_reason(uri: str, application_type: str) -> None:
    assert check_registration(uri, application_type)


@pytest.mark.attack("AUTHZ-34")
@pytest.mark.parametrize("query", ["code=x", "state=", "iss=y", "error=z", "a=1&%63ode=x", "CODE=x"])
def test_a_registered_uri_cannot_smuggle_response_parameters(query: str) -> None:
    assert check_registration(f"https://c.example/cb?{query}", "web")
    assert check_registration("https://c.example/cb?a=1&codes=2", "web") is None


def test_only_the_exact_string_matches() -> None:
    registered = ["https://c.example/cb", "cursor://x/cb"]
    assert matches(registered, "https://c.example/cb")
    for other in (
        "https://c.example/cb/",
        "https://c.example/cb?",
        "https://c.example/cb?x=1",
        "https://C.example/cb",
        "https://c.example:443/cb",
        "https://c.example/./cb",
        "https://c.example/c%62",
        "https://c.example.evil.example/cb",
        "cursor://x:1/cb",
        "",
    ):
        assert not matches(registered, other), other


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_on_loopback_any_port_matches_under_the_same_host(host: str) -> None:
    for registered in (f"http://{host}/cb?a=1", f"http://{host}:8787/cb?a=1"):
        assert matches([registered], f"http://{host}:51004/cb?a=1")
        assert matches([registered], f"http://{host}/cb?a=1")


@pytest.mark.parametrize(
    "presented",
    [
        "http://localhost:51004/cb",
        "http://[::1]:1/cb",
        "http://127.1/cb",
        "http://2130706433/cb",
        "https://127.0.0.1:1/cb",
        "http://127.0.0.1:1/evil",
        "http://127.0.0.1:1/cb/",
        "http://127.0.0.1:1/cb?x",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://127.0.0.1:1.evil.example/cb",
        "http://127.0.0.1:1/cb\n",
        "http://127.0.0.1:1",
    ],
)
def test_on_loopback_nothing_but_the_port_may_differ(presented: str) -> None:
    assert not matches(["http://127.0.0.1/cb"], presented)


def test_a_destination_names_what_receives_the_code() -> None:
    assert destination("https://Sub.Example:8443/cb") == Destination("web", "sub.example")
    assert destination("https://xn--bcher-kva.example/") == Destination("web", "xn--bcher-kva.example")
    assert destination("https://bücher.example/") == Destination("web", "xn--bcher-kva.example")
    assert destination("http://[::1]:4/cb") == Destination("loopback", "::1")
    assert destination("cursor://anysphere/cb") == Destination("app", "cursor")


def test_loopback_is_told_from_lookalikes() -> None:
    assert is_loopback("http://localhost:1/x")
    assert not is_loopback("http://localhost.example/x")
    assert not is_loopback("cursor://localhost/x")


def test_parameters_are_appended_encoded_and_the_own_query_stays() -> None:
    pairs = [("code", "a b&c"), ("state", 'é"\r\n')]
    encoded = "code=a%20b%26c&state=%C3%A9%22%0D%0A"
    assert with_parameters("https://c.example/cb", pairs) == f"https://c.example/cb?{encoded}"
    assert with_parameters("https://c.example/cb?x=%20", pairs) == f"https://c.example/cb?x=%20&{encoded}"
    assert with_parameters("https://c.example/cb?", pairs) == f"https://c.example/cb?{encoded}"
    assert with_parameters("https://c.example/cb", []) == "https://c.example/cb"


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("https://client.example/cb", "https://client.example/cb"),
        ("https://client.example:8443/a/b?x=1", "https://client.example:8443/a/b"),
        ("https://client.example", "https://client.example"),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1:5000/cb"),
        ("http://[::1]:5000/cb", "http:"),
        ("https://client.example/a;b,c'd", "https://client.example/a%3Bb%2Cc%27d"),
        ("https://client.example/a%20b", "https://client.example/a%20b"),
        ("https://*.example/cb", "https:"),
        ("https://\u4f8b\u3048.example/cb", "https:"),
    ],
)
def test_a_policy_names_the_address_and_nothing_more(uri: str, source: str) -> None:
    assert source_expression(uri) == source
