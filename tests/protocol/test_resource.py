import pytest

from broker.protocol import resource


@pytest.mark.parametrize(
    "uri",
    [
        "https://h.example",
        "https://h.example/mcp",
        "http://127.0.0.1:9999/mcp",
        "https://[::1]/a?b=c",
        "HTTPS://H/",
    ],
)
def test_an_absolute_http_uri_is_valid(uri: str) -> None:
    assert resource.valid(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mcp1.example",
        "/mcp",
        "ftp://x",
        "https://",
        "https:///mcp",
        "https://h/mcp#f",
        "https://h/mcp#",
        "https://u@h/mcp",
        "https://u:p@h/mcp",
        "https://h/a b",
        "https://h/a\nb",
        "https://h/\x00",
        "https://h\\@evil/",
        "https://h:99999/",
        "https://h%2eexample/",
        "https://hé/",
        "urn:x:y",
    ],
)
def test_anything_else_is_not(uri: str) -> None:
    assert not resource.valid(uri)


@pytest.mark.parametrize(
    ("uri", "folded"),
    [
        ("HTTPS://MCP.Example:443/Mcp/", "https://mcp.example/Mcp"),
        ("http://h:80", "http://h"),
        ("http://h:443/", "http://h:443"),
        ("https://h/mcp//", "https://h/mcp/"),
        ("https://h/a%2Fb/../c", "https://h/a%2Fb/../c"),
        ("https://h/a?q=/", "https://h/a?q=/"),
        ("not a uri/", "not a uri/"),
    ],
)
def test_folding_touches_scheme_host_default_port_and_one_slash_only(uri: str, folded: str) -> None:
    assert resource.folded(uri) == folded
    assert resource.folded(folded) == folded or folded.endswith("/")
