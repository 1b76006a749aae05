"""The life of signing keys as the outside sees it: the KEYS cases, through a running broker (the rules: tests/keys)."""

import pytest
from cryptography.hazmat.primitives import serialization

from keys import store
from tests.lab import ISSUER, KEK, Lab, header


def published(lab: Lab, door: str = "") -> set[str]:
    return {key["kid"] for key in lab.get(f"{door}/jwks").json["keys"]}


def kid_now(lab: Lab) -> str:
    return str(header(lab.client_credentials().json["access_token"])["kid"])


@pytest.mark.attack("KEYS-01")
def test_a_key_is_published_before_it_signs(lab: Lab) -> None:
    settings = lab.broker.settings
    first = kid_now(lab)
    created = lab.broker.door_keys.rotate(ISSUER, "ES256")
    (coming,) = [change.kid for change in created]
    lab.clock.advance(1)
    assert coming in published(lab) and kid_now(lab) == first
    document = lab.get("/jwks")
    assert f"max-age={settings.metadata_max_age}" in document.headers["Cache-Control"]
    assert settings.key_publish_before > settings.metadata_max_age
    lab.clock.advance(settings.key_publish_before - 2)
    lab.broker.tend()
    assert kid_now(lab) == first
    lab.clock.advance(2)
    lab.broker.tend()
    lab.clock.advance(1)
    assert kid_now(lab) == coming
    assert [record["fact"] for record in lab.facts() if record.get("change", {}).get("kid") == coming] == [
        "key.created",
        "key.activated",
    ]


@pytest.mark.attack("KEYS-02")
def test_a_key_is_published_until_its_tokens_have_died(lab: Lab) -> None:
    settings = lab.broker.settings
    first = kid_now(lab)
    lab.broker.door_keys.rotate(ISSUER, "ES256")
    lab.clock.advance(settings.key_publish_before)
    token = lab.client_credentials().json["access_token"]
    lab.broker.tend()
    lab.clock.advance(1)
    assert kid_now(lab) != first
    lab.clock.advance(298)
    lab.broker.tend()
    assert first in published(lab) and lab.active(token)
    lab.clock.advance(settings.key_retire_after)
    lab.broker.tend()
    lab.clock.advance(1)
    assert first not in published(lab)
    assert lab.broker.world.database.read(
        lambda tx: [row.sealed_private for row in store.rows(tx.connection) if row.kid == first]
    ) == [None]
    assert lab.facts("key.retired")[-1]["change"]["kid"] == first


@pytest.mark.attack("KEYS-06")
def test_doors_share_no_key_and_a_kid_says_nothing(lab: Lab) -> None:
    root, acme, globex = published(lab), published(lab, "/t/acme"), published(lab, "/t/globex")
    assert not (root & acme or acme & globex or root & globex)
    for kid in root | acme | globex:
        assert len(kid) == 43 and not {"/", ".", ":"} & set(kid)
        assert "acme" not in kid and "globex" not in kid


@pytest.mark.attack("KEYS-08")
def test_nothing_on_disk_is_a_private_key(lab: Lab) -> None:
    lab.tokens()
    dumped = lab.dump()
    rows = lab.broker.world.database.read(lambda tx: store.rows(tx.connection))
    assert rows
    for row in rows:
        assert row.sealed_private is not None
        context = {
            "kid": row.kid,
            "alg": row.alg,
            "door": row.door,
            "purpose": row.purpose,
            "version": str(row.version),
        }
        private = KEK.open(row.sealed_private, context)
        assert private not in dumped
        key = serialization.load_der_private_key(private, None)
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
            plain = key.private_bytes(
                encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            assert plain not in dumped
        if row.alg == "ES256":
            assert key.private_numbers().private_value.to_bytes(32) not in dumped
    assert b"PRIVATE KEY" not in dumped and b"k" * 32 not in dumped


@pytest.mark.attack("KEYS-12")
def test_keys_of_the_server_are_derived_under_labels_of_their_own(lab: Lab) -> None:
    derived = {label: KEK.derive(label) for label in ("csrf", "refresh", "dpop-nonce", "ephemeral")}
    assert len(set(derived.values())) == len(derived)
    assert all(value not in lab.dump() for value in derived.values())
    kids = [row.kid for row in lab.broker.world.database.read(lambda tx: store.rows(tx.connection))]
    assert len(kids) == len(set(kids))
