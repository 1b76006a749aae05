"""What an administrator says of pushed requests and of the sign-ins that scopes take: applied, exported, refused."""

import pytest

from broker.admin.export import export
from broker.protocol import acr
from tests.admin.conftest import Desk


def estate(scope: str = "", tenant: str = "", client: str = "") -> str:
    return (
        f"tenants: [{{id: acme{tenant}}}]\n"
        'resources: [{id: tickets, kind: mcp, uri: "https://t.example/mcp", tenants: [acme],'
        f' scopes: [{{name: "t:read"}}, {{name: "t:write"{scope}}}]}}]\n'
        'clients: [{client_id: app, type: public, redirect_uris: ["https://a.example/cb"]'
        f"{client}}}]"
    )


def test_the_sign_in_that_a_scope_takes_comes_back_as_written(desk: Desk) -> None:
    desk.put(estate(f', acr: "{acr.MFA}", max_age: 300'))
    held = desk.apply.holdings()
    read, write = held.resources["tickets"].scopes
    assert (read.acr, read.max_age) == (None, None) and (write.acr, write.max_age) == (acr.MFA, 300)
    exported = export(held)
    assert desk.put(exported) == [] and exported.count("max_age") == exported.count("acr:mfa") == 1
    assert [change.members for change in desk.put(estate())] == [["scopes"]]
    assert "max_age" not in export(desk.apply.holdings())


@pytest.mark.parametrize("name", acr.ORDER)
def test_every_class_that_is_known_can_be_demanded(desk: Desk, name: str) -> None:
    assert desk.problems(estate(f', acr: "{name}"')) == []


@pytest.mark.parametrize(
    ("scope", "problem"),
    [
        (", acr: mfa", "resources[0].scopes[1].acr: use one of urn:mcp-token-broker:acr:password"),
        (", max_age: 59", "resources[0].scopes[1].max_age: a sign-in counts for 60 to 86400 seconds"),
        (", max_age: 86401", "resources[0].scopes[1].max_age: a sign-in counts for 60 to 86400 seconds"),
        (", max_age: soon", "resources[0].scopes[1].max_age: write a whole number"),
    ],
)
def test_a_sign_in_that_nobody_can_make_is_refused(desk: Desk, scope: str, problem: str) -> None:
    (found,) = desk.problems(estate(scope))
    assert found.startswith(problem)


def test_who_takes_pushed_requests_only_comes_back_as_written(desk: Desk) -> None:
    pushing = estate(tenant=", require_pushed: true", client=", require_pushed_authorization_requests: true")
    desk.put(pushing)
    held = desk.apply.holdings()
    assert held.tenants["acme"].pushed_only and held.clients["app"].pushed_only
    exported = export(held)
    assert desk.put(exported) == []
    assert "require_pushed: true" in exported and "require_pushed_authorization_requests: true" in exported
    changed = {change.members[0] for change in desk.put(estate())}
    assert changed == {"require_pushed", "require_pushed_authorization_requests"}
    held = desk.apply.holdings()
    assert not held.tenants["acme"].pushed_only and not held.clients["app"].pushed_only
    assert "require_pushed" not in export(held)
