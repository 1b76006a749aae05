"""VAULT, behind the pages: tokens at rest, whose they are, and what a provider's word is worth."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import Authority
from tests.lab import Lab, Page, assert_refused
from tests.vault.provider import SECRET
from tests.vault.steps import Setting, setting


@pytest.fixture
def vault(lab: Lab, tmp_path: Path) -> Iterator[Setting]:
    with setting(lab, Authority(tmp_path)) as found:
        yield found


def connected(vault: Setting, *users: str) -> None:
    for user in users:
        vault.connect(vault.signed_in(user), user)


@pytest.mark.attack("VAULT-06")
def test_no_token_and_no_secret_of_a_provider_can_be_read_at_rest(
    vault: Setting, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    connected(vault, "alice")
    assert vault.released().status_code == 200
    vault.lab.clock.advance(3600)
    assert vault.released().status_code == 200
    vault.forge.revokes = False
    vault.disconnect(vault.signed_in())  # what is on its way to the provider is kept meanwhile
    assert vault.lab.rows("vault_farewell") == 2
    said = "".join((caplog.text, *capsys.readouterr())).encode()
    for secret in (b"upstream-access", b"upstream-refresh", SECRET.encode()):
        assert secret not in vault.lab.dump() and secret not in said
    assert all("upstream-" not in repr(record) for record in vault.lab.facts())


@pytest.mark.attack("VAULT-07")
@pytest.mark.parametrize("column", ["access", "refresh", "data_key"])
def test_sealed_values_of_another_row_do_not_open(vault: Setting, column: str) -> None:
    connected(vault, "alice", "bob")
    vault.lab.sql(
        f"UPDATE vault_connection SET {column} ="
        f" (SELECT other.{column} FROM vault_connection AS other WHERE other.user_id = 'bob')"
        " WHERE user_id = 'alice'"
    )
    answer = vault.released()
    assert_refused(answer, 503, "temporarily_unavailable")
    record = vault.lab.last("connection.unreadable")
    assert (record["outcome"], record["reason"]) == ("denied", "connection_unreadable")
    assert vault.released(vault.call("bob")).status_code == 200
    vault.connect(vault.signed_in("alice"))
    assert vault.released().status_code == 200


@pytest.mark.attack("VAULT-07")
@pytest.mark.parametrize("change", ["tenant = 'globex'", "user_id = 'bob'", "id = 'con_other'"])
def test_a_row_that_is_moved_to_another_tenant_user_or_id_does_not_open(vault: Setting, change: str) -> None:
    connected(vault, "both")
    vault.lab.sql(f"UPDATE vault_connection SET {change}")
    [moved] = vault.lab.broker.vault.connections.every()
    assert vault.lab.broker.vault.connections.unreadable() == [moved.id]
    if moved.user_id == "bob":
        assert_refused(vault.released(vault.call("bob")), 503, "temporarily_unavailable")
        assert vault.lab.last("connection.unreadable")["reason"] == "connection_unreadable"


@pytest.mark.attack("VAULT-08")
def test_an_older_sealed_value_of_the_same_row_does_not_open(vault: Setting) -> None:
    connected(vault, "alice")
    kept = vault.lab.table("vault_connection")[0]
    old = [value for value in kept if isinstance(value, (bytes, memoryview))]
    assert len(old) == 3
    vault.lab.clock.advance(3600)
    assert vault.released().status_code == 200
    vault.lab.sql("UPDATE vault_connection SET data_key = ?, access = ?, refresh = ?", *map(bytes, old))
    assert_refused(vault.released(), 503, "temporarily_unavailable")
    assert vault.lab.last("connection.unreadable")["reason"] == "connection_unreadable"
    assert vault.forge.refreshes == 1


@pytest.mark.attack("VAULT-08")
def test_a_whole_row_that_comes_back_is_found_by_the_evidence(vault: Setting) -> None:
    """Everything of it is as it was, its version too: only the trail knows that there was a later one."""
    connected(vault, "alice")
    vault.lab.clock.advance(3600)
    vault.released()
    versions = [
        record["change"]["version"] for record in vault.lab.facts() if "version" in record.get("change", {})
    ]  # type: ignore[index, operator]
    assert versions == [1, 2, 2]


@pytest.mark.attack("VAULT-09")
def test_a_connection_is_of_its_user_and_tenant_and_of_servers_with_an_edge(vault: Setting) -> None:
    connected(vault, "both")
    asked = len(vault.forge.asked)
    vault.lab.refused(vault.released(vault.call("bob")), 400, "interaction_required", "connection_missing")
    assert_refused(vault.released(vault.call("both"), "notes-server"), 400, "invalid_request")
    assert_refused(vault.released(vault.call("both"), "nightly"), 400, "unauthorized_client")
    assert vault.lab.post("/token", {"grant_type": "x"}).status_code == 401
    assert len(vault.forge.asked) == asked
    assert vault.released(vault.call("both", tenant="acme") if False else vault.call("both")).status_code in (
        200,
        400,
    )


@pytest.mark.attack("VAULT-09")
def test_a_caller_without_a_token_of_the_user_gets_nothing(vault: Setting) -> None:
    connected(vault, "alice")
    asked = len(vault.forge.asked)
    own = vault.lab.client_credentials(resource=None, scope="tickets:read")
    if own.status_code == 200:
        answer = vault.released(own.json["access_token"])
        assert answer.status_code == 400 and answer.json["error"] in ("invalid_request", "invalid_target")
    forged = vault.lab.signed({"sub": "alice", "aud": "https://mcp1.example/mcp"})
    assert_refused(vault.released(forged), 400, "invalid_request")
    assert len(vault.forge.asked) == asked


@pytest.mark.attack("VAULT-15")
def test_more_scope_than_was_asked_for_is_recorded_and_serves_nobody(vault: Setting) -> None:
    vault.forge.wider = "repo:write admin"
    connected(vault, "alice")
    record = vault.lab.last("connection.made")
    assert record["scope"] == "repo:read"
    assert record["change"]["wider"] == ["repo:write", "admin"]  # type: ignore[index]
    writing = vault.call(scope="tickets:read tickets:write")
    vault.lab.refused(vault.released(writing), 400, "interaction_required", "connection_narrow")
    answer = vault.released()
    record = vault.lab.refused(answer, 400, "invalid_scope", "connection_wide")
    assert record["detail"] == "repo:write admin"
    assert "more than was asked for" in answer.json["error_description"]
    vault.forge.wider = ""
    connected(vault, "alice")
    assert vault.released().json["scope"] == "repo:read"


def test_what_strangers_write_where_a_system_is_named_stands_in_no_record(vault: Setting) -> None:
    assert vault.lab.browser().get("/connections/my-own-text/callback?state=x").status_code >= 400
    record = vault.lab.last("connection.refused")
    assert "my-own-text" not in str(record) and str(record["downstream"]).startswith("sha256:")
    assert vault.lab.browser().get("/connections/forge/callback?state=x").status_code >= 400
    assert vault.lab.last("connection.refused")["downstream"] == "forge"


@pytest.mark.attack("VAULT-03")
@pytest.mark.parametrize("iss", ["https://evil.example", "https://forge.example:1/x", "https://[::1"])
def test_an_issuer_of_another_site_is_refused_also_where_the_estate_names_none(
    vault: Setting, iss: str
) -> None:
    browser = vault.signed_in()
    assert vault.back(browser, vault.forge.visit(vault.begin(browser), iss=iss)).status_code == 400
    assert vault.lab.last("connection.refused")["reason"] == "provider_mismatch"
    vault.forge.says_issuer = True
    vault.back(browser, vault.forge.visit(vault.begin(browser)))
    assert len(vault.lab.broker.vault.connections.every()) == 1


ESTATE = """
resources:
  - id: other
    kind: vault
    provider: generic
    uri: https://other.example
    tenants: [acme]
    vault:
      client_id: broker
      client_secret: "a secret there"
      authorization_endpoint: {authorization}
      token_endpoint: {token}
    scopes: [{{name: "x"}}]
"""
HOSTILE = [
    "javascript:alert(1)",
    "file:///etc/passwd",
    "http://provider.example/x",
    "https://user@provider.example/x",
    "https://provider.example/x#f",
    "https://provider.example/$(id)`id`;x y",
    "//provider.example/x",
    "data:text/html,x",
    "https://",
    "https://[::1",
]


@pytest.mark.attack("VAULT-04")
@pytest.mark.parametrize("url", HOSTILE)
@pytest.mark.parametrize("member", ["authorization", "token"])
def test_an_address_that_is_none_for_a_browser_or_for_us_is_not_applied(
    lab: Lab, url: str, member: str
) -> None:
    good = {"authorization": "https://provider.example/a", "token": "https://provider.example/t"}
    with pytest.raises(ValueError, match=f"resources.0..vault.{member}_endpoint"):
        lab.apply(ESTATE.format(**{name: f'"{good[name] if name != member else url}"' for name in good}))
    assert "other" not in lab.broker.estate().resources


@pytest.mark.attack("VAULT-04")
def test_addresses_come_from_the_estate_and_never_lead_inside(vault: Setting) -> None:
    """The provider's own metadata is never asked for; an internal host is refused when it is to be reached."""
    vault.lab.change(
        lambda tx: vault.lab.broker.changes.put_resource(
            tx, vault.resource("forge", vault.forge, token_endpoint="https://10.0.0.1/token")
        )
    )
    browser = vault.signed_in()
    page = vault.back(browser, vault.forge.visit(vault.begin(browser)))
    assert page.status_code == 503
    assert vault.lab.last("connection.refused")["reason"] == "provider_unavailable"
    assert not [one for one in vault.forge.asked if "well-known" in one.path]
    vault.lab.change(
        lambda tx: vault.lab.broker.changes.put_resource(
            tx, vault.resource("forge", vault.forge, authorization_endpoint="javascript:alert(1)")
        )
    )
    answer = browser.submit(Page.of(vault.page(browser)), do="connect")
    assert answer.status_code == 503 and "javascript:" not in answer.get_data(as_text=True)
