import json

import pytest

from broker.guard import jsonrpc
from broker.guard.enforce import lacking
from broker.guard.metadata import metadata_of

IMPLIES = {"tickets:write": ["tickets:read"]}


def test_enough_scope_names_nothing() -> None:
    assert lacking({"tickets:write"}, ["tickets:read"], IMPLIES) is None
    assert lacking(set(), [], IMPLIES) is None


@pytest.mark.attack("RS-06")
def test_what_is_granted_is_named_with_what_is_needed() -> None:
    assert lacking({"b", "a"}, ["tickets:write", "a"], {}) == ("a", "b", "tickets:write")


def test_offline_access_is_never_named() -> None:
    assert lacking({"offline_access", "openid", "a"}, ["b"], {}) == ("a", "b")


@pytest.mark.parametrize(
    ("resource", "paths", "url"),
    [
        (
            "https://h.example/mcp",
            {"/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"},
            "https://h.example/.well-known/oauth-protected-resource/mcp",
        ),
        (
            "http://127.0.0.1:9999/",
            {"/.well-known/oauth-protected-resource"},
            "http://127.0.0.1:9999/.well-known/oauth-protected-resource",
        ),
    ],
)
def test_metadata_is_served_at_the_inserted_path_and_at_the_root(
    resource: str, paths: set[str], url: str
) -> None:
    metadata = metadata_of(resource, ["https://as.example"], ["a", "offline_access"], resource_name="Desk")
    assert (metadata.paths, metadata.url) == (paths, url)
    assert json.loads(metadata.body) == {
        "resource": resource,
        "authorization_servers": ["https://as.example"],
        "scopes_supported": ["a"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "Ed25519", "EdDSA", "PS256"],
        "resource_name": "Desk",
    }
    demanding = metadata_of(resource, ["https://as.example"], [], dpop_required=True)
    assert json.loads(demanding.body)["dpop_bound_access_tokens_required"] is True


def test_a_challenge_may_point_to_the_copy_of_the_issuer() -> None:
    assert metadata_of("https://h/mcp", ["https://as"], [], url="https://as/copy").url == "https://as/copy"


def test_a_message_and_a_batch_are_read() -> None:
    call = (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund","arguments":{"name":"x"}}}'
    )
    assert jsonrpc.read(call.encode()) == (jsonrpc.Message(1, "tools/call", "refund"),)
    assert [m.tool for m in jsonrpc.read(f"[{call},{{}}]".encode())] == ["refund", None]
    assert jsonrpc.read(b'{"method":"prompts/get","params":{"name":"refund"}}')[0].tool is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"[1]",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        '{"method":"tools/call"}'.encode("utf-16"),
        b'{"method":"tools/list","method":"tools/call"}',
        b'{"method":"tools/call","params":{"name":"search","name":"refund"}}',
        b'{"method":1}',
        b'{"a":NaN}',
        b"[" * 100_000,
    ],
)
def test_what_two_parsers_could_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        jsonrpc.read(body)
