"""The OpenID suite's plan oidcc-config: the discovery document, as strict clients read it."""

from urllib.parse import urlsplit

import pytest

from broker.protocol.acr import ORDER
from broker.tokens.who import CLAIMS
from tests import openid
from tests.lab import ISSUER, Lab

REQUIRED = (
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "registration_endpoint",
    "scopes_supported",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "claims_supported",
)


@pytest.mark.parametrize("door", ["", "/t/acme"])
@pytest.mark.requirement("OIDC-DISC-01", "OIDC-DISC-02", "OIDC-DISC-03", "OIDC-DISC-04")
def test_oidcc_discovery_endpoint_verification(lab: Lab, door: str) -> None:
    answer = lab.get(f"{door}/.well-known/openid-configuration")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    found = answer.json
    assert found["issuer"] == ISSUER + door
    assert set(REQUIRED) <= set(found)
    for name, value in found.items():
        if name.endswith(("_endpoint", "_uri")):
            assert urlsplit(value).scheme == "https" and not urlsplit(value).fragment, name
        assert value not in (None, [], ""), name
    assert found["response_types_supported"] == ["code"]
    assert found["subject_types_supported"] == ["public"]
    assert "RS256" in found["id_token_signing_alg_values_supported"]
    assert {"openid", "profile", "email", "offline_access"} <= set(found["scopes_supported"])
    assert set(CLAIMS) <= set(found["claims_supported"])
    assert found["acr_values_supported"] == list(ORDER)
    assert found["claims_parameter_supported"] is False
    assert found["request_parameter_supported"] is False
    assert found["request_uri_parameter_supported"] is False


def test_every_algorithm_that_is_listed_can_be_registered_and_signs(lab: Lab) -> None:
    for alg in lab.get("/.well-known/openid-configuration").json["id_token_signing_alg_values_supported"]:
        openid.add(lab, f"rp-{alg.lower()}", id_token_alg=alg)
        got = openid.login(lab, f"rp-{alg.lower()}")
        assert openid.verified(lab, got.id_token, f"rp-{alg.lower()}")["sub"] == "alice"
