"""ID-JAGs that this server makes, under attack: the IDJAG cases about issuing them."""

import pytest

from tests.lab import ACME, CALLBACK, EXCHANGE, FILES, ISSUER, TICKETS, Lab, claims, header
from tests.proofs import Holder
from tests.vouching import AGENT_SECRET, ID_JAG

ID_JAG_TYPE = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
REFRESH = "urn:ietf:params:oauth:token-type:refresh_token"
THERE = "https://auth.partner.example"
PLACE = "https://mcp.partner.example/mcp"
CLIENT = """
  - {{client_id: {name}, type: confidential, client_secret: "{secret}", redirect_uris: ["{callback}"],
     token_endpoint_auth_method: client_secret_post,
     grant_types: [authorization_code, refresh_token, "urn:ietf:params:oauth:grant-type:token-exchange"]}}"""
RECIPIENT = """
assertion_recipients:
  - {{id: partner, issuer: "{there}", tenants: [acme], {more}
     resources: [{{uri: "{place}", scopes: [wiki.read, wiki.write]}}, {{uri: "{place}2", scopes: [x]}}],
     clients: [{{client_id: agent, as: agent-there, scopes: [wiki.read, x]}}, {{client_id: helper}}]}}
"""


@pytest.fixture
def home(lab: Lab) -> Lab:
    put(lab)
    return lab


def put(lab: Lab, more: str = "") -> None:
    names = "".join(
        CLIENT.format(name=name, secret=AGENT_SECRET, callback=CALLBACK)
        for name in ("agent", "helper", "stranger")
    )
    lab.apply("clients:" + names + RECIPIENT.format(there=THERE, place=PLACE, more=more))


def signed_in(
    lab: Lab,
    client_id: str = "agent",
    user: str = "alice",
    scope: str = "openid tickets:read offline_access",
    door: str = "",
    **changes: str,
) -> dict[str, str]:
    """Access, refresh and id_token of a whole sign-in."""
    code = lab.code(client_id, user, scope=scope, door=door, **changes)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": "v" * 43,
    }
    answer = lab.post(f"{door}/token", {**form, "client_id": client_id, "client_secret": AGENT_SECRET})
    assert answer.status_code == 200, answer.text
    return answer.json


def ask(lab: Lab, token: str, kind: str = ID_TOKEN, client_id: str = "agent", **changes: str | None):
    form: dict[str, str | None] = {
        "grant_type": EXCHANGE,
        "requested_token_type": ID_JAG_TYPE,
        "subject_token": token,
        "subject_token_type": kind,
        "audience": THERE,
        "resource": PLACE,
        "client_id": client_id,
        "client_secret": AGENT_SECRET,
        **changes,
    }
    proof, door = form.pop("dpop", None), form.pop("door", "")
    sent = {name: value for name, value in form.items() if value is not None}
    return lab.post(f"{door}/token", sent, {"DPoP": proof} if proof else {})


@pytest.mark.attack("EXCH-27")
def test_an_id_token_or_refresh_token_becomes_an_assertion_for_one_server(home: Lab) -> None:
    held = signed_in(home)
    for token, kind in ((held["id_token"], ID_TOKEN), (held["refresh_token"], REFRESH)):
        answer = ask(home, token, kind, scope="wiki.read wiki.write")
        assert answer.status_code == 200, answer.text
        made = answer.json["access_token"]
        assert {name: value for name, value in answer.json.items() if name != "access_token"} == {
            "issued_token_type": ID_JAG_TYPE,
            "token_type": "N_A",
            "expires_in": 300,
            "scope": "wiki.read",
        }
        said = claims(made)
        assert header(made)["typ"] == ID_JAG
        expected = {
            "iss": ISSUER,
            "sub": "alice",
            "aud": THERE,
            "client_id": "agent-there",
            "tenant": "acme",
            "resource": PLACE,
            "scope": "wiki.read",
        }
        assert {name: said[name] for name in expected} == expected
        assert said["amr"] == ["pwd"] and said["exp"] - said["iat"] == 300 and "auth_time" in said
        record = home.last("id_jag.issued")
        assert (record["subject"], record["client"], record["txn"]) == ("alice", "agent", said["txn"])
        assert record["change"] == {"recipient": "partner", "at": PLACE}


def test_a_tenants_door_says_by_its_issuer_for_whom_the_user_acts(home: Lab) -> None:
    held = signed_in(home, door="/t/acme")
    said = claims(ask(home, held["id_token"], door="/t/acme").json["access_token"])
    assert (said["iss"], said["sub"], "tenant" in said) == (ACME, "alice", False)
    home.refused(ask(home, held["id_token"]), 400, "invalid_request", "subject_token_invalid")
    home.refused(ask(home, held["refresh_token"], REFRESH), 400, "invalid_request", "refresh_unknown")


@pytest.mark.requirement("EXT-EMA-14")
@pytest.mark.attack("IDJAG-16")
def test_what_another_client_holds_becomes_nothing(home: Lab) -> None:
    held = signed_in(home)
    for token, kind, reason in (
        (held["id_token"], ID_TOKEN, "subject_token_foreign"),
        (held["refresh_token"], REFRESH, "refresh_foreign"),
    ):
        home.refused(ask(home, token, kind, "helper"), 400, "invalid_request", reason)
    assert ask(home, held["refresh_token"], REFRESH).status_code == 200  # neither spent nor ended


@pytest.mark.attack("EXCH-32")
def test_a_refresh_token_that_is_looked_at_is_not_spent(home: Lab) -> None:
    held = signed_in(home)
    before = home.table("refresh_token")
    home.refused(
        ask(home, held["refresh_token"], REFRESH, "stranger"), 400, "invalid_target", "recipient_unknown"
    )
    home.refused(
        ask(home, held["refresh_token"], REFRESH, "helper"), 400, "invalid_request", "refresh_foreign"
    )
    assert ask(home, held["refresh_token"], REFRESH).status_code == 200
    assert home.table("refresh_token") == before


@pytest.mark.requirement("EXT-EMA-15")
@pytest.mark.attack("IDJAG-17")
@pytest.mark.parametrize(
    "wrong",
    [
        {"audience": "https://unregistered.example"},
        {"audience": f"{THERE}/"},
        {"audience": None},
        {"audience": ISSUER},
        {"audience": ACME},
        {"resource": "https://unregistered.example/mcp"},
        {"resource": f"{PLACE}/"},
        {"resource": TICKETS},
        {"resource": None},
    ],
)
def test_only_registered_pairs_of_server_and_resource_are_vouched_to(
    home: Lab, wrong: dict[str, str | None]
) -> None:
    answer = ask(home, signed_in(home)["id_token"], **wrong)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_target")


@pytest.mark.requirement("EXT-EMA-16")
def test_our_own_doors_are_no_recipients_even_where_somebody_wrote_one_down(home: Lab) -> None:
    home.apply(RECIPIENT.format(there=ACME, place=TICKETS, more="").replace("id: partner", "id: us"))
    answer = ask(home, signed_in(home)["id_token"], audience=ACME, resource=TICKETS)
    home.refused(answer, 400, "invalid_target", "recipient_unknown")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ('acr: "urn:mcp-token-broker:acr:mfa",', {"acr_values": "urn:mcp-token-broker:acr:mfa"}),
        ("max_age: 60,", {"max_age": 60}),
    ],
)
@pytest.mark.attack("IDJAG-18")
def test_a_sign_in_that_is_too_weak_or_old_for_the_server_is_told(
    lab: Lab, more: str, wanted: dict[str, object]
) -> None:
    put(lab, more)
    held = signed_in(lab)
    if "max_age" in wanted:
        assert ask(lab, held["id_token"]).status_code == 200
        lab.clock.advance(61)
    answer = ask(lab, held["id_token"])
    lab.refused(answer, 400, "insufficient_user_authentication", "authentication_too_weak")
    assert {name: answer.json[name] for name in wanted} == wanted


def test_user_grant_session_and_recipient_are_read_again_when_it_is_made(home: Lab) -> None:
    held = signed_in(home)
    for kind, name in (("user", "alice"), ("grant", str(claims(held["access_token"])["grant_id"]))):
        home.switch(kind, name)
        for token, of in ((held["id_token"], ID_TOKEN), (held["refresh_token"], REFRESH)):
            home.refused(ask(home, token, of), 400, "invalid_request", f"{kind}_off")
        home.lift(kind, name)
    home.switch("tenant", "acme")
    home.refused(ask(home, held["id_token"]), 400, "invalid_target", "tenant_off")
    home.lift("tenant", "acme")
    for session, _ in home.broker.sessions.open():
        home.broker.sessions.end_by_id(session.id)
    home.refused(ask(home, held["id_token"]), 400, "invalid_request", "session_over")
    home.clock.advance(301)
    home.refused(ask(home, held["id_token"]), 400, "invalid_request", "subject_token_expired")


def test_an_access_token_or_an_actor_token_makes_no_assertion(home: Lab) -> None:
    held = signed_in(home)
    kind = "urn:ietf:params:oauth:token-type:access_token"
    home.refused(ask(home, held["access_token"], kind), 400, "invalid_request", "subject_token_type")
    for token in (held["access_token"], "junk", "a.b.c"):
        home.refused(ask(home, token), 400, "invalid_request", "subject_token_invalid")
    home.refused(ask(home, "junk", REFRESH), 400, "invalid_request", "refresh_unknown")
    acting = ask(home, held["id_token"], actor_token="x", actor_token_type=kind)
    home.refused(acting, 400, "invalid_request", "actor_token_type")


def test_the_assertion_of_a_client_that_shows_a_key_is_bound_to_it(home: Lab) -> None:
    held, key = signed_in(home), Holder()
    answer = ask(home, held["id_token"], dpop=key.proof(f"{ISSUER}/token", home.clock.now()))
    assert claims(answer.json["access_token"])["cnf"] == {"jkt": key.jkt}
    assert answer.json["token_type"] == "N_A"


def test_a_recipient_serves_the_people_of_its_tenants(home: Lab) -> None:
    held = signed_in(home, user="vera", resource=FILES, scope="openid files:read offline_access")
    elsewhere = ask(home, held["refresh_token"], REFRESH)
    home.refused(elsewhere, 400, "invalid_target", "tenant_not_served")
    home.refused(ask(home, held["id_token"]), 400, "invalid_request", "grant_expired")


def test_an_assertion_never_outlives_its_grant(home: Lab) -> None:
    held = signed_in(home)
    home.sql("UPDATE access_grant SET expires_at = ?", home.clock.now() + 100)
    answer = ask(home, held["id_token"])
    said = claims(answer.json["access_token"])
    assert (answer.json["expires_in"], said["exp"] - said["iat"]) == (100, 100)
    home.sql("UPDATE access_grant SET expires_at = ?", home.clock.now() + 0.5)
    home.refused(ask(home, held["id_token"]), 400, "invalid_request", "grant_expired")


def test_a_refusal_is_part_of_the_story_of_the_grant_behind_it(home: Lab) -> None:
    held = signed_in(home)
    grant_id = str(claims(held["access_token"])["grant_id"])
    home.switch("user", "alice")
    for token, kind in ((held["id_token"], ID_TOKEN), (held["refresh_token"], REFRESH)):
        refused = home.refused(ask(home, token, kind), 400, "invalid_request", "user_off")
        assert (refused["grant_id"], refused["tenant"], refused["subject"]) == (grant_id, "acme", "alice")
        assert refused in home.trace(grant_id)
    stolen = ask(home, held["refresh_token"], REFRESH, "helper")
    assert home.refused(stolen, 400, "invalid_request", "refresh_foreign")["grant_id"] == grant_id
