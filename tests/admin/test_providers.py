"""Identity providers in the estate file: what may be said, round trips, secrets, and what doctor makes of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.admin import claims_doctor, provider_doctor
from broker.admin.doctor import Level
from broker.admin.estate_file import parse, read_yaml
from broker.admin.export import export
from broker.admin.load import judged, load
from broker.admin.model import EstateProblems
from broker.admin.provider_doctor import Seen
from broker.cli.doctor import doctor
from broker.cli.main import main
from broker.identity.federation.model import Accounts, Claims, Provider, Rule, Worth
from broker.identity.tenants.model import Tenant
from tests.documents import Authority
from tests.federation.scripted import Scripted
from tests.lab import Clock

BARE = "{id: corp, issuer: 'https://idp.example', client_id: broker}"
FULL = """
tenants:
  - {id: acme, name: Acme, identity_providers: [corp]}
  - {id: globex}
identity_providers:
  - id: corp
    name: Corporate account
    issuer: https://idp.example
    client_id: broker
    client_secret: "first secret"
    token_endpoint_auth_method: client_secret_post
    scopes: [openid, groups]
    algorithms: [ES256]
    accounts: create
    claims:
      id: preferred_username
      email: {claim: mail.primary}
      roles: [{always: member}, {claim: groups, values: {staff: approver}}]
      attributes: {department: org.unit, level: {claim: lvl, values: {"1": low}}}
      tenants: [{claim: hd, values: {acme.example: acme}}]
    mfa: {acr: [gold], amr: [otp]}
  - {id: own, tenant: globex, issuer: "https://login.example/{tenantid}/v2.0", client_id: x,
     token_endpoint_auth_method: none,
     entra: {tenants: [11111111-1111-4111-8111-111111111111], authority: common}}
"""


def done(changes: list) -> list[tuple[str, str, str]]:
    return [(change.action, change.noun, change.id) for change in changes]


def test_providers_are_created_after_tenants_and_come_back_as_written(desk) -> None:
    assert done(desk.put(FULL)) == [
        ("create", "tenant", "acme"),
        ("create", "tenant", "globex"),
        ("create", "idp", "corp"),
        ("create", "idp", "own"),
    ]
    held = desk.apply.holdings()
    corp, own = held.providers["corp"], held.providers["own"]
    assert corp.mapping == Claims(
        Rule("preferred_username"),
        Rule("name"),
        Rule("mail.primary"),
        (Rule(always="member"), Rule("groups", {"staff": "approver"})),
        {"department": Rule("org.unit"), "level": Rule("lvl", {"1": "low"})},
        (Rule("hd", {"acme.example": "acme"}),),
    )
    assert corp.mfa == Worth(("gold",), ("otp",)) and own.templated and own.authority == "common"
    assert held.tenants["acme"].providers == ("corp",) and held.tenants["globex"].providers == ()
    assert desk.put(FULL) == [] and desk.put(FULL, prune=True) == []


def test_an_export_applies_back_to_nothing_and_holds_no_secret(desk) -> None:
    desk.put(FULL)
    written = export(desk.apply.holdings())
    assert "secret:" not in written and "first secret" not in written
    assert "identity_providers:" in written
    assert desk.put(written) == [] and desk.put(written, prune=True) == []
    entry = read_yaml(written)["identity_providers"][0]
    assert "authority" not in str(entry) and entry["claims"]["email"] == "mail.primary"
    assert "name" not in entry["claims"], "it is the default"


def test_a_dry_run_changes_nothing_and_a_change_says_what_differs(desk) -> None:
    assert desk.put(FULL, dry_run=True) and desk.apply.holdings().held == {}
    desk.put(FULL)
    [change] = desk.put(FULL.replace("Corporate account", "Corp").replace("first secret", "second secret"))
    assert change.members == ["name", "client_secret"]
    assert [item.after for item in change.differences] == ["Corp", "***"]
    assert "secret" not in json.dumps([fact.get("change") for fact in desk.facts()]).replace(
        "client_secret", ""
    )


def test_a_secret_is_sealed_kept_and_renewed(desk) -> None:
    desk.put(FULL)
    providers, world = desk.broker.providers, desk.broker.world
    corp = providers.known()["corp"]
    assert world.database.read(lambda tx: providers.secret(tx, corp)) == "first secret"
    desk.put(FULL.replace('    client_secret: "first secret"\n', ""))
    assert world.database.read(lambda tx: providers.secret(tx, corp)) == "first secret"
    desk.put(FULL.replace("first secret", "second secret"))
    assert world.database.read(lambda tx: providers.secret(tx, corp)) == "second secret"
    stored = world.database.read(
        lambda tx: tx.connection.exec_driver_sql("SELECT secret FROM identity_provider").scalars().all()
    )
    assert all(b"secret" not in value for value in stored if value)


def test_a_secret_comes_from_a_file_beside_the_estate(tmp_path: Path) -> None:
    (tmp_path / "corp.secret").write_text("from a file\n")
    estate = tmp_path / "estate.yaml"
    estate.write_text(f"identity_providers: [{BARE.replace('}', ', client_secret_file: corp.secret}')}]")
    found = load(estate)
    assert found.provider_secrets == {"corp": "from a file"} and found.problems == ()
    estate.write_text(estate.read_text().replace("corp.secret", "never.secret"))
    assert [str(problem) for problem in load(estate).problems] == [
        "idp corp.client_secret_file: never.secret cannot be read"
    ]


def test_pruning_deletes_a_provider_and_its_id_is_never_given_again(desk) -> None:
    desk.put(FULL)
    gone = FULL[: FULL.index("identity_providers:\n")].replace(", identity_providers: [corp]", "")
    assert ("delete", "idp", "corp") in done(desk.put(gone, prune=True))
    assert desk.apply.holdings().providers == {}
    with pytest.raises(EstateProblems, match="an id is never given again"):
        desk.put(FULL)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ("issuer: 'http://idp.example'", "issuer: an https URL"),
        ("issuer: 'https://idp.example?x=1'", "issuer: an https URL"),
        ("issuer: 'https://a:b@idp.example'", "issuer: an https URL"),
        ("issuer: 'https://['", "issuer: an https URL"),
        ("issuer: 'https://idp.example/{tenantid}/v2.0'", "entra: with {tenantid} in the issuer"),
        ("entra: {tenants: [11111111-1111-4111-8111-111111111111]}", "issuer: with entra, the issuer has"),
        ("client_id: ''", "client_id: it is 1 to 500"),
        (
            "client_secret: x, token_endpoint_auth_method: none",
            "client_secret: with token_endpoint_auth_method",
        ),
        ("token_endpoint_auth_method: private_key_jwt", "token_endpoint_auth_method: use one of"),
        ("client_secret: x, client_secret_file: y", "client_secret_file: give the secret or its file"),
        ("scopes: [profile]", "scopes: openid is needed"),
        ("scopes: [openid, 'a b']", "scopes[1]: a scope is one word"),
        ("scopes: [openid, offline_access]", "scopes: offline_access is not asked for"),
        ("algorithms: []", "algorithms: use some of RS256, ES256, PS256, EdDSA"),
        ("algorithms: [none]", "algorithms: use some of"),
        ("algorithms: [HS256, ES256]", "algorithms: use some of"),
        ("accounts: anybody", "accounts: use one of 'linked', 'create'"),
        ("accounts: create", "claims.tenants: say of which tenants"),
        ("tenant: acme, claims: {tenants: [{always: acme}]}", "claims.tenants: a tenant's own provider"),
        ("tenant: nowhere", "tenant: there is no tenant nowhere"),
        ("claims: {tenants: [{always: acme}]}", "claims.tenants[0]: tenant acme does not accept it"),
        ("claims: {tenants: [{always: nowhere}]}", "claims.tenants[0]: there is no tenant nowhere"),
        ("claims: {roles: [{claim: groups}]}", "claims.roles[0].values: say which values count"),
        ("claims: {roles: [{claim: groups, always: x}]}", "claims.roles[0]: give claim or always"),
        ("claims: {roles: [{}]}", "claims.roles[0]: give claim or always"),
        ("claims: {id: ''}", "claims.id: name a claim"),
        (
            "claims: {attributes: {a: {always: x, values: {y: z}}}}",
            "claims.attributes.a.values: they are for",
        ),
        ("claims: {email: 7}", "claims.email"),
        ("secret: x", "secret: the estate file has no such member"),
    ],
)
def test_what_may_not_be_said_is_told_where_it_stands(desk, changes: str, problem: str) -> None:
    desk.put("tenants: [{id: acme}]")
    assert desk.problems(f"identity_providers: [{BARE}]") == []
    members = dict(item.split(":", 1) for item in ())
    entry = {**read_yaml(BARE), **read_yaml("{" + changes + "}"), **members}
    text = json.dumps({"identity_providers": [entry]})
    found = desk.problems(text)
    assert any(said.startswith(f"identity_providers[0].{problem}") for said in found), found


def test_a_provider_keeps_its_tenant_and_its_issuer(desk) -> None:
    desk.put(f"tenants: [{{id: acme}}]\nidentity_providers: [{BARE}]")
    [moved] = desk.problems(f"identity_providers: [{BARE.replace('}', ', tenant: acme}')}]")
    assert "a provider stays where it is" in moved
    [other] = desk.problems(f"identity_providers: [{BARE.replace('idp.example', 'other.example')}]")
    assert "a provider keeps its issuer" in other


def test_a_tenant_accepts_only_providers_that_are_the_servers(desk) -> None:
    desk.put(FULL)
    [unknown] = desk.problems("tenants: [{id: acme, identity_providers: [corp, never]}]")
    assert "there is no identity provider never" in unknown
    [owned] = desk.problems("tenants: [{id: acme, identity_providers: [corp, own]}]")
    assert "own is the own provider of globex" in owned


def test_ids_stand_once() -> None:
    found = judged(parse(read_yaml(f"identity_providers: [{BARE}, {BARE}]")), Path())
    assert [str(problem) for problem in found.problems] == [
        "identity_providers[1].id: corp is taken by identity_providers[0].id"
    ]


# Diagnosis


CORP = Provider("corp", "Corp", "https://idp.example", "c", algorithms=("ES256",))
TENANTS = {"acme": Tenant("acme", "Acme", providers=("corp",)), "globex": Tenant("globex", "Globex")}


def troubles(*seen: Seen) -> dict[str, Level]:
    found = provider_doctor.findings(seen, TENANTS)
    assert {finding.id for finding in found} == {
        "idp.metadata",
        "idp.algorithms",
        "idp.secrets",
        "idp.accepted",
        "idp.mapping",
    }
    assert all(bool(finding.fix) == (finding.level is not Level.OK) for finding in found)
    return {finding.id: finding.level for finding in found if finding.level is not Level.OK}


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (Seen(CORP, True, signing=("RS256", "ES256")), {}),
        (Seen(CORP, True, signing=()), {}),
        (Seen(CORP, True, "metadata: the issuer is not the configured one"), {"idp.metadata": Level.FAIL}),
        (Seen(CORP, True, signing=("RS256",)), {"idp.algorithms": Level.FAIL}),
        (Seen(CORP, False, signing=("ES256",)), {"idp.secrets": Level.FAIL}),
        (
            Seen(Provider("x", "X", "https://i.example", "c", method="none"), False),
            {"idp.accepted": Level.WARN},
        ),
        (Seen(Provider("x", "X", "https://i.example", "c", "globex"), True), {}),
        (Seen(Provider("corp", "X", "http://127.0.0.1:1", "c"), True), {"idp.metadata": Level.WARN}),
    ],
)
def test_doctor_says_what_keeps_people_from_signing_in(seen: Seen, found: dict[str, Level]) -> None:
    assert troubles(seen) == found


@pytest.mark.parametrize(
    ("mapping", "level", "said"),
    [
        (Claims(roles=(Rule("groups", {"staff": "approver"}),)), None, ""),
        (Claims(tenants=(Rule("hd", {"acme.example": "acme"}),)), None, ""),
        (Claims(tenants=(Rule("hd", {"x": "nowhere"}),)), Level.FAIL, "there is no tenant nowhere"),
        (Claims(tenants=(Rule(always="globex"),)), Level.FAIL, "tenant globex does not accept it"),
        (Claims(roles=(Rule(always="admin"),)), Level.WARN, "corp makes everybody admin"),
        (Claims(roles=(Rule("groups", {"x": "Approver"}),)), Level.WARN, "another role than approver"),
    ],
)
def test_doctor_says_of_a_mapping_what_needs_no_claims(
    mapping: Claims, level: Level | None, said: str
) -> None:
    [found] = provider_doctor.mappings([replace(CORP, mapping=mapping)], TENANTS)
    assert found.id == "idp.mapping" and found.level is (level or Level.OK) and said in found.what


MAPPED = replace(
    CORP,
    accounts=Accounts.CREATE,
    mapping=Claims(
        Rule("uid"),
        roles=(Rule("groups", {"staff": "approver"}),),
        attributes={"team": Rule("ou")},
        tenants=(Rule("hd", {"acme.example": "acme", "globex.example": "globex"}),),
    ),
)
ENTRA = replace(CORP, issuer="https://login.example/{tenantid}/v2.0", upstream_tenants=("d-1",))
PERSON = {"sub": "s-1", "hd": "acme.example"}


@pytest.mark.parametrize(
    ("provider", "claims", "said"),
    [
        (
            MAPPED,
            {**PERSON, "uid": "Carol", "groups": ["staff"], "ou": "support"},
            "The account linked to s-1, or a new one (carol or carol-318f",
        ),
        (MAPPED, {**PERSON, "groups": ["staff"], "ou": "x"}, "in acme as approver, team x; worth urn:"),
        (MAPPED, PERSON, "in acme without a role; worth"),
        (CORP, {"sub": "s-1"}, "The account linked to s-1, in the tenants that it has; worth"),
        (ENTRA, {"sub": "s-1", "tid": "d-1", "iss": "https://login.example/d-1/v2.0"}, "linked to s-1"),
    ],
)
def test_doctor_says_what_claims_come_to(provider: Provider, claims: dict[str, object], said: str) -> None:
    found = claims_doctor.weighed(provider, claims, TENANTS)
    assert found.level is Level.OK and said in found.what, found.what


@pytest.mark.parametrize(
    ("provider", "claims", "said"),
    [
        (MAPPED, {"sub": "s-1"}, "they lead into no tenant"),
        (MAPPED, {"sub": "s-1", "hd": "globex.example"}, "they lead into no tenant"),
        (MAPPED, {"hd": "acme.example"}, "they have no `sub`"),
        (MAPPED, {**PERSON, "sub": 7}, "they have no `sub`"),
        (MAPPED, {**PERSON, "iss": "https://evil.example"}, "their `iss` is not https://idp.example"),
        (ENTRA, {"sub": "s-1", "tid": "d-2"}, "their `tid` is none"),
        (replace(CORP, tenant="gone"), {"sub": "s-1"}, "they lead into no tenant"),
    ],
)
def test_doctor_says_why_claims_sign_nobody_in(
    provider: Provider, claims: dict[str, object], said: str
) -> None:
    found = claims_doctor.weighed(provider, claims, TENANTS)
    assert found.level is Level.FAIL and said in found.what and found.fix, found.what


def test_doctor_asks_the_provider_and_idp_test_tells_what_claims_come_to(tmp_path: Path, monkeypatch) -> None:
    authority = Authority(tmp_path)
    idp = Scripted(authority, Clock(), "localhost")
    data, estate = tmp_path / "data", tmp_path / "estate.yaml"
    estate.write_text(
        FULL[: FULL.index("  - {id: own")]
        .replace("https://idp.example", idp.issuer)
        .replace("[ES256]", "[ES256]")
    )
    monkeypatch.setenv("BROKER_EGRESS_AUTHORITIES", str(authority.file))
    from broker.cli.dev import prepare

    prepare(data, "127.0.0.1", 8400)

    def run(*command: str, code: int = 0, given: str | None = None) -> str:
        done = CliRunner().invoke(main, [*command, "--data", str(data)], input=given)
        assert done.exit_code == code, done.output
        return done.output

    run("apply", str(estate))
    found = {item["id"]: item for item in json.loads(_doctor(data))["findings"]}
    assert found["idp.algorithms"]["level"] == found["idp.secrets"]["level"] == "ok"
    assert found["idp.metadata"]["level"] == "warn" and "on this machine" in found["idp.metadata"]["what"]
    idp.metadata["issuer"] = "https://evil.example"
    assert "the issuer is not the configured one" in _doctor(data)
    idp.close()
    assert "Nobody can sign in with corp now" in _doctor(data)

    listed = json.loads(run("idp", "list", "-o", "json"))
    assert [(item["id"], item["accounts"]) for item in listed] == [("corp", "create")]
    claims = {
        "sub": "s",
        "preferred_username": "Carol",
        "hd": "acme.example",
        "groups": ["staff", "x"],
        "org": {"unit": "support"},
        "mail": {"primary": "carol@acme.example"},
        "email_verified": True,
        "amr": ["otp"],
    }
    told = json.loads(run("idp", "test", "corp", "--claims", "-", "-o", "json", given=json.dumps(claims)))
    assert told["tenants"] == [
        {"id": "acme", "roles": ["member", "approver"], "attributes": {"department": "support"}}
    ]
    assert told["user_id"][0] == "carol" and told["email"] == "carol@acme.example"
    assert told["acr"].endswith(":mfa") and told["amr"] == ["fed", "otp"]
    weigh = ("doctor", "--provider", "corp", "--claims", "-")
    good = json.loads(run(*weigh, "-o", "json", given=json.dumps(claims)))
    assert good["status"] == "ok" and good["claims"] == told
    assert [item["id"] for item in good["findings"]] == ["idp.mapping", "idp.claims"]
    assert "in acme as member, approver, department support" in run(*weigh, given=json.dumps(claims))
    assert "lead into no tenant" in run(*weigh, code=5, given='{"sub": "s"}')
    run("doctor", "--provider", "never", "--claims", "-", code=3, given="{}")
    run(*weigh, code=1, given="[]")
    run("doctor", "--provider", "corp", code=2)
    run("doctor", "--claims", "-", code=2, given="{}")
    run("idp", "test", "never", "--claims", "-", code=3, given="{}")
    run("idp", "test", "corp", "--claims", "-", code=1, given="[1")


def _doctor(data: Path) -> str:
    return CliRunner().invoke(doctor, ["--data", str(data), "-o", "json"]).output
