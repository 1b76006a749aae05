"""Workloads whose platform vouches for them, under attack: CLAUTH-30, and the jwt-bearer grant of SEP-1933."""

import pytest

from tests.assertions import JWT_BEARER as ASSERTION_TYPE
from tests.lab import ACME, ISSUER, TICKETS, Lab, claims
from tests.proofs import ABSENT
from tests.vouching import JWT_BEARER, PLATFORM, Vouchers, redeem

SUBJECT = "spiffe://td1.example/ns/prod/sa/deployer"
ESTATE = """
trusted_issuers:
  - {{id: td1, issuer: "{platform}", tenants: [acme], trusted_for: [workload], jwks: {jwks}}}
  - {{id: files, issuer: "https://kubernetes.example", tenants: [acme], trusted_for: [workload], jwks: {jwks},
     reusable: true}}
clients:
  - {{client_id: deployer, type: confidential, tenant: acme, token_endpoint_auth_method: workload_jwt,
     grant_types: ["{grant}", client_credentials], scopes: ["tickets:read"], resources: [tickets]}}
workloads:
  - {{id: prod, issuer: td1, client_id: deployer, claims: {{sub: "{subject}", repository: [acme/one, acme/two]}}}}
  - {{id: pod, issuer: files, client_id: deployer, claims: {{sub: "{subject}", kubernetes.io.namespace: prod}}}}
"""


@pytest.fixture
def platform(lab: Lab) -> Vouchers:
    found = Vouchers(lab, PLATFORM)
    lab.apply(ESTATE.format(platform=PLATFORM, jwks=found.jwks, grant=JWT_BEARER, subject=SUBJECT))
    return found


def token_of(platform: Vouchers, typ: str | None = "JWT", /, **claims: object) -> str:
    return platform.says(typ, **{"sub": SUBJECT, "repository": "acme/one", **claims})


def asserted(platform: Vouchers, token: str, grant: str = "client_credentials", **form: str):
    """The same token in the place of a client assertion."""
    sent = {"grant_type": grant, "client_assertion": token, "client_assertion_type": ASSERTION_TYPE, **form}
    return platform.lab.post("/token", sent)


WRONG = [
    ({"sub": "spiffe://td2.example/ns/prod/sa/deployer"}, "workload_unknown"),
    ({"sub": "spiffe://td1.example.evil/ns/prod/sa/deployer"}, "workload_unknown"),
    ({"sub": f"{SUBJECT}/x"}, "workload_unknown"),
    ({"repository": "evil/one"}, "workload_unknown"),
    ({"repository": ["acme/one"]}, "workload_unknown"),
    ({"repository": ABSENT}, "workload_unknown"),
    ({"aud": [ISSUER, "https://other.example"]}, "assertion_foreign"),
    ({"aud": ACME}, "assertion_foreign"),
    ({"exp": 1}, "assertion_expired"),
    ({"iat": ABSENT}, "assertion_invalid"),
    ({"jti": ABSENT}, "assertion_invalid"),
    ({"iss": f"{PLATFORM}.evil.example"}, "issuer_untrusted"),
    ({"iss": PLATFORM[:-1]}, "issuer_untrusted"),
    ({"iss": f"{PLATFORM}/"}, "issuer_untrusted"),
]


@pytest.mark.requirement("EXT-WIF-01")
def test_a_workload_gets_a_token_for_its_clients_own_work_and_no_refresh_token(platform: Vouchers) -> None:
    answer = redeem(platform.lab, token_of(platform), None, resource=TICKETS)
    assert answer.status_code == 200, answer.text
    said = claims(answer.json["access_token"])
    assert (said["sub"], said["client_id"], said["tenant"], said["aud"]) == (
        "deployer",
        "deployer",
        "acme",
        TICKETS,
    )
    assert (said["scope"], said["vouched_by"], "refresh_token" in answer.json) == (
        "tickets:read",
        "td1",
        False,
    )
    record = platform.lab.last("token.issued")
    assert (record["client"], record["change"]) == ("deployer", {"vouched_by": "td1"})


@pytest.mark.parametrize(
    "changes", [{"aud": f"{ISSUER}/token"}, {"aud": [ISSUER]}, {"repository": "acme/two"}]
)
@pytest.mark.requirement("EXT-WIF-03")
def test_a_workloads_token_may_be_for_the_token_endpoint_too(
    platform: Vouchers, changes: dict[str, object]
) -> None:
    assert redeem(platform.lab, token_of(platform, **changes), None).status_code == 200
    assert redeem(platform.lab, token_of(platform, None), None, named="deployer").status_code == 200


@pytest.mark.requirement("EXT-WIF-01", "EXT-WIF-02", "EXT-WIF-05")
@pytest.mark.attack("CLAUTH-30")
@pytest.mark.parametrize(("wrong", "reason"), WRONG)
def test_a_token_that_is_not_just_the_workloads_is_no_grant(
    platform: Vouchers, wrong: dict[str, object], reason: str
) -> None:
    answer = redeem(platform.lab, token_of(platform, **wrong), None)
    platform.lab.refused(answer, 400, "invalid_grant", reason)


@pytest.mark.attack("CLAUTH-30")
@pytest.mark.parametrize(
    "wrong", [*(wrong for wrong, _ in WRONG), {"aud": [ISSUER]}, {"aud": f"{ISSUER}/token"}]
)
def test_a_token_that_is_not_just_the_workloads_authenticates_no_client(
    platform: Vouchers, wrong: dict[str, object]
) -> None:
    for beside in ({}, {"client_id": "deployer"}):
        answer = asserted(platform, token_of(platform, **wrong), **beside)
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_client"), answer.text


def test_a_workloads_token_authenticates_its_client_for_other_grants(platform: Vouchers) -> None:
    answer = asserted(platform, token_of(platform))
    assert claims(answer.json["access_token"])["vouched_by"] == "td1"
    other = asserted(platform, token_of(platform), client_id="nightly")
    assert (other.status_code, other.json["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "client-authentication+jwt"])
def test_a_token_of_another_kind_is_no_workloads(platform: Vouchers, typ: str) -> None:
    platform.lab.refused(
        redeem(platform.lab, token_of(platform, typ), None), 400, "invalid_grant", "assertion_invalid"
    )


@pytest.mark.attack("REFRESH-13")
def test_a_workloads_token_is_used_once_unless_its_platform_hands_out_the_same_again(
    platform: Vouchers,
) -> None:
    lab, token = platform.lab, token_of(platform)
    assert redeem(lab, token, None).status_code == 200
    lab.refused(redeem(lab, token, None), 400, "invalid_grant", "assertion_replayed")
    assert asserted(platform, token).status_code == 401
    files = Vouchers(lab, "https://kubernetes.example", platform.holder)
    projected = files.says(
        None, sub=SUBJECT, jti=ABSENT, aud=[ISSUER], **{"kubernetes.io": {"namespace": "prod"}}
    )
    for _ in "12":
        answer = redeem(lab, projected, None)
        assert answer.status_code == 200 and "refresh_token" not in answer.json


def test_a_secret_beside_a_workloads_token_changes_nothing_about_whose_it_is(platform: Vouchers) -> None:
    lab = platform.lab
    lab.apply(
        f'clients: [{{client_id: agent, type: confidential, grant_types: ["{JWT_BEARER}"], client_secret: '
        f"{'a' * 40}, token_endpoint_auth_method: client_secret_post}}]"
    )
    lab.refused(redeem(lab, token_of(platform)), 400, "invalid_grant", "assertion_invalid")
    assert redeem(lab, "junk", None).json["error"] == "invalid_grant"
    assert redeem(lab, "a.b.c", None, named="desk-app").json["error"] == "invalid_grant"


def test_a_platform_that_is_switched_off_vouches_for_nobody_and_ends_what_it_gave(platform: Vouchers) -> None:
    lab = platform.lab
    token = redeem(lab, token_of(platform), None).json["access_token"]
    assert lab.active(token)
    lab.switch("issuer", "td1")
    assert not lab.active(token)
    lab.refused(redeem(lab, token_of(platform), None), 401, "invalid_client", "issuer_off")
    lab.refused(asserted(platform, token_of(platform)), 401, "invalid_client", "issuer_off")
    lab.lift("issuer", "td1")
    assert redeem(lab, token_of(platform), None).status_code == 200


def test_a_workload_that_is_taken_out_of_the_estate_is_nobody_at_once(platform: Vouchers) -> None:
    from broker.admin.model import Holdings, Wanted
    from broker.cli.local import apply_of, origin_of

    lab = platform.lab
    gone = {("workload", "prod")}
    apply_of(lab.broker).apply(Wanted(Holdings({})), origin_of(lab.broker), removal=lambda _, __: gone)
    lab.refused(redeem(lab, token_of(platform), None), 400, "invalid_grant", "workload_unknown")


def test_a_token_that_could_be_two_clients_is_none(platform: Vouchers) -> None:
    lab = platform.lab
    lab.apply(
        "clients: [{client_id: twin, type: confidential, tenant: acme, token_endpoint_auth_method: workload_jwt,"
        f' grant_types: ["{JWT_BEARER}"]}}]\n'
        f"workloads: [{{id: twin, issuer: td1, client_id: twin, claims: {{sub: '{SUBJECT}'}}}}]"
    )
    for named in (None, "deployer", "twin"):
        answer = redeem(lab, token_of(platform), None, **({} if named is None else {"named": named}))
        lab.refused(answer, 400, "invalid_grant", "workload_unknown")
    alone = redeem(lab, token_of(platform, repository="acme/other"), None, resource=TICKETS)
    assert claims(alone.json["access_token"])["client_id"] == "twin"


def test_a_platform_counts_at_the_doors_of_its_tenants(platform: Vouchers) -> None:
    lab = platform.lab
    answer = redeem(lab, token_of(platform, aud=f"{ISSUER}/t/globex"), None, "/t/globex")
    lab.refused(answer, 400, "invalid_grant", "issuer_untrusted")
    assert redeem(lab, token_of(platform, aud=ACME), None, "/t/acme").status_code == 200


@pytest.mark.attack("CLAUTH-30")
def test_a_token_as_a_grant_is_used_once_whatever_authenticates_its_client_beside_it(
    platform: Vouchers,
) -> None:
    lab, token = platform.lab, token_of(platform)
    both = {"grant": JWT_BEARER, "assertion": token, "resource": TICKETS}
    assert asserted(platform, token_of(platform), **both).status_code == 200
    lab.refused(asserted(platform, token_of(platform), **both), 400, "invalid_grant", "assertion_replayed")
    same = token_of(platform)
    assert asserted(platform, same, grant=JWT_BEARER, assertion=same, resource=TICKETS).status_code == 200


def test_what_another_tenant_says_of_the_same_platform_changes_nothing_here(platform: Vouchers) -> None:
    lab, theirs = platform.lab, Vouchers(platform.lab, PLATFORM)
    lab.apply(
        f'trusted_issuers: [{{id: their-td1, issuer: "{PLATFORM}", tenant: globex, trusted_for: [workload], '
        f"jwks: {theirs.jwks}}}]\n"
        "clients: [{client_id: their-deployer, type: confidential, tenant: globex, "
        f'token_endpoint_auth_method: workload_jwt, grant_types: ["{JWT_BEARER}"]}}]\n'
        "workloads: [{id: theirs, tenant: globex, issuer: their-td1, client_id: their-deployer, "
        f"claims: {{sub: '{SUBJECT}'}}}}]"
    )
    assert redeem(lab, token_of(platform), None, resource=TICKETS).status_code == 200


def test_a_workload_or_its_platform_that_changes_meanwhile_counts_as_it_is_then(platform: Vouchers) -> None:
    lab = platform.lab
    lab.sql("UPDATE workload SET deleted = true WHERE id = 'prod'")
    lab.refused(redeem(lab, token_of(platform), None), 400, "invalid_grant", "workload_unknown")
    lab.sql("UPDATE workload SET deleted = false WHERE id = 'prod'")
    assert redeem(lab, token_of(platform), None).status_code == 200
    lab.sql(
        """UPDATE trusted_issuer SET document = replace(document, '"acme"', '"globex"') WHERE id = 'td1'"""
    )
    lab.refused(redeem(lab, token_of(platform), None), 400, "invalid_grant", "workload_unknown")
