"""`broker tenant suspend` and `resume`, `broker resource claim` and what follows from it."""

import pytest

from broker.runtime.egress import Answer, Egress
from tests.documents import answered

URI = "https://mine.example/mcp"
FILE = """
id: mine
kind: mcp
uri: https://mine.example/mcp
tenants: [acme]
scopes: [{name: "m:read"}]
"""


def test_a_tenant_is_suspended_and_goes_on(run, told, applied) -> None:
    assert told("tenant", "suspend", "acme", "--why", "unpaid") == {"tenant": "acme", "suspended": True}
    assert told("tenant", "list")[0]["suspended"] is True
    [thrown] = told("switch", "list")
    assert (thrown["kind"], thrown["id"], thrown["why"]) == ("tenant", "acme", "unpaid")
    assert told("tenant", "resume", "acme", "--why", "paid") == {"tenant": "acme", "suspended": False}
    assert told("switch", "list") == [] and not told("tenant", "list")[0]["suspended"]
    assert "not suspended" in run("tenant", "resume", "acme", "--why", "again", code=3).stderr
    assert "no tenant nowhere" in run("tenant", "suspend", "nowhere", "--why", "x", code=3).stderr


def test_an_address_is_claimed_proved_registered_and_given_back(
    run, told, applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = told("resource", "claim", URI, "--tenant", "acme")
    assert made["state"] == "pending" and made["door"].endswith("/t/acme")
    assert made["proof"] == "https://mine.example/.well-known/oauth-protected-resource/mcp"
    said: list[Answer] = [answered({"resource": URI, "authorization_servers": ["https://other.example"]})]
    monkeypatch.setattr(Egress, "get", lambda *_, **__: said[-1])
    refused = run("resource", "prove", made["claim"], code=4)
    assert "does not name the tenant's door" in refused.stderr
    assert (
        "is not proved"
        in run("resource", "create", "--file", "-", "--tenant", "acme", given=FILE, code=1).stderr
    )
    said.append(answered({"resource": URI, "authorization_servers": [made["door"]]}))
    assert told("resource", "prove", made["claim"])["state"] == "proved"
    assert (
        "+ resource mine" in run("resource", "create", "--file", "-", "--tenant", "acme", given=FILE).stdout
    )
    [listed] = told("resource", "claims")
    assert (listed["uri"], listed["state"], listed["resource"]) == (URI, "proved", "mine")
    assert told("resource", "withdraw", made["claim"]) == {"claim": made["claim"]}
    assert told("resource", "claims") == []


def test_an_administrator_gives_their_word(run, told, applied) -> None:
    made = told("resource", "claim", URI, "--tenant", "acme")
    assert told("resource", "vouch", made["claim"], "--why", "known")["state"] == "vouched"
    assert told("resource", "claims", "--tenant", "acme") != []
    run("resource", "create", "--file", "-", "--tenant", "acme", given=FILE)


def test_what_is_not_there_is_said_to_be_not_there(run, applied) -> None:
    for words in (("prove",), ("vouch", "--why", "x"), ("withdraw",)):
        assert "no claim clm_none" in run("resource", words[0], "clm_none", *words[1:], code=3).stderr
    assert "no tenant nowhere" in run("resource", "claim", URI, "--tenant", "nowhere", code=3).stderr
    assert "not the address" in run("resource", "claim", "mine.example", "--tenant", "acme", code=1).stderr
    run("tenant", "suspend", "acme", "--why", "x")
    assert "suspended" in run("resource", "claim", URI, "--tenant", "acme", code=4).stderr
