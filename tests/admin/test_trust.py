"""Whose metadata documents a tenant believes, and clients under a URL, as an administrator writes them."""

import pytest
from pydantic import ValidationError

from broker.admin.export import export
from broker.identity.clients.model import Registered
from broker.identity.tenants.model import Trust
from broker.settings import Settings
from tests.admin.conftest import Desk

URL = "https://app.example/client.json"


@pytest.mark.parametrize(
    ("written", "trust"),
    [
        (
            "{allow: [app.example, localhost], deny: [bad.app.example]}",
            Trust(("app.example", "localhost"), ("bad.app.example",)),
        ),
        ("{allow: []}", Trust(())),
        ("{deny: [x.example]}", Trust(None, ("x.example",))),
        ("{}", Trust()),
    ],
)
def test_the_trust_of_a_tenant_comes_back_as_written(desk: Desk, written: str, trust: Trust) -> None:
    desk.put(f"tenants: [{{id: acme, client_documents: {written}}}]")
    held = desk.apply.holdings()
    assert held.tenants["acme"].documents == trust
    exported = export(held)
    assert desk.put(exported) == [] and ("client_documents" in exported) == (trust != Trust())
    assert [change.members for change in desk.put("tenants: [{id: acme}]")] == (
        [] if trust == Trust() else [["client_documents"]]
    )
    assert desk.apply.holdings().tenants["acme"].documents == Trust()


@pytest.mark.parametrize(
    "domain",
    ["", "*.example", "App.example", ".example", "a..b", "https://a.example", "a_b", "-a.b", "a.b:1"],
)
@pytest.mark.parametrize("member", ["allow", "deny"])
def test_what_is_no_domain_is_refused_where_it_stands(desk: Desk, member: str, domain: str) -> None:
    found = desk.problems(f'tenants: [{{id: acme, client_documents: {{{member}: [a.example, "{domain}"]}}}}]')
    assert len(found) == 1 and found[0].startswith(f"tenants[0].client_documents.{member}[1]: ")


@pytest.mark.parametrize("member", ["client_documents_allow", "client_documents_deny"])
def test_the_lists_of_the_server_hold_domains_too(member: str) -> None:
    assert Settings(**{member: ["app.example", "localhost"]})
    for wrong in ("*.example", "App.example", "https://app.example", ""):
        with pytest.raises(ValidationError, match=member):
            Settings(**{member: [wrong]})


def test_a_client_may_be_registered_under_its_url(desk: Desk) -> None:
    file = f'clients: [{{client_id: "{URL}", type: public, redirect_uris: ["https://app.example/cb"]}}]'
    desk.put(file)
    assert desk.apply.holdings().clients[URL].registered is Registered.ADMIN
    assert desk.put(file) == desk.put(export(desk.apply.holdings())) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/x",
        "https://app.example/",
        "https://app.example/x?a=b",
        "https://10.0.0.1/x",
        "x://y",
    ],
)
def test_a_url_that_nobody_could_use_is_no_id(desk: Desk, url: str) -> None:
    file = f'clients: [{{client_id: "{url}", type: public, redirect_uris: ["https://app.example/cb"]}}]'
    (found,) = desk.problems(file)
    assert found.startswith("clients[0].client_id: ")


def test_only_a_client_of_its_own_may_have_a_url_for_an_id(desk: Desk) -> None:
    file = f'resources: [{{id: r, kind: mcp, uri: "https://r.example", tenants: [], client: {{client_id: "{URL}"}}}}]'
    assert any(found.startswith("resources[0].client.client_id: an id is") for found in desk.problems(file))
