"""The catalogue of a resource: for its own client alone, signed by the door, made once, and all that a guard needs."""

from dataclasses import replace

import pytest
from werkzeug.test import TestResponse

from broker.control.policy.model import PolicyText
from broker.denials.model import Kind, Target
from broker.estate.catalogue.model import Definition, Hints, Listed
from broker.estate.model import ApprovalRule, Bounds, Impact, Isolation, Limits, Recording, Stage
from broker.protocol import jws
from broker.protocol.jwk import keys_from_jwks
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from tests.deciding import desk, post, problem, tool
from tests.lab import ACME, FILES, ISSUER, SECRETS, TICKETS, Lab, basic, header

SCHEMA = {"type": "object", "properties": {"number": {"type": "string"}}}
ORIGIN = Origin("req_test", "cli", ISSUER)


def fetch(
    lab: Lab,
    resource: str = "tickets",
    client_id: str = "tickets-server",
    door: str = "",
    headers: dict[str, str] | None = None,
    **more: str,
) -> TestResponse:
    sent = {**(basic(client_id) if headers is None else headers), **more}
    return lab.get(f"{door}/access/v1/catalogue/{resource}", **sent)


def read(lab: Lab, **how: str) -> dict[str, object]:
    """The claims of the catalogue, whose signature verifies with the published keys of the door."""
    response = fetch(lab, **how)
    assert response.status_code == 200, response.get_data(as_text=True)
    assert response.mimetype == "application/catalogue+jwt"
    door = how.get("door", "")
    keys = keys_from_jwks(lab.get(f"{door}/jwks").json)
    token = response.get_data(as_text=True)
    return jws.verify(token, keys, typ="catalogue+jwt", algorithms=("ES256",), now=lab.clock.now())


def look(lab: Lab, *definitions: Definition, accept: bool = False) -> None:
    """The server of the ticket desk was asked for its tools, and listed these."""
    found = next(
        one for one in lab.broker.world.database.read(lab.broker.changes.resources) if one.id == "tickets"
    )
    listed = [Listed(definition, Hints()) for definition in definitions]
    lab.broker.catalogue.keep(found, listed, ORIGIN, accept=accept)


def of(claims: dict[str, object], name: str) -> dict[str, object]:
    tools = claims["tools"]
    assert isinstance(tools, list)
    return next(one for one in tools if one["name"] == name)


def test_it_says_all_that_a_guard_must_know(lab: Lab) -> None:
    desk(
        lab,
        tool("search_tickets", "tickets:read", redact=("$.ssn",), max_output=512),
        tool(
            "refund",
            "refunds:write",
            impact=Impact.EXTERNAL_WRITE,
            family="payments",
            cost=5,
            undo="close_ticket",
            log_arguments=False,
            description="Refunds.",
            schema=SCHEMA,
        ),
        limits=Limits(
            per_minute=120, per_user=Bounds(per_minute=30), per_tool={"refund": Bounds(concurrent=1)}
        ),
        isolation=Isolation(("crm.example",), 30, 4),
        record=Recording.AFTER,
    )
    claims = read(lab)
    begun, ends = claims.pop("iat"), claims.pop("exp")
    assert isinstance(begun, int) and begun <= lab.clock.now() < ends == begun + 3600
    assert {name: value for name, value in claims.items() if name not in ("tools", "scopes")} == {
        "iss": ISSUER,
        "aud": "tickets-server",
        "resource": TICKETS,
        "resource_id": "tickets",
        "name": "Ticket desk",
        "issuers": {ISSUER: ["acme"], ACME: ["acme"]},
        "authorization_servers": [ACME],
        "stage": "full",
        "record": "after",
        "default_scopes": ["tickets:read"],
        "limits": {
            "per_minute": 120,
            "per_user": {"per_minute": 30},
            "per_tool": {"refund": {"concurrent": 1}},
        },
        "isolation": {"egress": ["crm.example"], "timeout": 30, "concurrent": 4},
    }
    assert claims["scopes"][2] == {
        "name": "tickets:write",
        "description": "Change tickets",
        "implies": ["tickets:read"],
        "offered": True,
    }
    assert of(claims, "search_tickets") == {
        "name": "search_tickets",
        "scopes": ["tickets:read"],
        "impact": "read",
        "changed": False,
        "open": True,
        "keyed": False,
        "approval": False,
        "by_catalogue": True,
        "obligations": [
            {"id": "max_output", "type": "max_output", "properties": {"bytes": 512}},
            {"id": "redact", "type": "redact", "properties": {"paths": ["$.ssn"]}},
        ],
        "log_arguments": False,
    }
    refund = of(claims, "refund")
    assert refund["schema_digest"] == Definition.of("refund", "Refunds.", SCHEMA).digest
    assert {
        "impact": "external_write",
        "family": "payments",
        "undo": "close_ticket",
        "description": "Refunds.",
        "schema": SCHEMA,
        "keyed": True,
        "approval": True,
        "log_arguments": False,
    }.items() <= refund.items()
    assert "cost" not in refund, "what a call costs is counted here"


@pytest.mark.parametrize(
    ("stage", "open_", "offered"),
    [
        (Stage.BASELINE, [], ["tickets:read", "customers:read", "tickets:write", "refunds:write"]),
        (Stage.READ_ONLY, ["search_tickets", "read_customer"], ["tickets:read", "customers:read"]),
        (
            Stage.REVERSIBLE,
            ["search_tickets", "read_customer", "close_ticket"],
            ["tickets:read", "customers:read", "tickets:write"],
        ),
    ],
)
def test_a_stage_says_which_calls_are_open_and_which_scopes_can_be_asked_for(
    lab: Lab, stage: Stage, open_: list[str], offered: list[str]
) -> None:
    desk(lab, stage=stage)
    claims = read(lab)
    assert [one["name"] for one in claims["tools"] if one["open"]] == open_
    assert [one["name"] for one in claims["scopes"] if one["offered"]] == offered


def test_what_was_looked_at_stands_there_and_what_changed_since_is_marked(lab: Lab) -> None:
    before = Definition.of("close_ticket", "Closes it.", SCHEMA)
    look(lab, before, accept=True)
    told = of(read(lab), "close_ticket")
    assert (told["description"], told["schema"], told["schema_digest"]) == (
        "Closes it.",
        SCHEMA,
        before.digest,
    )
    assert told["changed"] is False
    look(lab, Definition.of("close_ticket", "Closes all of them.", SCHEMA))
    told = of(read(lab), "close_ticket")
    assert told["changed"] is True and told["schema_digest"] == before.digest


def test_a_tool_of_its_own_rule_asks_for_approval_and_a_read_does_not(lab: Lab) -> None:
    desk(lab, tool("search_tickets", "tickets:read", approval=ApprovalRule(("approver",))))
    claims = read(lab)
    assert of(claims, "search_tickets")["approval"] is True
    assert of(claims, "read_customer")["approval"] is False


def test_only_open_unchanged_reads_that_nobody_asks_about_go_ahead_by_the_catalogue(lab: Lab) -> None:
    def ahead() -> list[str]:
        return [one["name"] for one in read(lab)["tools"] if one["by_catalogue"]]

    assert ahead() == [], "every call is asked for"
    desk(lab, record=Recording.AFTER)
    assert ahead() == ["search_tickets"], "of what is read, but not of what is sensitive, nor of a change"
    desk(
        lab,
        tool("list_tags", "tickets:read", approval=ApprovalRule(("approver",))),
        tool("tags", "tickets:read"),
    )
    assert ahead() == ["search_tickets", "tags"]
    desk(lab, tool("tags", "tickets:read", changed=True))
    assert ahead() == ["search_tickets"]
    desk(lab, stage=Stage.BASELINE)
    assert ahead() == []


FORBID = 'forbid (principal, action, resource) when { principal == Client::"lost" };'


def test_what_a_policy_is_about_is_asked_for_and_the_catalogue_says_so_at_once(lab: Lab) -> None:
    desk(lab, record=Recording.AFTER)

    def ahead(text: str, tenant: str = "*") -> bool:
        lab.change(lambda tx: lab.broker.policies.put(tx, PolicyText(tenant, text)))
        return bool(of(read(lab), "search_tickets")["by_catalogue"])

    other = FORBID.replace("action,", 'action == Action::"tickets/refund",')
    mint = FORBID.replace("action,", 'action == Action::"obtain",')
    assert ahead(f'@id("refund") {other} @id("mint") {mint}')
    assert not ahead(f'@id("every") {FORBID}')
    assert not ahead("nobody can read this"), "and nothing is permitted"
    assert ahead("")
    assert ahead(f'@id("every") {FORBID}', "globex"), "the ticket desk does not serve it"
    assert not ahead(f'@id("every") {FORBID}', "acme")


def test_every_door_signs_with_its_own_key_for_whom_it_serves(lab: Lab) -> None:
    assert read(lab, door="/t/acme")["iss"] == ACME and read(lab)["iss"] == ISSUER
    assert read(lab, resource="files", client_id="files-server", door="/t/acme")["resource"] == FILES
    assert fetch(lab, door="/t/nowhere").status_code == 404
    desk(lab, resource="files", tenants=("globex",))
    problem(fetch(lab, "files", "files-server", "/t/acme"), 404, "invalid_request")


def test_who_has_it_already_is_told_so_and_a_change_is_told_again(lab: Lab) -> None:
    first = fetch(lab)
    etag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache" and "Pragma" not in first.headers
    same = fetch(lab, **{"If-None-Match": etag})
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", etag)
    assert "Content-Type" not in same.headers or same.data == b""
    lab.clock.advance(1)
    assert fetch(lab).data == first.data, "signed once, not for each request"
    desk(lab, limits=Limits(per_minute=1))
    changed = fetch(lab, **{"If-None-Match": etag})
    assert changed.status_code == 200 and changed.headers["ETag"] != etag


def test_it_is_signed_anew_in_time_and_with_the_key_of_now(lab: Lab) -> None:
    first = fetch(lab)
    lab.broker.door_keys.rotate(ISSUER, "ES256")
    lab.clock.advance(lab.broker.settings.key_publish_before)
    lab.broker.tend()
    lab.clock.advance(1)
    again = fetch(lab, **{"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 200
    kids = {header(one.get_data(as_text=True))["kid"] for one in (first, again)}
    assert len(kids) == 2 and read(lab)["exp"] > lab.clock.now() + 1800


def test_replicas_say_the_same_under_the_same_etag(lab: Lab) -> None:
    other = lab.replica()
    try:
        mine, theirs = fetch(lab), fetch(other)
    finally:
        other.broker.close()
    assert mine.headers["ETag"] == theirs.headers["ETag"] and mine.headers["ETag"].startswith("W/")


def test_another_resources_client_learns_no_more_than_of_a_random_id(lab: Lab) -> None:
    theirs = problem(fetch(lab, "tickets", "notes-server"), 404, "invalid_request")
    random = problem(fetch(lab, "r-4711", "notes-server"), 404, "invalid_request")
    assert theirs == random
    assert lab.last("decision.refused")["reason"] == "not_the_callers"
    assert lab.last("decision.refused")["client"] == "notes-server"
    assert problem(fetch(lab, client_id="nightly"), 404, "invalid_request") == random


def test_only_a_client_that_proves_itself_is_answered(lab: Lab) -> None:
    for headers in (
        {},
        {"Authorization": "Basic dGlja2V0cy1zZXJ2ZXI6d3Jvbmc="},
        {"Authorization": "Bearer nonsense"},
    ):
        response = fetch(lab, headers=headers)
        assert response.status_code == 401 and response.json["error"] in ("invalid_client", "invalid_token")
    user = lab.tokens(scope="tickets:read")["access_token"]
    assert fetch(lab, headers={"Authorization": f"Bearer {user}"}).status_code == 401


def test_other_credentials_come_in_a_body(lab: Lab) -> None:
    def change(tx: Transaction) -> None:
        client = lab.broker.clients.within(tx, "tickets-server")
        assert client is not None
        lab.broker.clients.put(tx, replace(client, method="client_secret_post"))

    lab.change(change)
    assert fetch(lab).status_code == 401, "it is registered for another way by now"
    own = {"client_id": "tickets-server", "client_secret": SECRETS["tickets-server"]}
    answer = post(lab, "catalogue/tickets", own, headers={})
    assert answer.status_code == 200 and answer.mimetype == "application/catalogue+jwt"
    assert post(lab, "catalogue/tickets", b"no JSON", headers={}).status_code == 400


def test_a_client_that_is_off_reads_nothing(lab: Lab) -> None:
    lab.broker.switches.throw(Target(Kind.CLIENT, "tickets-server"), "stolen", ORIGIN)
    problem(fetch(lab), 401, "invalid_client")
    lab.broker.switches.lift(Target(Kind.CLIENT, "tickets-server"), "found", ORIGIN)
    assert fetch(lab).status_code == 200
