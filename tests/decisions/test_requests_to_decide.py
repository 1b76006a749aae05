"""Who may ask, what a request looks like, and how it is refused: AuthZEN 1.0 sections 10 to 12."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from broker.identity.clients.model import Client, Registered, Subject
from broker.runtime.database import Transaction
from tests.assertions import JWT_BEARER, Signer
from tests.certificates import Authority
from tests.deciding import ask, denied, permitted, post, problem, question, scoped
from tests.identity.test_tls_client_auth import PROXY, SUBJECT, beside, lab_of
from tests.lab import ACME, CRM, ISSUER, NOTES, SECRETS, TICKETS, Lab, basic, claims

PATHS = ("evaluation", "evaluations", "outcomes")


@pytest.mark.requirement("AUTHZEN-05")
@pytest.mark.requirement("AUTHZEN-14")
@pytest.mark.parametrize("path", PATHS)
def test_who_proves_nothing_is_refused(lab: Lab, path: str) -> None:
    token = scoped(lab, "tickets:read")
    asked = question(token)
    for headers in (
        {},
        basic("tickets-server", "wrong" * 8),
        basic("nobody", "x" * 40),
        {"Authorization": "Bearer x"},
    ):
        answer = post(lab, path, asked, headers=headers)
        assert answer.status_code == 401
        problem(answer, 401, str(answer.json["error"]))
        assert ("WWW-Authenticate" in answer.headers) == bool(headers)
        record = lab.last("decision.refused")
        assert record["outcome"] == "denied" and token not in str(record)
    assert lab.facts("decision.made") == []


@pytest.mark.requirement("AUTHZEN-06")
@pytest.mark.parametrize("path", PATHS)
def test_who_is_no_resources_own_client_is_forbidden(lab: Lab, path: str) -> None:
    asked = question(scoped(lab, "tickets:read"))
    problem(post(lab, path, asked, "nightly"), 403, "access_denied")
    record = lab.last("decision.refused")
    assert (record["reason"], record["client"]) == ("not_the_callers", "nightly")
    public = {**asked, "client_id": "desk-app"}
    problem(post(lab, path, public, headers={}), 403, "access_denied")


def test_another_resources_client_is_forbidden_to_ask_about_it(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    problem(post(lab, "evaluation", question(token), "notes-server"), 403, "access_denied")
    assert lab.last("decision.refused")["reason"] == "resource_mismatch"
    denied(lab, "token_invalid", token, uri=None, client_id="notes-server")
    denied(lab, "token_invalid", token, uri=NOTES, client_id="notes-server")
    permitted(lab, token, uri=None)


def test_a_client_that_is_off_is_refused(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    lab.switch("client", "tickets-server")
    problem(post(lab, "evaluation", question(token)), 401, "invalid_client")
    lab.lift("client", "tickets-server")
    permitted(lab, token)


def test_a_client_asks_with_a_token_of_its_own_too(lab: Lab) -> None:
    own = Client(
        "tickets-server",
        "tickets-server",
        "acme",
        "client_secret_basic",
        Registered.RESOURCE,
        grant_types=("client_credentials",),
    )
    lab.put_client(own)
    token = scoped(lab, "tickets:read")
    mine = lab.client_credentials("tickets-server", resource=TICKETS, scope="tickets:read").json[
        "access_token"
    ]
    headers = {"Authorization": f"Bearer {mine}"}
    assert post(lab, "evaluation", question(token), headers=headers).json["decision"] is True
    for other in (token, lab.client_credentials().json["access_token"], mine[:-2]):
        answer = post(lab, "evaluation", question(token), headers={"Authorization": f"Bearer {other}"})
        problem(answer, 401, "invalid_token")
    assert lab.revoke(mine, "tickets-server").status_code == 200
    problem(post(lab, "evaluation", question(token), headers=headers), 401, "invalid_token")


def test_a_client_signs_an_assertion_in_the_body_once(lab: Lab) -> None:
    signer = Signer(lab, "tickets-server").registered()
    token = scoped(lab, "tickets:read")
    assertion = {"client_assertion": signer.assertion(), "client_assertion_type": JWT_BEARER}
    asked = {**question(token), **assertion}
    assert post(lab, "evaluation", asked, headers={}).json["decision"] is True
    problem(post(lab, "evaluation", asked, headers={}), 401, "invalid_client")


def test_two_ways_to_authenticate_are_one_too_many(lab: Lab) -> None:
    asked = {
        **question(scoped(lab, "tickets:read")),
        "client_secret": SECRETS["tickets-server"],
        "client_id": "x",
    }
    problem(post(lab, "evaluation", asked), 400, "invalid_request")


TEXTS = {
    "no JSON": b"{",
    "no object": b"[]",
    "a member twice": b'{"a":1,"a":2}',
    "not a number": b'{"context":{"arguments":{"n":NaN}}}',
    "infinite": b'{"context":{"arguments":{"n":1e999}}}',
    "beyond 2^53": b'{"context":{"arguments":{"n":9007199254740993}}}',
    "a lone surrogate": b'{"context":{"arguments":{"n":"\\ud800"}}}',
    "a lone surrogate in a name": b'{"context":{"arguments":{"\\udc00":1}}}',
    "too deep": b'{"a":' + b"[" * 200 + b"]" * 200 + b"}",
    "much too deep": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not UTF-8": b'{"a":"\xff"}',
    "a mark": b'\xef\xbb\xbf{"a":1}',
    "empty": b"",
}


@pytest.mark.requirement("AUTHZEN-04")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_has_not_one_meaning_is_refused(lab: Lab, path: str, text: bytes) -> None:
    problem(post(lab, path, text), 400, "invalid_request")
    assert lab.last("decision.refused")["reason"] == "malformed"


def test_a_body_is_bounded(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    permitted(lab, token, arguments={"text": "x" * 400_000})
    problem(
        post(lab, "evaluation", question(token, arguments={"text": "x" * 600_000})), 413, "invalid_request"
    )
    problem(post(lab, "evaluation", b"x" * 1_000_000), 413, "invalid_request")


def broken() -> list[tuple[str, object]]:
    return [
        ("subject", None),
        ("subject", "alice"),
        ("subject", {"type": "user"}),
        ("subject", {"id": "alice"}),
        ("subject", {"type": "user", "id": ""}),
        ("subject", {"type": "user", "id": 7}),
        ("subject", {"type": "user", "id": "alice", "properties": []}),
        ("action", None),
        ("action", {}),
        ("action", {"name": ["tools/call"]}),
        ("resource", None),
        ("resource", {"type": "tool"}),
        ("resource", {"type": "tool", "id": "x" * 3000}),
        ("resource", {"type": "tool", "id": "x", "properties": {"resource": 5}}),
        ("resource", {"type": "tool", "id": "x", "properties": {"schema_digest": {}}}),
        ("context", []),
        ("context", {"idempotency_key": ""}),
        ("context", {"idempotency_key": "x" * 256}),
        ("context", {"idempotency_key": 5}),
        ("context", {"request_id": {}}),
    ]


@pytest.mark.requirement("AUTHZEN-08")
@pytest.mark.parametrize(("member", "value"), broken())
def test_a_member_that_is_none_is_named(lab: Lab, member: str, value: object) -> None:
    asked = question(scoped(lab, "tickets:read"))
    assert post(lab, "evaluation", asked).status_code == 200
    body = problem(post(lab, "evaluation", {**asked, member: value}), 400, "invalid_request")
    assert member in str(body["detail"])


def test_members_that_nobody_knows_are_ignored(lab: Lab) -> None:
    asked = question(scoped(lab, "tickets:read"), more={"deep": [1]}, agent="x", intent=7)
    asked |= {"search": True, "page": {}}
    asked["subject"]["properties"]["department"] = "sales"
    asked["action"]["properties"] = {"x": 1}
    asked["resource"]["properties"]["owner"] = None
    assert post(lab, "evaluation", asked).json["decision"] is True
    assert "intent" not in lab.last("decision.made")


@pytest.mark.requirement("AUTHZEN-07")
def test_only_json_is_taken_and_only_by_post(lab: Lab) -> None:
    for path in PATHS:
        problem(lab.post(f"/access/v1/{path}", {"a": "b"}, basic("tickets-server")), 400, "invalid_request")
        assert lab.get(f"/access/v1/{path}").status_code == 405
        assert post(lab, path, {}, door="/t/nowhere").status_code == 404


def test_the_callers_request_id_comes_back(lab: Lab) -> None:
    asked = question(scoped(lab, "tickets:read"))
    sent = {**basic("tickets-server"), "X-Request-ID": "bfe9eb29-ab87"}
    for path, body in (("evaluation", asked), ("evaluations", asked), ("evaluation", {}), ("outcomes", {})):
        assert post(lab, path, body, headers=sent).headers["X-Request-ID"] == "bfe9eb29-ab87"
    assert "X-Request-ID" not in post(lab, "evaluation", asked).headers


def test_an_answer_is_json_that_nobody_keeps(lab: Lab) -> None:
    answer = post(lab, "evaluation", question(scoped(lab, "tickets:read")))
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/json", "no-store")


def test_without_the_database_nothing_is_decided(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    permitted(lab, token)
    with lab.database_down():
        answer = post(lab, "evaluation", question(token))
    assert answer.status_code == 503 and "decision" not in answer.json
    with lab.without_table("audit_record"):
        assert post(lab, "evaluation", question(token)).status_code == 503
    assert lab.rows("permit") == 1, "no act without its record"


@pytest.mark.requirement("AUTHZEN-01")
@pytest.mark.requirement("AUTHZEN-02")
def test_whatever_is_sent_is_answered(lab: Lab) -> None:
    """Members of every kind in every place: never a fault."""
    token = scoped(lab, "customers:read")
    odd = (None, True, 0, -1, 1.5, "", "\u0000", "x" * 600, [], [[]], {}, {"a": None}, "\u202e", token)
    for value in odd:
        for path in ("arguments", "idempotency_key", "request_id", "intent"):
            asked = question(token, "read_customer")
            asked["context"][path] = value
            assert post(lab, "evaluation", asked).status_code in (200, 400), (path, value)
        for place in ("type", "id", "properties"):
            for noun in ("subject", "resource"):
                asked = question(token, "read_customer")
                asked[noun][place] = value
                for door in ("", "/t/acme"):
                    answer = post(lab, "evaluation", asked, door=door)
                    assert answer.status_code in (200, 400), (noun, place, value, answer.data)
        for said in ({"decision_id": value, "status": "ok"}, {"calls": value}, {"calls": [value]}):
            assert post(lab, "outcomes", said).status_code in (400, 404), said


def test_the_metadata_of_each_door_names_its_endpoints(lab: Lab) -> None:
    for issuer, suffix in ((ISSUER, ""), (ACME, "/t/acme")):
        document = lab.get(f"/.well-known/authzen-configuration{suffix}")
        assert document.status_code == 200 and document.headers["Access-Control-Allow-Origin"] == "*"
        said = document.json
        assert said["policy_decision_point"] == issuer
        for name, path in (
            ("access_evaluation_endpoint", "evaluation"),
            ("access_evaluations_endpoint", "evaluations"),
        ):
            assert said[name] == f"{issuer}/access/v1/{path}"
            assert lab.http().post(said[name].removeprefix(ISSUER), base_url=ISSUER).status_code != 404
    assert lab.get("/.well-known/authzen-configuration/t/nowhere").status_code == 404


def test_a_systems_own_client_asks_about_it_too(lab: Lab) -> None:
    token = lab.exchange(scoped(lab, "tickets:read")).json["access_token"]
    assert claims(token)["act"]["client_id"]
    denied(lab, "unknown_tool", token, "anything", uri=CRM, client_id="crm-server")
    record = lab.last("decision.made")
    assert record["actors"] and record["resource"] == "crm"


def test_the_token_is_in_no_log_and_no_record(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    token = scoped(lab, "customers:read")
    by_token = {**question(token, "read_customer"), "subject": {"type": "token", "id": token}}
    ask(
        lab,
        token,
        "read_customer",
        {"text": token, token: 1, "deep": [f"is {token}!"]},
        intent=token,
        request_id="r",
    )
    post(lab, "evaluation", by_token)
    for tool in (token, "read_customer"):
        denied_or_not = question(token, tool, request_id=token[:190])
        post(lab, "evaluation", denied_or_not)
    post(lab, "evaluation", {**by_token, "action": {"name": token[:120]}})
    post(lab, "evaluation", json.dumps(by_token).encode()[:-1])
    post(lab, "outcomes", {"decision_id": token[:150], "status": "ok", "undo": token[:400]})
    said = capfd.readouterr()
    signature = token.rpartition(".")[2]
    payload = token.split(".")[1]
    for text in (said.out, said.err, lab.dump().decode("latin-1")):
        assert token not in text and signature not in text and payload[:100] not in text


def test_every_question_is_one_unit_that_reads_and_one_that_writes(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")
    ask(lab, token)
    with lab.throws() as throws:
        ask(lab, token, arguments={"n": 1})
        ask(lab, token, "refund")
    assert throws == [], "nobody waits for a decision"


def test_a_decision_that_rolls_back_leaves_nothing(lab: Lab) -> None:
    token = scoped(lab, "tickets:read")

    def count(tx: Transaction) -> int:
        return len(lab.broker.decisions.keys.listed(tx))

    with lab.without_table("audit_record"):
        post(lab, "evaluation", question(token, idempotency_key="k"))
    assert lab.broker.world.database.read(count) == 0
    permitted(lab, token, idempotency_key="k")


def test_a_client_asks_with_its_certificate(make_lab: Callable[..., Lab], tmp_path: Path) -> None:
    ca = Authority()
    lab = lab_of(make_lab, ca, tmp_path)
    own = Client(
        "tickets-server",
        "tickets-server",
        "acme",
        "tls_client_auth",
        Registered.RESOURCE,
        certificate=Subject("tls_client_auth_subject_dn", SUBJECT),
    )
    lab.put_client(own)
    asked = {**question(scoped(lab, "tickets:read")), "client_id": "tickets-server"}

    def sent(headers: dict[str, str]) -> TestResponse:
        return lab.http().post(
            "/access/v1/evaluation",
            base_url=ISSUER,
            json=asked,
            headers=headers,
            environ_base={"REMOTE_ADDR": PROXY},
        )

    assert sent(beside(ca.issue(SUBJECT))).json["decision"] is True
    problem(sent(beside(ca.issue("CN=other,O=Acme"))), 401, "invalid_client")
    problem(sent({}), 401, "invalid_client")


def test_a_client_that_is_switched_off_meanwhile_is_told_no_at_commit(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 6: what was live when it was looked at first is looked at again."""
    token, enter = scoped(lab, "tickets:read"), lab.broker.budgets.budgets.enter

    def meanwhile(*given: object) -> object:
        lab.switch("client", "tickets-server")
        return enter(*given)

    monkeypatch.setattr(type(lab.broker.budgets.budgets), "enter", lambda _, *given: meanwhile(*given))
    denied(lab, "switched_off", token)
    assert lab.rows("permit") == 0
