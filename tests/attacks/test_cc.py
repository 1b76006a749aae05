"""RFC 6749 section 4.4: attacks on client credentials."""

from dataclasses import replace

import pytest

from broker.admin.model import EstateProblems
from broker.audit.unknown import unknown
from tests.lab import CALLBACK, CRM, FILES, NOTES, TICKETS, Lab, assert_refused, claims

READ = "tickets:read"


@pytest.mark.attack("CC-01")
@pytest.mark.parametrize(
    ("client", "status", "error"),
    [
        ("desk-app", 400, "unauthorized_client"),
        ("web-app", 401, "invalid_client"),
        ("nightly", 401, "invalid_client"),
        ("nobody", 401, "invalid_client"),
    ],
)
def test_a_client_without_credentials_has_no_work_of_its_own(
    lab: Lab, client: str, status: int, error: str
) -> None:
    form = {"grant_type": "client_credentials", "client_id": client, "resource": TICKETS}
    assert_refused(lab.post("/token", form), status, error)
    record = lab.last("token.refused")
    assert record["client"] == (unknown(client) if client == "nobody" else client)
    assert record["reason"] in ("client_grant_type", "client_method_mismatch", "client_unknown")
    assert lab.facts("token.issued") == []


@pytest.mark.attack("CC-01")
def test_registering_the_grant_does_not_make_a_public_client_work(lab: Lab) -> None:
    lab.put_client(replace(lab.client("desk-app"), grant_types=("client_credentials",)))
    assert_refused(lab.client_credentials("desk-app", resource=TICKETS), 400, "unauthorized_client")
    assert lab.client_credentials("web-app", resource=TICKETS).status_code == 200


@pytest.mark.attack("CC-01")
def test_a_client_that_is_not_registered_for_the_grant_has_no_work_of_its_own(lab: Lab) -> None:
    assert_refused(lab.client_credentials("other-app", resource=TICKETS), 400, "unauthorized_client")
    assert lab.last("token.refused")["reason"] == "client_grant_type"


@pytest.mark.attack("CC-02")
@pytest.mark.parametrize(
    "scope", ["tickets:read admin", "tickets:read tickets:write", "admin", "crm:read", "openid"]
)
def test_a_client_gets_no_scope_beyond_its_registration(lab: Lab, scope: str) -> None:
    assert_refused(lab.client_credentials(scope=scope), 400, "invalid_scope")
    assert lab.last("token.refused")["reason"] == "scope_widened"
    assert lab.facts("token.issued") == []
    assert claims(lab.client_credentials(scope=READ).json["access_token"])["scope"] == READ


@pytest.mark.attack("CC-02")
def test_a_registered_scope_brings_what_it_implies_and_nothing_more(lab: Lab) -> None:
    lab.put_client(replace(lab.client("nightly"), scopes=("tickets:write",)))
    assert claims(lab.client_credentials().json["access_token"])["scope"] == "tickets:read tickets:write"
    assert_refused(lab.client_credentials(scope="refunds:write"), 400, "invalid_scope")


@pytest.mark.attack("CC-04")
@pytest.mark.parametrize("wish", ["alice", "desk-app", "tickets-server", "nobody-yet"])
def test_a_registering_client_does_not_choose_its_id(lab: Lab, wish: str) -> None:
    before = lab.client("desk-app")
    answer = lab.register(client_id=wish, sub=wish, redirect_uris=[CALLBACK])
    assert answer.status_code == 201
    assert answer.json["client_id"] != wish and answer.json["client_id"].startswith("dyn_")
    assert lab.client("desk-app") == before
    assert lab.broker.people.get(answer.json["client_id"]) is None


@pytest.mark.attack("CC-04")
def test_users_and_clients_share_one_namespace(lab: Lab) -> None:
    dynamic = lab.register().json["client_id"]
    for name in ("nightly", "tickets-server", dynamic):
        with pytest.raises(EstateProblems):
            lab.apply(f"users: [{{id: {name}, tenants: [{{id: acme}}]}}]")
        assert lab.broker.people.get(name) is None
    with pytest.raises(EstateProblems):
        lab.apply('clients: [{client_id: alice, type: public, redirect_uris: ["https://c.example/cb"]}]')
    lab.apply("users: [{id: nightly-user, tenants: [{id: acme}]}]")
    assert lab.broker.people.get("nightly-user") is not None


@pytest.mark.attack("CC-04")
def test_the_id_of_a_deleted_user_or_client_is_not_given_to_another_of_its_kind(lab: Lab) -> None:
    lab.change(lambda tx: lab.broker.people.remove(tx, "bob"))
    lab.change(lambda tx: lab.broker.clients.remove(tx, "two-uris"))
    with pytest.raises(EstateProblems):
        lab.apply("users: [{id: bob, tenants: [{id: acme}]}]")
    with pytest.raises(EstateProblems):
        lab.apply('clients: [{client_id: two-uris, type: public, redirect_uris: ["https://c.example/cb"]}]')


@pytest.mark.attack("CC-04")
def test_the_id_of_a_deleted_user_is_not_given_to_a_client(lab: Lab) -> None:
    lab.change(lambda tx: lab.broker.people.remove(tx, "bob"))
    with pytest.raises(EstateProblems):
        lab.apply('clients: [{client_id: bob, type: public, redirect_uris: ["https://c.example/cb"]}]')


@pytest.mark.attack("CC-04")
def test_a_client_s_own_token_is_told_from_a_user_s(lab: Lab) -> None:
    own = claims(lab.client_credentials().json["access_token"])
    assert own["sub"] == own["client_id"] == "nightly" and own["tenant"] == "acme"
    assert not {"auth_time", "acr", "amr", "act"} & set(own)
    users = claims(lab.tokens()["access_token"])
    assert users["sub"] != users["client_id"] and {"auth_time", "acr", "amr"} <= set(users)
    assert own["grant_id"] == claims(lab.client_credentials().json["access_token"])["grant_id"]


@pytest.mark.attack("CC-06")
@pytest.mark.parametrize("client", ["nightly", "web-app"])
def test_a_client_s_own_token_does_not_stand_for_a_user(lab: Lab, client: str) -> None:
    own = lab.client_credentials(client, resource=TICKETS).json["access_token"]
    assert_refused(lab.exchange(own, resource=CRM), 400, "invalid_request")
    record = lab.last("token.refused")
    assert (record["reason"], record["client"]) == ("subject_is_no_user", "tickets-server")
    assert lab.facts("exchange.granted") == []
    assert lab.exchange(lab.tokens()["access_token"], resource=CRM).status_code == 200


@pytest.mark.attack("CC-06")
def test_a_client_s_own_token_goes_where_the_administrator_consented(lab: Lab) -> None:
    own = lab.client_credentials().json["access_token"]
    down = claims(lab.exchange(own, resource=NOTES).json["access_token"])
    assert (down["sub"], down["aud"], down["client_id"]) == ("nightly", NOTES, "tickets-server")
    assert down["act"]["client_id"] == "tickets-server" and down["act"]["act"]["client_id"] == "nightly"


@pytest.mark.attack("CC-07")
@pytest.mark.parametrize("resources", [None, (), ("tickets", "notes")])
def test_a_client_with_no_single_resource_must_name_one(lab: Lab, resources: tuple[str, ...] | None) -> None:
    lab.put_client(replace(lab.client("nightly"), resources=resources, scopes=None))
    assert_refused(lab.client_credentials(), 400, "invalid_target")
    assert lab.last("token.refused")["reason"] == "resource_missing"
    assert lab.facts("token.issued") == []
    named = lab.client_credentials(resource=TICKETS)
    if resources == ():
        assert_refused(named, 400, "invalid_target")
    else:
        assert claims(named.json["access_token"])["aud"] == TICKETS


@pytest.mark.attack("CC-07")
def test_a_client_with_one_resource_gets_a_token_for_that_one_and_no_other(lab: Lab) -> None:
    assert claims(lab.client_credentials().json["access_token"])["aud"] == TICKETS
    assert_refused(lab.client_credentials(resource=NOTES), 400, "invalid_target")
    assert lab.last("token.refused")["reason"] == "resource_not_allowed"


@pytest.mark.attack("CC-07")
def test_a_client_s_own_work_stays_in_one_tenant(lab: Lab) -> None:
    everywhere = replace(lab.client("nightly"), resources=("files",), scopes=None)
    lab.put_client(everywhere)
    assert claims(lab.client_credentials(resource=FILES).json["access_token"])["tenant"] == "acme"
    assert_refused(lab.client_credentials(resource="https://globex.example/mcp"), 400, "invalid_target")
    assert_refused(lab.client_credentials(door="/t/globex", resource=FILES), 401, "invalid_client")


@pytest.mark.parametrize(
    ("kind", "target", "status", "error", "reason"),
    [
        ("client", "nightly", 401, "invalid_client", "client_off"),
        ("tenant", "acme", 400, "invalid_target", "tenant_off"),
        ("resource", "tickets", 400, "invalid_target", "resource_off"),
        ("everything", "*", 400, "invalid_target", "everything_off"),
    ],
)
def test_what_is_off_gives_no_work(
    lab: Lab, kind: str, target: str, status: int, error: str, reason: str
) -> None:
    lab.switch(kind, target)
    assert_refused(lab.client_credentials(), status, error)
    assert lab.last("token.refused")["reason"] == reason and lab.facts("token.issued") == []
    lab.lift(kind, target)
    assert lab.client_credentials().status_code == 200


@pytest.mark.parametrize("table", ["audit_record", "audit_personal", "denial"])
def test_own_work_that_cannot_be_recorded_is_not_given(lab: Lab, table: str) -> None:
    with lab.without_table(table):
        assert_refused(lab.client_credentials(), 503, "temporarily_unavailable")
    assert lab.facts("token.issued") == []
    assert lab.client_credentials().status_code == 200
