import json
from dataclasses import replace

from wellknown import authorization_server, openid, paths, protected_resource
from wellknown.authorization_server import ServerMetadata
from wellknown.document import Document
from wellknown.protected_resource import ResourceMetadata

DOOR = ServerMetadata(
    issuer="https://as.example/t/acme",
    scopes_supported=("tickets:read", "offline_access"),
    grant_types_supported=("authorization_code",),
    token_endpoint_auth_methods_supported=("none", "client_secret_basic"),
)
RESOURCE = ResourceMetadata(
    resource="https://mcp.example/mcp",
    authorization_servers=("https://as.example/t/acme",),
    scopes_supported=("tickets:read", "offline_access"),
    resource_name="Ticket desk",
)


def test_addresses_are_inserted_between_host_and_path() -> None:
    assert paths.authorization_server("https://h") == "https://h/.well-known/oauth-authorization-server"
    assert (
        paths.authorization_server("https://h/t/a") == "https://h/.well-known/oauth-authorization-server/t/a"
    )
    assert paths.openid("https://h") == ("https://h/.well-known/openid-configuration",)
    assert paths.openid("https://h/t/a") == (
        "https://h/.well-known/openid-configuration/t/a",
        "https://h/t/a/.well-known/openid-configuration",
    )
    assert paths.inserted("https://m/mcp?x=1", paths.PROTECTED_RESOURCE) == (
        "https://m/.well-known/oauth-protected-resource/mcp?x=1"
    )
    assert (
        paths.published_resource("https://h", "r1") == "https://h/.well-known/oauth-protected-resource/r/r1"
    )


def test_a_door_says_what_clients_look_for() -> None:
    document = authorization_server.document(DOOR)
    assert document["issuer"] == DOOR.issuer
    assert document["token_endpoint"] == f"{DOOR.issuer}/token"
    assert document["jwks_uri"] == f"{DOOR.issuer}/jwks"
    assert document["registration_endpoint"] == f"{DOOR.issuer}/register"
    assert document["response_types_supported"] == ["code"]
    assert document["response_modes_supported"] == ["query"]
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert "client_id_metadata_document_supported" not in document
    assert "service_documentation" not in document
    assert all(value is not None for value in document.values())


def test_what_is_not_offered_is_absent_and_what_is_appears() -> None:
    document = authorization_server.document(
        replace(
            DOOR,
            registration=False,
            client_id_metadata_document_supported=True,
            service_documentation="https://d",
        )
    )
    assert "registration_endpoint" not in document
    assert document["client_id_metadata_document_supported"] is True
    assert document["service_documentation"] == "https://d"


def test_the_openid_document_adds_what_openid_requires() -> None:
    plain, document = authorization_server.document(DOOR), openid.document(DOOR)
    assert plain.items() <= document.items()
    assert document["subject_types_supported"] == ["public"]
    assert document["id_token_signing_alg_values_supported"] == ["ES256"]
    assert document["userinfo_endpoint"] == f"{DOOR.issuer}/userinfo"


def test_resource_metadata_never_advertises_offline_access() -> None:
    members = protected_resource.members(RESOURCE)
    assert members == {
        "resource": "https://mcp.example/mcp",
        "authorization_servers": ["https://as.example/t/acme"],
        "scopes_supported": ["tickets:read"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Ticket desk",
    }


def test_signed_metadata_repeats_the_members_and_names_its_issuer() -> None:
    def sign(claims: object) -> str:
        return json.dumps(claims)

    document = protected_resource.document(RESOURCE, issuer="https://as.example", now=12.9, sign=sign)
    signed = document.pop("signed_metadata")
    assert json.loads(str(signed)) == document | {"iss": "https://as.example", "iat": 12}


def test_one_byte_changed_is_another_etag() -> None:
    first, second = Document.of({"a": 1}, 60), Document.of({"a": 2}, 60)
    assert first == Document.of({"a": 1}, 60)
    assert first.etag != second.etag
    assert first.etag.startswith('"')
