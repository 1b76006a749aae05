"""What the server says of itself is what it does: metadata against registries, routes and the catalogue."""

from urllib.parse import urlsplit

import pytest
from werkzeug.exceptions import HTTPException

from broker.authorization.wishes import PROMPTS, RESPONSE_MODES
from broker.estate import rules
from broker.identity.clients.model import METHODS
from broker.identity.tenants.model import Tenant
from broker.protocol import acr
from broker.protocol.names import IDENTITY_SCOPES, OFFLINE_ACCESS, SIGNING_ALGORITHMS, WORKLOAD_JWT
from broker.tokens import consented, who
from broker.web.texts import CATALOGUES
from tests.lab import DEVICE, ISSUER, Lab

DOORS = ("", "/t/acme", "/t/globex", "/t/initech")


def metadata(lab: Lab, door: str) -> dict[str, object]:
    answer = lab.get(f"/.well-known/oauth-authorization-server{door}")
    assert answer.status_code == 200
    return answer.json


def is_routed(lab: Lab, url: str, method: str) -> bool:
    parts = urlsplit(url)
    adapter = lab.app.url_map.bind(parts.netloc, url_scheme=parts.scheme)
    try:
        return bool(adapter.match(parts.path, method=method))
    except HTTPException:
        return False


@pytest.mark.parametrize("door", DOORS)
def test_grant_types_are_those_of_the_pipeline(lab: Lab, door: str) -> None:
    doors = lab.broker.estate().doors
    here = doors.at_path(door.removeprefix("/t/") or None)
    assert here is not None
    offered = [name for name in lab.broker.pipeline.grant_types if name != DEVICE or doors.devices_at(here)]
    found = metadata(lab, door)
    assert found["grant_types_supported"] == offered
    assert ("device_authorization_endpoint" in found) is (DEVICE in offered)
    assert doors.devices_at(here) is (door in ("", "/t/acme"))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.requirement("EXT-CC-03")
def test_authentication_methods_are_those_of_the_registry(lab: Lab, door: str) -> None:
    found = metadata(lab, door)
    methods = [name for name in lab.broker.authenticator.methods if name in METHODS]
    assert {*lab.broker.authenticator.methods} - {*methods} == {WORKLOAD_JWT}, "an administrator gives it"
    assert found["token_endpoint_auth_methods_supported"] == methods
    assert found["revocation_endpoint_auth_methods_supported"] == methods
    assert found["introspection_endpoint_auth_methods_supported"] == [
        name for name in methods if name != "none"
    ]


@pytest.mark.parametrize("door", DOORS)
def test_every_endpoint_that_is_named_is_routed_under_its_door(lab: Lab, door: str) -> None:
    found = metadata(lab, door)
    named = {name: str(url) for name, url in found.items() if name.endswith(("_endpoint", "_uri"))}
    assert {"authorization_endpoint", "token_endpoint", "jwks_uri"} <= set(named)
    for name, url in named.items():
        assert url.startswith(f"{found['issuer']}/"), name
        method = "GET" if name in ("authorization_endpoint", "jwks_uri") else "POST"
        assert is_routed(lab, url, method), name


def test_an_address_or_method_that_is_not_there_is_not_routed(lab: Lab) -> None:
    assert not is_routed(lab, f"{ISSUER}/nothing-here", "GET")
    assert not is_routed(lab, f"{ISSUER}/token", "GET")
    assert is_routed(lab, f"{ISSUER}/token", "POST")


@pytest.mark.parametrize("door", DOORS)
def test_scopes_are_those_of_the_published_resources_at_the_door_and_the_servers_own(
    lab: Lab, door: str
) -> None:
    estate = lab.broker.estate()
    here = estate.doors.at_path(door.removeprefix("/t/") or None)
    assert here is not None
    offered = {name for resource in estate.published_at(here) for name in rules.offered(resource)}
    listed = metadata(lab, door)["scopes_supported"]
    assert set(listed) == offered | {*IDENTITY_SCOPES, OFFLINE_ACCESS} and len(set(listed)) == len(listed)


@pytest.mark.parametrize("door", DOORS)
def test_both_kinds_of_metadata_say_the_same_of_a_door(lab: Lab, door: str) -> None:
    oauth, openid = metadata(lab, door), lab.get(f"{door}/.well-known/openid-configuration").json
    assert oauth["issuer"] == ISSUER + door
    assert {name: openid[name] for name in oauth} == oauth
    assert lab.get(f"/.well-known/openid-configuration{door}").json == openid


@pytest.mark.requirement("MCP-AS-03", "MCP-AS-16")
def test_what_is_always_so_is_said(lab: Lab) -> None:
    found = metadata(lab, "")
    assert found["response_types_supported"] == ["code"]
    assert found["response_modes_supported"] == list(RESPONSE_MODES)
    assert found["pushed_authorization_request_endpoint"] == f"{ISSUER}/par"
    assert found["introspection_signing_alg_values_supported"] == list(SIGNING_ALGORITHMS)
    assert found["acr_values_supported"] == list(acr.ORDER)
    assert found["ui_locales_supported"] == list(CATALOGUES)
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"] is True
    assert found["prompt_values_supported"] == list(PROMPTS)


@pytest.mark.parametrize("door", DOORS)
def test_what_openid_connect_adds_is_routed_and_told_as_it_is(lab: Lab, door: str) -> None:
    found = lab.get(f"{door}/.well-known/openid-configuration").json
    for name in ("userinfo_endpoint", "end_session_endpoint"):
        assert found[name].startswith(ISSUER + door)
        assert is_routed(lab, found[name], "GET") and is_routed(lab, found[name], "POST")
    assert found["claims_supported"] == [*who.CLAIMS, *consented.AUTH_CLAIMS]
    assert found["acr_values_supported"] == list(acr.ORDER)
    assert found["id_token_signing_alg_values_supported"] == list(SIGNING_ALGORITHMS)


def test_what_is_not_built_is_not_offered(lab: Lab) -> None:
    names = set(metadata(lab, "")) | set(lab.get("/.well-known/openid-configuration").json)
    absent = {
        "check_session_iframe",
        "frontchannel_logout_supported",
        "userinfo_signing_alg_values_supported",
        "request_object_signing_alg_values_supported",
    }
    assert names & absent == set()


def test_a_door_behind_which_everything_must_be_pushed_says_so(lab: Lab) -> None:
    def said(door: str) -> object:
        return metadata(lab, door)["require_pushed_authorization_requests"]

    assert [said(door) for door in DOORS] == [False] * 4
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("acme", "Acme", pushed_only=True)))
    assert [said(door) for door in DOORS] == [False, True, False, False]
    lab.change(lambda tx: lab.broker.tenants.put(tx, Tenant("globex", "Globex", pushed_only=True)))
    assert [said(door) for door in DOORS] == [True, True, True, False]


def test_closed_registration_is_not_offered(make_lab) -> None:
    assert "registration_endpoint" in metadata(make_lab(), "")
    assert "registration_endpoint" not in metadata(make_lab(registration_open=False), "")


def test_the_metadata_of_a_resource_is_what_the_catalogue_says(lab: Lab) -> None:
    estate = lab.broker.estate()
    for resource in estate.resources.values():
        answer = lab.get(f"/.well-known/oauth-protected-resource/r/{resource.id}")
        if not resource.publish:
            assert answer.status_code == 404
            continue
        found = answer.json
        assert found["resource"] == resource.uri
        assert found["authorization_servers"] == [estate.door_of(resource).issuer]
        assert found["scopes_supported"] == list(rules.offered(resource))
        assert found["resource_name"] == resource.name
        assert found["signed_metadata"].count(".") == 2
