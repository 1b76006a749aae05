"""The thin line through the product: sign-in, token, exchange, introspection, refresh, revocation, trace."""

from tests.lab import CRM, TICKETS, Lab, claims


def test_a_person_a_client_a_server_and_a_system_get_the_token_each_is_due(lab: Lab) -> None:
    answer = lab.tokens(scope="tickets:read tickets:write")
    token = claims(answer["access_token"])
    assert (token["sub"], token["aud"], token["tenant"], token["client_id"]) == (
        "alice",
        TICKETS,
        "acme",
        "desk-app",
    )
    assert "act" not in token
    assert lab.active(answer["access_token"])
    exchanged = lab.exchange(answer["access_token"]).json
    down = claims(exchanged["access_token"])
    assert (down["sub"], down["aud"], down["client_id"], down["tenant"]) == (
        "alice",
        CRM,
        "tickets-server",
        "acme",
    )
    assert down["act"]["client_id"] == "tickets-server"
    assert down["act"]["act"]["client_id"] == "desk-app"
    assert down["txn"] == token["txn"] and down["grant_id"] == token["grant_id"]
    refreshed = lab.refresh(answer["refresh_token"])
    assert refreshed.status_code == 200
    story = [record["fact"] for record in lab.trace(str(token["txn"]))]
    assert story[0] == "session.started"
    assert story[1:] == [
        "consent.granted",
        "code.issued",
        "code.consumed",
        "token.issued",
        "exchange.granted",
    ]
    assert lab.revoke(answer["access_token"]).status_code == 200
    assert not lab.active(answer["access_token"])
    assert not lab.active(exchanged["access_token"], "crm-server")
    assert lab.refresh(refreshed.json["refresh_token"]).json["error"] == "invalid_grant"
