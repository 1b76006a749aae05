"""What is particular about each provider: how its answers are read, and how it is told."""

import json
from dataclasses import replace

import pytest

from broker.runtime.egress import Answer
from broker.vault.model import Account, Provider, Tokens
from broker.vault.providers import atlassian, generic, github
from broker.vault.reach import PROVIDERS, usable
from tests.vault.steps import Setting

FORM, JSON = "application/x-www-form-urlencoded", "application/json; charset=utf-8"


def answer(body: bytes, kind: str = JSON, status: int = 200) -> Answer:
    return Answer(status, {"content-type": kind}, body)


def test_the_table_knows_its_providers_and_sends_browsers_and_tokens_to_https_alone() -> None:
    assert sorted(PROVIDERS) == ["atlassian", "generic", "github"]
    for row in (github.PROVIDER, atlassian.PROVIDER):
        named = (row.authorization_endpoint, row.token_endpoint, row.account_endpoint)
        assert all(url is not None and url.startswith("https://") and usable(url) for url in named)


@pytest.mark.parametrize("row", PROVIDERS.values(), ids=lambda row: row.name)
def test_every_row_reads_json_and_a_form_alike(row: Provider) -> None:
    wanted = {"access_token": "a", "expires_in": "5"}
    assert dict(row.answer(answer(json.dumps(wanted).encode()))) == wanted
    assert dict(row.answer(answer(b"access_token=a&expires_in=5", FORM))) == wanted


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b'{"a": 1, "a": 2}', b"\xff", b'{"a": NaN}', b"[" * 100_000]
)
def test_what_is_no_object_is_not_read(body: bytes) -> None:
    with pytest.raises(ValueError):
        generic.members(answer(body))


def test_a_form_with_a_member_twice_is_not_read() -> None:
    with pytest.raises(ValueError):
        generic.members(answer(b"access_token=a&access_token=b", FORM))


def test_github_separates_scopes_with_commas_and_errs_with_200() -> None:
    row = github.PROVIDER
    assert row.answer(answer(b'{"scope": "repo,gist"}'))["scope"] == "repo gist"
    said = row.answer(answer(b"error=bad_refresh_token&error_description=x", FORM))
    assert row.over(str(said["error"]), "") and not row.over("incorrect_client_credentials", "")
    assert row.account({"id": 1, "login": "octo", "name": "O"}, ()) == Account("1", "octo")
    assert row.revocation.request is not None
    method, url, body = row.revocation.request("https://api.github.com", "Ov23 /li", "t0ken")
    assert (method, url) == ("DELETE", "https://api.github.com/applications/Ov23%20%2Fli/token")
    assert json.loads(body or b"") == {"access_token": "t0ken"}
    assert row.revocation.of(Tokens("a", "r")) == [("access", "a")]


def test_atlassian_rotates_and_tells_a_void_refresh_token_as_an_unauthorized_client() -> None:
    row = atlassian.PROVIDER
    assert row.over("unauthorized_client", "refresh_token is invalid")
    assert row.over("invalid_grant", "") and not row.over("unauthorized_client", "not allowed")
    assert row.parameters["audience"] == "api.atlassian.com" and row.always == ("offline_access",)
    assert row.revocation_endpoint is None and row.scope_separator == " "
    assert row.account({"account_id": "5b", "name": "A"}, ()) == Account("5b", "A")


@pytest.mark.parametrize(
    ("document", "names", "found"),
    [
        ({"sub": "s", "name": "N"}, (), Account("s", "N")),
        ({"id": 7}, (), Account("7", "7")),
        ({"id": True}, (), None),
        ({"id": "a\nb"}, (), None),
        ({"id": "x" * 201}, (), None),
        ([], (), None),
        ({"uid": "u", "mail": "m"}, ("uid", "mail"), Account("u", "m")),
        ({"uid": "u"}, ("uid",), Account("u", "u")),
    ],
)
def test_an_account_is_read_from_the_members_that_are_named(
    document: object, names: tuple[str, ...], found: Account | None
) -> None:
    assert generic.account(document, names) == found


def test_a_whole_story_with_a_provider_that_answers_in_forms_and_errs_with_200(vault: Setting) -> None:
    vault.forge.style = "form"
    vault.connect(vault.signed_in(), scope=["repo:read", "repo:write"])
    writing = vault.call(scope="tickets:read tickets:write")
    assert vault.released(writing).json["scope"] == "repo:read repo:write"
    vault.lab.clock.advance(3600)
    writing = vault.call(scope="tickets:read tickets:write")
    renewed = vault.released(writing).json
    assert renewed["expires_in"] == 3600 and vault.forge.works(renewed["access_token"])
    vault.forge.forget()
    vault.lab.clock.advance(3600)
    answer = vault.released(vault.call(scope="tickets:read tickets:write"))
    vault.lab.refused(answer, 400, "interaction_required", "connection_broken")


def test_what_a_row_always_asks_for_is_asked_and_counts_as_nothing(vault: Setting) -> None:
    def work(tx: object) -> None:
        resource = vault.resource("forge", vault.forge)
        assert resource.vault is not None
        known = replace(resource.vault, provider="atlassian")
        vault.lab.broker.changes.put_resource(tx, replace(resource, vault=known))

    vault.lab.change(work)
    browser = vault.signed_in()
    url = vault.begin(browser)
    assert "scope=repo%3Aread+offline_access" in url and "audience=api.atlassian.com" in url
    assert "code_challenge" not in url
    vault.back(browser, vault.forge.visit(url))
    [connection] = vault.lab.broker.vault.connections.every()
    assert (connection.scopes, connection.wider) == (("repo:read",), ())
