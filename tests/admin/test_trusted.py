"""Trusted issuers, workloads and recipients in the estate file: what may be said, round trips, the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.admin import trusted_doctor
from broker.admin.doctor import Level
from broker.admin.export import export
from broker.admin.model import EstateProblems
from broker.admin.trusted_doctor import Seen
from broker.cli.dev import prepare
from broker.cli.main import main
from broker.denials.model import Kind
from broker.identity.federation.trusted.issuers import Known
from broker.identity.federation.trusted.keys import IssuerKeys
from broker.identity.federation.trusted.model import (
    Bearer,
    Place,
    Reading,
    Recipient,
    TrustedIssuer,
    Use,
    Workload,
)
from broker.identity.tenants.doors import Doors
from broker.identity.tenants.model import Tenant
from broker.runtime.egress import Egress
from tests.admin.test_providers import done
from tests.lab import Clock
from tests.proofs import Holder

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
KEY = json.dumps({"keys": [{**Holder().jwk, "kid": "k"}]})
FULL = f"""
tenants: [{{id: acme}}, {{id: globex}}]
trusted_issuers:
  - {{id: corp, issuer: "https://idp.example", tenants: [acme, globex], trusted_for: [id_jag, subject_tokens],
     algorithms: [ES256], jwks_uri: "https://idp.example/keys", upstream_tenants: [a], max_lifetime: 600,
     accounts: create, claims: {{id: login, roles: [{{always: member}}]}}, mfa: {{amr: [otp]}},
     subject_tokens: {{scope: realm.scp, client: azp, scopes: {{Read: ["t:read", "t:list"]}}, client_ids: [app]}}}}
  - {{id: ci, issuer: "https://ci.example", tenant: acme, trusted_for: [workload], jwks: {KEY}, reusable: true}}
  - {{id: found, issuer: "https://found.example", tenants: [globex], trusted_for: [id_jag]}}
clients:
  - {{client_id: deployer, type: confidential, tenant: acme, token_endpoint_auth_method: workload_jwt,
     grant_types: ["{GRANT}"]}}
  - {{client_id: agent, type: confidential, grant_types: ["{EXCHANGE}"], client_secret: "{"a" * 40}"}}
workloads:
  - {{id: main, tenant: acme, issuer: ci, client_id: deployer, claims: {{sub: "repo:acme", ref: [main, release]}}}}
assertion_recipients:
  - {{id: partner, issuer: "https://auth.partner.example", tenants: [acme], acr: "urn:mcp-token-broker:acr:mfa",
     max_age: 600, lifetime: 60, resources: [{{uri: "https://partner.example/mcp", scopes: [a, b]}}],
     clients: [{{client_id: agent, as: there, scopes: [a]}}]}}
"""


def test_what_is_trusted_comes_back_as_written(desk) -> None:
    assert ("create", "issuer", "corp") in done(desk.put(FULL))
    holdings = desk.apply.holdings()
    assert holdings.issuers["ci"].tenants == ("acme",) and holdings.issuers["corp"].uses == (
        Use.ID_JAG,
        Use.SUBJECT_TOKENS,
    )
    reading = Reading("realm.scp", "azp", {"Read": ("t:read", "t:list")}, ("app",))
    assert holdings.issuers["corp"].reading == reading and holdings.issuers["ci"].reading == Reading()
    assert holdings.workloads["main"] == Workload(
        "main", "acme", "ci", "deployer", {"sub": ("repo:acme",), "ref": ("main", "release")}
    )
    assert holdings.recipients["partner"] == Recipient(
        "partner",
        "https://auth.partner.example",
        None,
        ("acme",),
        (Place("https://partner.example/mcp", ("a", "b")),),
        (Bearer("agent", "there", ("a",)),),
        "urn:mcp-token-broker:acr:mfa",
        600,
        60,
    )
    written = export(holdings)
    assert desk.put(written) == [] and "algorithms" not in written.split("id: ci")[1].split("id: corp")[0]
    assert ("delete", "workload", "main") in done(desk.put("tenants: [{id: acme}, {id: globex}]", prune=True))


def test_each_change_is_recorded_and_a_deleted_issuer_is_off_for_good(desk) -> None:
    desk.put(FULL)
    desk.put(FULL.replace("max_lifetime: 600", "max_lifetime: 700"))
    record = desk.facts()[-1]
    assert record["change"] == {
        "noun": "issuer",
        "action": "update",
        "fields": ["max_lifetime"],
        "id": "corp",
    }
    desk.put(FULL.split("trusted_issuers:")[0], prune=True)
    off = {denial.id for denial in desk.broker.switches.list() if denial.kind is Kind.ISSUER}
    assert off == {"corp", "ci", "found"}
    with pytest.raises(EstateProblems, match="an id is never given again"):
        desk.put(FULL)


@pytest.mark.parametrize(
    ("before", "after", "at"),
    [
        ('https://idp.example"', 'http://idp.example"', "trusted_issuers[0].issuer"),
        ('https://idp.example"', 'https://idp.example?x"', "trusted_issuers[0].issuer"),
        ("tenants: [acme, globex], trusted_for", "trusted_for", "trusted_issuers[0].tenants"),
        (
            "tenants: [acme, globex], trusted_for",
            "tenants: [nowhere], trusted_for",
            "trusted_issuers[0].tenants",
        ),
        ("trusted_for: [id_jag, subject_tokens]", "trusted_for: []", "trusted_issuers[0].trusted_for"),
        ("[id_jag, subject_tokens]", "[subject_tokens]", "trusted_issuers[0].accounts"),
        ("[id_jag, subject_tokens]", "[subject_tokens]", "trusted_issuers[0].claims"),
        ("[id_jag, subject_tokens]", "[workload]", "trusted_issuers[0].mfa"),
        ("[id_jag, subject_tokens]", "[id_jag]", "trusted_issuers[0].subject_tokens"),
        ("scope: realm.scp", 'scope: ""', "trusted_issuers[0].subject_tokens.scope"),
        ('"t:read", "t:list"', "", "trusted_issuers[0].subject_tokens.scopes.Read"),
        ("client_ids: [app]", "client_ids: []", "trusted_issuers[0].subject_tokens.client_ids"),
        ("algorithms: [ES256]", "algorithms: [HS256]", "trusted_issuers[0].algorithms"),
        ('jwks_uri: "https:', 'jwks_uri: "http:', "trusted_issuers[0].jwks_uri"),
        ("upstream_tenants: [a]", 'upstream_tenants: [a, ""]', "trusted_issuers[0].upstream_tenants[1]"),
        (
            "upstream_tenants: [a]",
            f"upstream_tenants: [{'a' * 129}]",
            "trusted_issuers[0].upstream_tenants[0]",
        ),
        ("max_lifetime: 600", "max_lifetime: 0", "trusted_issuers[0].max_lifetime"),
        ("accounts: create", "reusable: true", "trusted_issuers[0].reusable"),
        ("roles: [{always: member}]", "tenants: [{always: acme}]", "trusted_issuers[0].claims.tenants"),
        (
            "roles: [{always: member}]",
            "roles: [{claim: groups}]",
            "trusted_issuers[0].claims.roles[0].values",
        ),
        (
            "tenant: acme, trusted_for",
            "tenant: acme, tenants: [globex], trusted_for",
            "trusted_issuers[1].tenants",
        ),
        ("https://found.example", "https://idp.example", "trusted_issuers[2].issuer"),
        ('sub: "repo:acme", ', "", "workloads[0].claims"),
        ('sub: "repo:acme"', 'sub: "repo:*"', "workloads[0].claims.sub"),
        ("issuer: ci", "issuer: corp", "workloads[0].issuer"),
        ("client_id: deployer, claims", "client_id: agent, claims", "workloads[0].client_id"),
        ("confidential, tenant: acme", "confidential, tenant: globex", "workloads[0].client_id"),
        ("scopes: [a, b]", "scopes: []", "assertion_recipients[0].resources[0].scopes"),
        ("acr:mfa", "acr:none", "assertion_recipients[0].acr"),
        ("lifetime: 60,", "lifetime: 6000,", "assertion_recipients[0].lifetime"),
        (
            "[{client_id: agent, as",
            "[{client_id: deployer, as",
            "assertion_recipients[0].clients[0].client_id",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(desk, before: str, after: str, at: str) -> None:
    assert before in FULL
    assert at in {found.split(": ")[0] for found in desk.problems(FULL.replace(before, after, 1))}


def test_an_issuer_and_its_tenant_fit_into_the_name_of_a_link(desk) -> None:
    for tenant, fits in (("a" * 11, True), ("a" * 12, False)):
        issuer = f"https://idp.example/{'a' * 480}"
        file = FULL.replace("https://idp.example", issuer).replace(
            f"{issuer}/keys", "https://idp.example/keys"
        )
        file = file.replace("upstream_tenants: [a]", f"upstream_tenants: [{tenant}]")
        if fits:
            desk.put(file.replace("id: corp", "id: far"))
        else:
            with pytest.raises(EstateProblems, match="511"):
                desk.put(file)


def test_an_entry_keeps_its_issuer_and_its_tenant(desk) -> None:
    desk.put(FULL)
    assert desk.problems(FULL.replace("https://found.example", "https://other.example"))
    moved = FULL.replace("tenants: [globex], trusted_for: [id_jag]", "tenant: globex, trusted_for: [id_jag]")
    assert desk.problems(moved) == ["trusted_issuers[2].tenant: an entry stays where it is: make another one"]


def test_doctor_says_what_keeps_an_issuers_word_from_counting() -> None:
    doors = Doors.of("https://as.example", [Tenant("acme", "Acme")])
    ours = TrustedIssuer("us", "https://as.example/t/acme", None, ("acme",), (Use.ID_JAG,))
    idle = TrustedIssuer("idle", "https://idle.example", None, ("acme",), (Use.WORKLOAD,), jwks=KEY)
    known = Known({"us": ours, "idle": idle}, {}, {})
    keys = IssuerKeys(Egress(False, Clock()), Clock())
    fine = trusted_doctor.look(idle, keys)
    assert fine == Seen(idle)
    wrong = trusted_doctor.look(replace(idle, algorithms=("RS256",)), keys)
    assert wrong.trouble == "none of its keys is for one of its algorithms"
    found = {item.id: item.level for item in trusted_doctor.findings([wrong], known, doors)}
    assert found == {"issuer.keys": Level.FAIL, "issuer.used": Level.WARN, "issuer.others": Level.FAIL}
    good = Known({"idle": idle}, {"w": Workload("w", None, "idle", "c", {"sub": ("x",)})}, {})
    assert {item.level for item in trusted_doctor.findings([fine], good, doors)} == {Level.OK}


def test_issuers_are_listed_switched_off_and_deleted_on_the_command_line(tmp_path: Path) -> None:
    data, estate = tmp_path / "broker", tmp_path / "estate.yaml"
    estate.write_text(FULL)
    prepare(data, "127.0.0.1", 8400)

    def run(*command: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, [*command, "--data", str(data)])
        assert done.exit_code == code, done.output
        return done.output

    run("apply", str(estate))
    listed = {item["id"]: item["trusted_for"] for item in json.loads(run("issuer", "list", "-o", "json"))}
    assert listed == {"corp": ["id_jag", "subject_tokens"], "ci": ["workload"], "found": ["id_jag"]}
    assert json.loads(run("workload", "get", "main", "-o", "json"))["client_id"] == "deployer"
    assert json.loads(run("recipient", "list", "-o", "json"))[0]["issuer"] == "https://auth.partner.example"
    run("switch", "throw", "issuer", "corp", "--why", "test")
    run("switch", "throw", "issuer", "never", "--why", "test", code=3)
    run("issuer", "delete", "ci", code=1)  # a workload names it
    run("workload", "delete", "main")
    run("issuer", "delete", "ci")
