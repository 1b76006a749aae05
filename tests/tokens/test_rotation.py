"""OpenID Connect Core section 10.1.1: keys are turned under load, on two replicas, and no caching verifier notices."""

import random
import re

import pytest

from broker.protocol import jws
from tests.lab import ISSUER, Lab, race

ROTATIONS = 20
LIFETIME = 300


class CachingVerifier:
    """The strictest that honours Cache-Control: keeps a key set for its max-age and looks at nothing in between."""

    def __init__(self, lab: Lab, begins: float) -> None:
        self._lab, self._until = lab, begins
        self._keys: dict[str, jws.VerificationKey] = {}

    def verify(self, token: str) -> None:
        now = self._lab.clock.now()
        if now >= self._until or not self._keys:
            answer = self._lab.get("/jwks")
            found = re.search(r"max-age=(\d+)", answer.headers["Cache-Control"])
            assert found is not None
            self._keys, self._until = jws.keys_from_jwks(answer.json), now + int(found[1])
        jws.verify(token, self._keys, typ="at+jwt", algorithms=jws.ALGORITHMS, now=now)


@pytest.mark.attack("KEYS-03")
def test_keys_turn_twenty_times_under_load_and_no_caching_verifier_notices(make_lab: object) -> None:
    lab = make_lab(key_publish_before=600, key_retire_after=900, registration_open=False)
    replica = lab.replica()
    chance = random.Random(20)
    verifiers = [CachingVerifier(each, lab.clock.now() + i * 60) for i, each in enumerate((lab, replica) * 3)]
    kept: list[str] = [lab.client_credentials().json["access_token"]]
    seen: set[str] = set()
    try:
        while len(seen) <= ROTATIONS:
            lab.clock.advance(chance.uniform(20, 90))
            if not any(key.state == "pending" for key in lab.broker.door_keys.refresh().published(ISSUER)):
                lab.broker.door_keys.rotate(ISSUER, "ES256")

            def work(index: int) -> str | None:
                if index < 2:  # both replicas' workers at once, against the mints
                    (lab, replica)[index].broker.door_keys.tend()
                    return None
                answer = (lab, replica)[index % 2].client_credentials()
                assert answer.status_code == 200, answer.get_data(as_text=True)
                return str(answer.json["access_token"])

            results = race(6, work)
            assert not [fault for fault in results if isinstance(fault, Exception)]
            kept += [token for token in results if isinstance(token, str)]
            now = lab.clock.now()
            kept = [token for token in kept if jws.peek_claims(token)["exp"] > now]
            for token in kept:
                for verifier in verifiers:
                    verifier.verify(token)
            seen |= {str(jws.read_header(token)["kid"]) for token in kept}
    finally:
        replica.broker.close()
    turned = [fact for fact in lab.facts("key.activated") if fact["issuer"] == ISSUER]
    assert len(turned) >= ROTATIONS
    assert len([fact for fact in lab.facts("key.retired") if fact["issuer"] == ISSUER]) >= ROTATIONS - 3
    assert len(lab.broker.door_keys.refresh().jwks(ISSUER)["keys"]) <= 6
