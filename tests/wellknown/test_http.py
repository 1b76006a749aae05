import pytest
from flask import Flask
from flask.testing import FlaskClient

from wellknown.document import Document
from wellknown.http import blueprint


class Known:
    """A root door, the door of tenant acme, and the resource tickets."""

    def _door(self, kind: str, door_path: str) -> Document | None:
        if door_path not in ("", "/t/acme"):
            return None
        return Document.of({"kind": kind, "issuer": f"https://as.example{door_path}"}, 300)

    def authorization_server(self, door_path: str) -> Document | None:
        return self._door("oauth", door_path)

    def openid(self, door_path: str) -> Document | None:
        return self._door("openid", door_path)

    def authzen(self, door_path: str) -> Document | None:
        return self._door("authzen", door_path)

    def jwks(self, door_path: str) -> Document | None:
        return self._door("jwks", door_path)

    def protected_resource(self, resource_id: str) -> Document | None:
        return Document.of({"resource": resource_id}, 60) if resource_id == "tickets" else None


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__)
    app.register_blueprint(blueprint(Known()))
    return app.test_client()


ROOT, ACME = "https://as.example", "https://as.example/t/acme"
ADDRESSES = [
    ("/.well-known/oauth-authorization-server", "oauth", ROOT),
    ("/.well-known/oauth-authorization-server/t/acme", "oauth", ACME),
    ("/t/acme/.well-known/oauth-authorization-server", "oauth", ACME),
    ("/.well-known/openid-configuration", "openid", ROOT),
    ("/.well-known/openid-configuration/t/acme", "openid", ACME),
    ("/t/acme/.well-known/openid-configuration", "openid", ACME),
    ("/.well-known/authzen-configuration", "authzen", ROOT),
    ("/.well-known/authzen-configuration/t/acme", "authzen", ACME),
    ("/jwks", "jwks", ROOT),
    ("/t/acme/jwks", "jwks", ACME),
]


@pytest.mark.parametrize(("address", "kind", "issuer"), ADDRESSES)
def test_every_form_that_clients_try_gives_the_document_of_its_door(
    client: FlaskClient, address: str, kind: str, issuer: str
) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.json == {"kind": kind, "issuer": issuer}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_resource_is_published_by_its_id(client: FlaskClient) -> None:
    assert client.get("/.well-known/oauth-protected-resource/r/tickets").json == {"resource": "tickets"}
    assert client.get("/.well-known/oauth-protected-resource/r/other").status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "/t/nobody/jwks",
        "/.well-known/openid-configuration/t/nobody",
        "/t/nobody/.well-known/openid-configuration",
    ],
)
def test_an_unknown_door_is_not_found_and_names_nobody(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert answer.json == {"error": "not_found"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_head_has_the_headers_of_get_and_no_body(client: FlaskClient) -> None:
    got, headed = client.get("/jwks"), client.head("/jwks")
    assert headed.status_code == 200
    assert headed.data == b""
    assert headed.headers["ETag"] == got.headers["ETag"]
    assert headed.headers["Content-Length"] == got.headers["Content-Length"]


def test_a_document_that_the_client_has_is_not_sent_again(client: FlaskClient) -> None:
    etag = client.get("/jwks").headers["ETag"]
    assert not etag.startswith("W/")
    for condition in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = client.get("/jwks", headers={"If-None-Match": condition})
        assert (answer.status_code, answer.data) == (304, b""), condition
        assert answer.headers["ETag"] == etag
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert client.get("/jwks", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_browser_may_ask_with_the_headers_that_mcp_clients_send(client: FlaskClient) -> None:
    asked = {"Access-Control-Request-Headers": "MCP-Protocol-Version, Authorization, X-Other"}
    answer = client.options("/.well-known/oauth-authorization-server", headers=asked)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "mcp-protocol-version, authorization"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_nothing_is_written_here(client: FlaskClient) -> None:
    assert client.post("/jwks").status_code == 405
