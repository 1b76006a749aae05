"""What an ID-JAG does to accounts, roles and grants: all of it with the token, and nothing without."""

import itertools
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from broker.audit.record import jti_hash
from broker.identity.tenants.model import Trust
from tests.assertions import Signer
from tests.documents import Names, outside, reaching, site
from tests.lab import Lab, claims
from tests.proofs import ABSENT
from tests.vouching import AGENT_SECRET, IDP, JWT_BEARER, Vouchers, redeem

ESTATE = """
trusted_issuers:
  - {{id: corp, issuer: "{idp}", tenants: [acme, globex], trusted_for: [id_jag], jwks: {jwks}, accounts: create,
     claims: {{id: preferred_username, roles: [{{claim: groups, values: {{approver: approver, member: member}}}}],
       attributes: {{team: {{claim: team}}}}}}}}
  - {{id: lone, issuer: "https://lone.example", tenant: initech, trusted_for: [id_jag], jwks: {jwks}, accounts: create}}
clients:
  - {{client_id: agent, type: confidential, grant_types: ["{grant}"], token_endpoint_auth_method: client_secret_post,
     client_secret: "{secret}"}}
"""


@pytest.fixture
def corp(lab: Lab) -> Vouchers:
    found = Vouchers(lab)
    lab.apply(ESTATE.format(idp=IDP, jwks=found.jwks, grant=JWT_BEARER, secret=AGENT_SECRET))
    return found


def zoe(corp: Vouchers, **said: object) -> str:
    return corp.id_jag(**{"aud_tenant": "acme", "preferred_username": "zoe", **said})


def roles(lab: Lab, user: str = "zoe") -> tuple[str, ...]:
    found = lab.broker.people.get(user)
    assert found is not None
    return found.memberships[0].roles


@pytest.mark.attack("IDJAG-06")
def test_an_assertion_that_comes_again_gives_no_role_back(corp: Vouchers) -> None:
    lab = corp.lab
    old = zoe(corp, groups=["approver"])
    assert redeem(lab, old).status_code == 200 and roles(lab) == ("approver",)
    assert redeem(lab, zoe(corp, groups=["member"])).status_code == 200 and roles(lab) == ("member",)
    before = lab.state()
    lab.refused(redeem(lab, old), 400, "invalid_grant", "assertion_replayed")
    assert lab.state() == before


@pytest.mark.parametrize(
    ("kind", "which", "reason"),
    [
        ("client", "agent", "client_off"),
        ("resource", "tickets", "resource_off"),
        ("tenant", "acme", "tenant_off"),
        ("issuer", "corp", "issuer_off"),
        ("everything", "*", "everything_off"),
    ],
)
def test_an_assertion_past_a_switch_makes_nobody_and_changes_nobody(
    corp: Vouchers, kind: str, which: str, reason: str
) -> None:
    lab = corp.lab
    assert redeem(lab, zoe(corp, groups=["member"])).status_code == 200
    lab.switch(kind, which)
    before = lab.state()
    for name in ("zoe", "kim"):
        answer = redeem(
            lab,
            zoe(corp, sub="u-1" if name == "zoe" else "u-2", preferred_username=name, groups=["approver"]),
        )
        assert 400 <= answer.status_code < 500 and lab.last("token.refused")["reason"] == reason, answer.text
    assert lab.state() == before


def test_an_assertion_of_a_sign_in_that_is_too_weak_makes_nobody(corp: Vouchers) -> None:
    lab = corp.lab
    lab.apply(
        'resources: [{id: strict, kind: mcp, uri: "https://strict.example/mcp", tenants: [acme], scopes: '
        '[{name: "s:read", acr: "urn:mcp-token-broker:acr:mfa"}]}]'
    )
    before = lab.state()
    answer = redeem(lab, zoe(corp, resource="https://strict.example/mcp", scope="s:read"))
    lab.refused(answer, 400, "insufficient_user_authentication", "authentication_too_weak")
    assert lab.state() == before


def test_an_assertion_takes_away_only_what_it_speaks_of(corp: Vouchers) -> None:
    lab = corp.lab
    redeem(lab, zoe(corp, groups=["approver"], team="red"))
    assert redeem(lab, zoe(corp)).status_code == 200
    [membership] = lab.broker.people.get("zoe").memberships
    assert (membership.roles, dict(membership.attributes)) == (("approver",), {"team": "red"})
    redeem(lab, zoe(corp, groups=[]))
    assert roles(lab) == ()


def test_at_a_tenants_door_the_servers_issuer_finds_the_same_person(corp: Vouchers) -> None:
    lab = corp.lab
    door = {"aud": "https://as.example/t/acme"}
    first = redeem(lab, zoe(corp, groups=["member"], **door), door="/t/acme")
    assert first.status_code == 200, first.text
    again = redeem(lab, zoe(corp, groups=["approver"], **door), door="/t/acme")
    assert claims(again.json["access_token"])["sub"] == "zoe" and roles(lab) == ("approver",)
    assert redeem(lab, zoe(corp)).status_code == 200


def test_eight_first_assertions_at_once_make_one_person_and_one_grant(corp: Vouchers) -> None:
    lab, other = corp.lab, corp.lab.replica()
    assertions, gate, answers = [zoe(corp, groups=["member"]) for _ in range(8)], threading.Barrier(8), []

    def bring(index: int) -> None:
        gate.wait()
        answers.append(redeem((lab, other)[index % 2], assertions[index]))

    threads = [threading.Thread(target=bring, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.broker.close()
    assert [answer.status_code for answer in answers] == [200] * 8
    assert len(lab.facts("user.created", subject="zoe")) == 1
    tokens = [answer.json["access_token"] for answer in answers]
    lab.broker.grants.revoke(str(claims(tokens[0])["grant_id"]), "test")
    assert not any(lab.active(token) for token in tokens)


def test_revoking_one_grant_on_an_issuers_word_ends_all_that_say_the_same(corp: Vouchers) -> None:
    lab = corp.lab
    wide = redeem(lab, zoe(corp, scope="tickets:read tickets:write")).json["access_token"]
    narrow = redeem(lab, zoe(corp)).json["access_token"]
    ids = {str(claims(token)["grant_id"]) for token in (wide, narrow)}
    assert len(ids) == 2
    lab.broker.grants.revoke(ids.pop(), "test")
    assert not lab.active(wide) and not lab.active(narrow)


def test_a_grant_near_its_end_cuts_no_token_short(corp: Vouchers) -> None:
    lab = corp.lab
    first = redeem(lab, zoe(corp)).json
    lab.clock.advance(86400 - first["expires_in"] / 2)
    again = redeem(lab, zoe(corp))
    assert again.json["expires_in"] == first["expires_in"]
    assert lab.broker.grants.revoke(str(claims(first["access_token"])["grant_id"]), "test")
    assert not lab.active(again.json["access_token"])


def test_an_issuer_that_names_a_token_of_another_tenant_is_not_in_its_story(corp: Vouchers) -> None:
    lab = corp.lab
    mine = claims(lab.tokens()["access_token"])
    lone = Vouchers(lab, "https://lone.example", corp.holder)
    told = lab.trace(str(mine["jti"]))
    answer = redeem(
        lab,
        lone.id_jag(
            aud="https://as.example/t/initech",
            resource="https://files.example/mcp",
            scope="files:read",
            jti=mine["jti"],
        ),
        door="/t/initech",
    )
    assert answer.status_code == 200 and lab.trace(str(mine["jti"])) == told
    record = lab.last("token.issued")
    assert record["parent_jti_hash"] == jti_hash(f"lone#{mine['jti']}")
    assert record in lab.trace(f"lone#{mine['jti']}")


def test_a_tenants_own_entry_uses_up_nothing_of_the_same_issuer_elsewhere(corp: Vouchers) -> None:
    lab = corp.lab
    own = Vouchers(lab)
    lab.apply(
        f'trusted_issuers: [{{id: mine, issuer: "{IDP}", tenant: initech, trusted_for: [id_jag], jwks: {own.jwks}, '
        "accounts: create}]"
    )
    there = own.id_jag(
        aud="https://as.example/t/initech",
        resource="https://files.example/mcp",
        scope="files:read",
        jti="same",
    )
    assert redeem(lab, there, door="/t/initech").status_code == 200
    good = zoe(corp, jti="same")
    assert redeem(lab, good).status_code == 200
    lab.refused(redeem(lab, good), 400, "invalid_grant", "assertion_replayed")


@pytest.mark.attack("IDJAG-12")
def test_a_tenant_of_an_issuer_counts_only_where_its_entry_names_it(corp: Vouchers) -> None:
    lab = corp.lab
    before = lab.state()
    lab.refused(redeem(lab, zoe(corp, tenant="theirs")), 400, "invalid_grant", "assertion_foreign")
    assert lab.state() == before
    assert redeem(lab, zoe(corp, tenant=ABSENT)).status_code == 200


@pytest.mark.attack("IDJAG-14")
def test_a_client_that_a_tenant_does_not_trust_is_served_on_no_issuers_word(
    corp: Vouchers, tmp_path: Path
) -> None:
    with (
        site(tmp_path) as (web, authority),
        outside(corp.lab, reaching(authority, corp.lab.clock, Names())) as lab,
    ):
        signer = Signer(lab)
        url = web.publish(
            token_endpoint_auth_method="private_key_jwt",
            grant_types=["authorization_code", JWT_BEARER],
            jwks={"keys": [signer.jwk()]},
        )
        signer.client_id = url

        def brought() -> TestResponse:
            said = {"grant_type": JWT_BEARER, "assertion": zoe(corp, sub=f"u-{next(number)}", client_id=url)}
            return lab.post("/token", {**signer.form(), **said, "client_id": url})

        number = itertools.count()
        assert brought().status_code == 200
        tenant = lab.broker.estate().doors.tenants["acme"]
        lab.change(lambda tx: lab.broker.tenants.put(tx, replace(tenant, documents=Trust((), ()))))
        before = lab.state()
        lab.refused(brought(), 401, "invalid_client", "client_document_distrusted")
        assert lab.state() == before


def test_an_entry_that_changes_while_an_assertion_is_judged_counts_as_it_is_then(corp: Vouchers) -> None:
    lab = corp.lab
    assert redeem(lab, zoe(corp)).status_code == 200
    lab.sql("""UPDATE trusted_issuer SET document = replace(document, '"acme", ', '') WHERE id = 'corp'""")
    before = lab.state()
    lab.refused(redeem(lab, zoe(corp)), 400, "invalid_grant", "issuer_untrusted")
    assert lab.state() == before
