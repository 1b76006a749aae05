"""Walls between tenants under attack: the TENANT cases of the table."""

import pytest

from broker.estate.model import Resource, ResourceKind, Scope
from broker.identity.clients.model import Client, Registered
from broker.identity.tenants.model import Tenant
from broker.identity.users.model import Membership, User
from broker.runtime.database import Conflict
from tests import approving
from tests.lab import (
    ACME,
    CALLBACK,
    CRM,
    FILES,
    GLOBEX,
    ISSUER,
    PASSWORD,
    TICKETS,
    Lab,
    basic,
    claims,
    header,
)


@pytest.mark.attack("TENANT-02")
def test_a_user_who_was_deleted_does_not_come_back_to_life(lab: Lab) -> None:
    theirs, kept = lab.tokens(user="bob"), lab.tokens(user="alice")
    down = lab.exchange(theirs["access_token"]).json["access_token"]
    lab.change(lambda tx: lab.broker.people.remove(tx, "bob"))
    with pytest.raises(Conflict):
        lab.change(lambda tx: lab.broker.people.put(tx, User("bob", "Bob", None, (Membership("acme"),))))
    assert lab.refresh(theirs["refresh_token"]).json["error"] == "invalid_grant"
    assert not lab.active(theirs["access_token"])
    assert not lab.active(down, "crm-server")
    assert lab.exchange(theirs["access_token"]).json["error"] == "invalid_request"
    page = lab.consent_page("bob")
    assert page.status_code == 401 and b'name="password"' in page.data
    assert lab.active(kept["access_token"]) and lab.refresh(kept["refresh_token"]).status_code == 200


@pytest.mark.attack("TENANT-02")
def test_a_client_that_was_deleted_does_not_come_back_to_life(lab: Lab) -> None:
    theirs, kept = lab.tokens("web-app"), lab.tokens("other-app")
    down = lab.exchange(theirs["access_token"]).json["access_token"]
    web_app = lab.client("web-app")
    lab.change(lambda tx: lab.broker.clients.remove(tx, "web-app"))
    with pytest.raises(Conflict):
        lab.put_client(web_app)
    lab.refused(lab.refresh(theirs["refresh_token"], "web-app"), 401, "invalid_client", "client_unknown")
    assert not lab.active(theirs["access_token"])
    assert not lab.active(down, "crm-server")
    assert lab.exchange(theirs["access_token"]).json["error"] == "invalid_request"
    assert lab.active(kept["access_token"])
    assert lab.refresh(kept["refresh_token"], "other-app").status_code == 200


@pytest.mark.attack("TENANT-02")
@pytest.mark.parametrize("door", ["", "/t/acme"])
def test_a_tenant_that_was_deleted_does_not_come_back_to_life(lab: Lab, door: str) -> None:
    theirs = lab.tokens(door=door)
    lab.change(lambda tx: lab.broker.tenants.remove(tx, "acme"))
    with pytest.raises(Conflict):
        lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("acme", "Another Acme")))
    if door:
        assert lab.get("/.well-known/oauth-authorization-server/t/acme").status_code == 404
        assert lab.refresh(theirs["refresh_token"], door=door).status_code == 404
    else:
        assert lab.refresh(theirs["refresh_token"]).status_code == 400
        assert not lab.active(theirs["access_token"])
        assert lab.exchange(theirs["access_token"]).json["error"] in ("invalid_request", "invalid_target")
    assert lab.get("/.well-known/oauth-authorization-server/t/globex").status_code == 200


@pytest.mark.attack("TENANT-02")
@pytest.mark.parametrize("deleted", [True, False])
def test_what_somebody_allowed_who_was_deleted_is_allowed_no_more(lab: Lab, deleted: bool) -> None:
    token = approving.refunds(lab)
    approving.granted(lab, token)
    if deleted:
        lab.change(lambda tx: lab.broker.people.remove(tx, "bob"))
    assert approving.runs(lab, token) is not deleted


@pytest.mark.attack("TENANT-03")
def test_caches_keep_tenants_apart(lab: Lab) -> None:
    """The same person, client and server behind three doors, in turn, many times over."""

    def populate(tx: object) -> None:
        for tenant in ("acme", "globex"):
            secret = f"{tenant}-" + "s" * 43
            client = Client(
                f"job-{tenant}",
                "Job",
                tenant,
                "client_secret_basic",
                Registered.ADMIN,
                (),
                ("client_credentials",),
            )
            lab.broker.clients.put(tx, client)
            lab.broker.clients.set_secret(tx, client, secret)

    lab.change(populate)
    doors = {"acme": ACME, "globex": GLOBEX}
    kids, tokens = {}, {}
    for _ in range(5):
        for tenant, issuer in doors.items():
            form = {"grant_type": "client_credentials", "resource": FILES}
            answer = lab.post(f"/t/{tenant}/token", form, basic(f"job-{tenant}", f"{tenant}-" + "s" * 43))
            assert answer.status_code == 200, answer.get_data(as_text=True)
            body = claims(answer.json["access_token"])
            assert (body["tenant"], body["iss"], body["sub"]) == (tenant, issuer, f"job-{tenant}")
            kids.setdefault(tenant, set()).add(header(answer.json["access_token"])["kid"])
            tokens[tenant] = answer.json["access_token"]
        for tenant in doors:
            other = "globex" if tenant == "acme" else "acme"
            assert lab.active(tokens[tenant], "files-server", f"/t/{tenant}")
            assert not lab.active(tokens[tenant], "files-server", f"/t/{other}")
            assert not lab.active(tokens[tenant], "files-server")
            wrong = lab.post(
                f"/t/{tenant}/token",
                {"grant_type": "client_credentials", "resource": FILES},
                basic(f"job-{other}", f"{other}-" + "s" * 43),
            )
            lab.refused(wrong, 401, "invalid_client", "client_unknown")
            published = {key["kid"] for key in lab.get(f"/t/{tenant}/jwks").json["keys"]}
            assert kids[tenant] <= published and not kids.get(other, set()) & published


@pytest.mark.attack("TENANT-03")
def test_a_person_of_two_tenants_gets_the_token_of_the_door_they_came_through(lab: Lab) -> None:
    browser = lab.browser()
    for _ in range(2):
        for tenant in ("acme", "globex"):
            door = f"/t/{tenant}"
            code = lab.code(user="both", browser=browser, door=door, resource=FILES, scope="files:read")
            answer = lab.redeem(code, door=door, resource=FILES)
            assert claims(answer.json["access_token"])["tenant"] == tenant
            assert lab.active(answer.json["access_token"], "files-server", door)


@pytest.mark.attack("TENANT-04")
def test_a_header_or_parameter_names_no_tenant(lab: Lab) -> None:
    form = {
        "grant_type": "client_credentials",
        "tenant": "globex",
        "tenant_id": "globex",
        "door": "/t/globex",
    }
    headers = {
        **basic("nightly"),
        "X-Tenant": "globex",
        "X-Tenant-ID": "globex",
        "X-Forwarded-Host": "globex.as.example",
        "X-Forwarded-Prefix": "/t/globex",
        "X-Original-URL": "/t/globex/token",
        "Forwarded": "host=globex.as.example",
    }
    answer = lab.post("/token?tenant=globex", form, headers)
    assert answer.status_code == 200
    body = claims(answer.json["access_token"])
    assert (body["tenant"], body["iss"]) == ("acme", ISSUER)
    assert lab.facts("token.issued")[-1]["tenant"] == "acme"


@pytest.mark.attack("TENANT-04")
@pytest.mark.parametrize("host", ["globex.as.example", "evil.example", "as.example.evil.example", ""])
def test_a_host_that_is_not_ours_is_refused(lab: Lab, host: str) -> None:
    before = lab.state()
    form = "grant_type=client_credentials"
    kind = "application/x-www-form-urlencoded"
    answer = lab.http().post(
        "/token", base_url=ISSUER, data=form, content_type=kind, headers={**basic("nightly"), "Host": host}
    )
    assert answer.status_code == 400 and "access_token" not in answer.get_data(as_text=True)
    assert lab.state() == before
    assert lab.client_credentials().status_code == 200


@pytest.mark.attack("TENANT-04")
@pytest.mark.parametrize(
    "door", ["/t/unknown", "/t/ACME", "/t/acme%2F", "/t/..%2Facme", "/t/acme/t/globex", "//t/acme"]
)
def test_a_door_that_does_not_exist_is_not_found(lab: Lab, door: str) -> None:
    token = lab.tokens()["access_token"]
    before = lab.state()
    for answer in (
        lab.client_credentials(door=door),
        lab.introspect(token, door=door),
        lab.revoke(token, door=door),
        lab.register(door),
        lab.get(f"{door}/jwks"),
    ):
        assert answer.status_code == 404, answer.get_data(as_text=True)
    assert lab.state() == before
    assert lab.client_credentials(door="/t/acme").status_code == 200


@pytest.mark.attack("TENANT-04")
def test_the_door_counts_and_not_what_the_path_says_of_the_token(lab: Lab) -> None:
    token = lab.tokens(door="/t/acme")["access_token"]
    assert lab.active(token, door="/t/acme")
    assert not lab.active(token, "files-server", "/t/globex")
    lab.refused(lab.introspect(token, door="/t/globex"), 401, "invalid_client", "client_unknown")
    lab.refused(lab.exchange(token, door="/t/globex"), 401, "invalid_client", "client_unknown")
    assert lab.revoke(token, door="/t/globex").status_code == 200
    assert lab.active(token, door="/t/acme")


@pytest.mark.attack("TENANT-08")
def test_a_tenants_key_is_good_for_that_tenant_alone(lab: Lab) -> None:
    real = lab.tokens(door="/t/acme", resource=FILES, scope="files:read")["access_token"]
    body = dict(claims(real))
    assert lab.active(real, "files-server", "/t/acme")
    forged = {
        "signed by another tenant's door as its own": (
            lab.signed({**body, "iss": GLOBEX}, GLOBEX),
            "/t/globex",
        ),
        "signed by another tenant's door in this one's name": (lab.signed(body, GLOBEX), "/t/acme"),
        "signed by the root in a door's name": (lab.signed(body, ISSUER), "/t/acme"),
        "signed by a tenant's door in the root's name": (lab.signed({**body, "iss": ISSUER}, ACME), ""),
        "true, but of another door": (real, "/t/globex"),
        "true, but of a tenant's door at the root": (real, ""),
    }
    before = lab.state()
    for what, (token, door) in forged.items():
        assert not lab.active(token, "files-server", door), what
        assert lab.facts("token.introspected")[-1]["reason"] == "subject_token_invalid"
        lab.refused(
            lab.exchange(token, "files-server", door), 400, "invalid_request", "subject_token_invalid"
        )
        assert lab.revoke(token, door=door).status_code == 200
    assert lab.state() == before
    assert lab.active(real, "files-server", "/t/acme")
    assert lab.exchange(real, "files-server", "/t/acme").status_code == 200


@pytest.mark.attack("TENANT-08")
def test_a_tenant_behind_its_own_door_alone_is_not_reached_through_the_root(lab: Lab) -> None:
    lab.change(
        lambda tx: lab.broker.changes.put_resource(
            tx,
            Resource(
                "initech-files",
                ResourceKind.MCP,
                "https://initech.example/mcp",
                "Initech",
                ("initech",),
                scopes=(Scope("i:read", "Read"),),
                client_id="crm-server",
            ),
        )
    )
    wanted = {"resource": "https://initech.example/mcp", "scope": "i:read"}
    inside = lab.tokens(user="ivan", door="/t/initech", **wanted)["access_token"]
    assert lab.active(inside, "crm-server", "/t/initech")
    assert not lab.active(inside, "crm-server")
    at_root = lab.signed({**claims(inside), "iss": ISSUER})
    assert not lab.active(at_root, "crm-server")
    browser = lab.browser()
    refused = browser.http.get(lab.authorize_url(**wanted), base_url=ISSUER)
    assert "error=invalid_target" in refused.headers["Location"]
    assert refused.headers["Location"].startswith(CALLBACK)
    assert PASSWORD not in refused.headers["Location"] and CRM not in refused.headers["Location"]
    assert lab.tokens(resource=TICKETS)["access_token"]
