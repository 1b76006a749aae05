"""A tenant's own admins change what their tenant proved, and nothing else; the estate file is a root admin's word."""

from collections.abc import Callable

import pytest

from broker.admin import lint
from broker.admin.model import Change, EstateProblems, Wanted
from broker.admin.model import Holdings as Held
from broker.denials.model import Kind, Target
from tests.admin.conftest import ESTATE, ORIGIN, Desk, wanted

URI = "https://mine.example/mcp"
MINE = """
resources:
  - {id: mine, kind: mcp, uri: "https://mine.example/mcp", name: Mine, tenants: [globex],
     client: {client_id: mine-server, client_secret: "a secret"}, scopes: [{name: "m:read"}]}
"""
DAY = 86400.0


@pytest.fixture
def held(desk: Desk, estate: str) -> Desk:
    desk.put(estate)
    return desk


def act(desk: Desk, text: str, tenant: str = "globex") -> list[Change]:
    return desk.apply.apply(wanted(text), ORIGIN, within=tenant)


def refused(work: Callable[[], object]) -> list[str]:
    with pytest.raises(EstateProblems) as caught:
        work()
    return [str(problem) for problem in caught.value.problems]


def target(tenant: str) -> Target:
    return Target(Kind.TENANT, tenant)


def claimed(desk: Desk, uri: str = URI, tenant: str = "globex") -> str:
    return desk.broker.claims.make(tenant, uri, ORIGIN).id


def vouched(desk: Desk, uri: str = URI, tenant: str = "globex") -> str:
    made = claimed(desk, uri, tenant)
    desk.broker.claims.vouch(made, "test", ORIGIN)
    return made


def remove(desk: Desk, resource: str, tenant: str = "globex") -> list[Change]:
    gone = {("resource", resource)}
    return desk.apply.apply(Wanted(Held({})), ORIGIN, removal=lambda _, __: gone, within=tenant)


def test_without_proof_a_tenant_registers_nothing_and_with_it_what_is_there(held: Desk) -> None:
    assert "is not proved" in refused(lambda: act(held, MINE))[0]
    made = claimed(held)
    assert "is not proved" in refused(lambda: act(held, MINE))[0], "a claim is no proof"
    held.broker.claims.vouch(made, "test", ORIGIN)
    assert [(change.noun, change.action) for change in act(held, MINE)] == [
        ("client", "create"),
        ("resource", "create"),
    ]
    assert held.broker.claims.get(made).resource_id == "mine"
    assert held.broker.estate().resources["mine"].tenants == ("globex",)
    assert held.facts()[-1]["tenant"] == "globex"


def test_the_word_of_a_root_admin_needs_no_proof(held: Desk) -> None:
    assert [change.action for change in held.put(MINE)] == ["create", "create"]


def test_what_is_its_own_is_changed_and_removed(held: Desk) -> None:
    vouched(held)
    act(held, MINE)
    changes = act(held, MINE.replace("name: Mine", "name: Ours"))
    assert [(change.noun, change.members) for change in changes] == [
        ("client", ["name"]),
        ("resource", ["name"]),
    ]
    assert {change.noun for change in remove(held, "mine")} == {"resource", "client"}
    assert "mine" not in held.broker.estate().resources


def test_a_proof_that_is_old_lets_nothing_be_changed(held: Desk) -> None:
    made = claimed(held)
    held.broker.world.database.write(
        lambda tx: tx.connection.exec_driver_sql(
            f"UPDATE resource_claim SET state = 'proved', checked_at = {held.broker.world.clock.now()}"
        )
    )
    act(held, MINE)
    held.broker.world.clock.advance(DAY)
    changed = MINE.replace("name: Mine", "name: Ours")
    assert "is not proved" in refused(lambda: act(held, changed))[0]
    held.broker.claims.vouch(made, "test", ORIGIN)
    assert act(held, changed)


OTHERS = {
    "another tenant": ("tenants: [globex]", "tenants: [acme]", "a tenant registers for itself"),
    "every tenant": ("tenants: [globex]", 'tenants: "*"', "a tenant registers for itself"),
    "one more tenant": ("tenants: [globex]", "tenants: [globex, acme]", "a tenant registers for itself"),
    "another address": ("mine.example/mcp", "theirs.example/mcp", "is not proved"),
    "the address with a slash": ("mine.example/mcp", "mine.example/mcp/", "is not proved"),
    "the id of another's": ("id: mine,", "id: tickets,", "is not this tenant's"),
    "the server of another's": ("mine-server", "tickets-server", "tickets-server is"),
    "a client of an administrator": ("mine-server", "nightly", "nightly is"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_its_own_stays_as_it_is(held: Desk, name: str) -> None:
    old, new, says = OTHERS[name]
    vouched(held)
    before = held.apply.holdings()
    problems = refused(lambda: act(held, MINE.replace(old, new)))
    assert any(says in problem for problem in problems), problems
    assert held.apply.holdings() == before
    assert act(held, MINE)


@pytest.mark.parametrize(
    "text",
    [
        "tenants: [{id: globex, name: Taken}]",
        "users: [{id: bob, tenants: [{id: globex, roles: [admin]}]}]",
        'clients: [{client_id: new, type: public, redirect_uris: ["http://127.0.0.1/cb"]}]',
        'edges: [{from: tickets, to: crm, scopes: {"tickets:write": ["crm:write"]}}]',
    ],
)
def test_everything_else_of_the_estate_is_a_root_admins(held: Desk, text: str) -> None:
    before = held.apply.holdings()
    assert refused(lambda: act(held, text))
    assert held.apply.holdings() == before


def test_nothing_of_others_is_removed(held: Desk) -> None:
    vouched(held)
    act(held, MINE)
    for name in ("tickets", "crm"):
        assert f"{name} is not this tenant's" in refused(lambda name=name: remove(held, name))[0]
    assert "is not this tenant's" in refused(lambda: remove(held, "mine", "acme"))[0]


def test_what_was_shared_with_others_since_is_not_its_own_to_change(held: Desk) -> None:
    vouched(held)
    act(held, MINE)
    held.put(
        MINE.replace("tenants: [globex]", "tenants: [acme, globex]").replace("mine-server", "shared-server")
    )
    for attempt in (lambda: act(held, MINE), lambda: remove(held, "mine")):
        assert any("not this tenant's" in problem for problem in refused(attempt))
    assert set(held.broker.estate().resources["mine"].tenants) == {"acme", "globex"}


def test_a_tenant_at_the_root_door_does_not_say_what_is_the_default_there(held: Desk) -> None:
    vouched(held, tenant="acme")
    mine = MINE.replace("tenants: [globex]", "tenants: [acme]").replace("name: Mine", "default: true")
    held.put(ESTATE.replace("default: true\n    client", "client"))
    assert "is the server's to say" in refused(lambda: act(held, mine, "acme"))[0]
    vouched(held)
    assert act(held, MINE.replace("name: Mine", "default: true")), "behind a door of its own it does"


def test_a_suspended_tenant_and_one_that_is_none_change_nothing(held: Desk) -> None:
    vouched(held)
    held.broker.switches.throw(target("globex"), "test")
    assert refused(lambda: act(held, MINE)) == ["refused: tenant_off"]
    held.broker.switches.lift(target("globex"), "test")
    assert refused(lambda: act(held, MINE, "nowhere")) == ["there is no tenant nowhere"]
    assert act(held, MINE)


def test_a_claim_that_was_withdrawn_takes_the_say_with_it(held: Desk) -> None:
    made = vouched(held)
    act(held, MINE)
    held.broker.claims.withdraw(made, ORIGIN)
    assert "is not proved" in refused(lambda: act(held, MINE.replace("name: Mine", "name: Ours")))[0]
    vouched(held)
    assert "not this tenant's" in refused(lambda: act(held, MINE.replace("name: Mine", "name: Ours")))[0]
    assert "mine" in held.broker.estate().resources


def test_the_doctor_names_what_is_registered_and_lapsed(held: Desk) -> None:
    made = vouched(held)
    act(held, MINE)
    claims = held.broker.claims
    assert [finding.level.value for finding in lint.lapsed(claims.every())] == ["ok"]
    held.broker.world.database.write(
        lambda tx: tx.connection.exec_driver_sql("UPDATE resource_claim SET state = 'lapsed'")
    )
    [finding] = lint.lapsed(claims.every())
    assert (finding.id, finding.level.value) == ("estate.claims", "warn")
    assert URI in finding.what and made in finding.fix
