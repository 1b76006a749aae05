"""The JOSE cookbook (RFC 7520, RFC 8037) and Wycheproof's signature vectors, from the folder BROKER_TEST_VECTORS.

Each vector is a signature by a key, good or bad; whatever is not one of the algorithms offered here is refused.
The vectors are no part of the project, so it is no failure that nobody names their folder; a folder that is named and
does not hold them is one.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.protocol import jws
from broker.protocol.jws import ALGORITHMS, InvalidToken, Parts, keys_from_jwks

FOLDER = os.environ.get("BROKER_TEST_VECTORS")
pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="BROKER_TEST_VECTORS names no folder; the vectors lie outside the project"
)
WYCHEPROOF = ("wycheproof_json_web_signature_test.json", "wycheproof_json_web_key_test.json")


def accepted(text: object, key_set: object) -> bool:
    """Whether this signature counts here; the payload, which is no claims set in most vectors, is not looked at."""
    if not isinstance(text, str):
        return False
    try:
        header, _, signature = (jws._decoded(part) for part in text.encode("ascii").split(b".", 2))
        members = {**jws._object(header), "typ": "JWT"}
        parts = Parts(members, {"exp": 2.0}, text.rsplit(".", 1)[0].encode("ascii"), signature)
        jws.check(parts, keys_from_jwks(key_set), typ="JWT", algorithms=ALGORITHMS, now=1.0)
    except (InvalidToken, ValueError):
        return False
    return True


def published(group: dict[str, object]) -> dict[str, object]:
    """The key set to verify with: the public one, or what there is of a private one."""
    found = group.get("public", group.get("private"))
    assert isinstance(found, dict)
    return found if "keys" in found else {"keys": [found]}


def vectors() -> Iterator[tuple[str, dict[str, object], dict[str, object]]]:
    """(name, test, group) of every Wycheproof vector."""
    for name in WYCHEPROOF if FOLDER is not None else ():
        for group in json.loads((Path(FOLDER or "") / name).read_text("utf-8"))["testGroups"]:
            for test in group["tests"]:
                yield f"{name[21:24]}-{test['tcId']}", test, group


def offered(test: dict[str, object]) -> bool:
    try:
        head = jws._object(jws._decoded(str(test["jws"]).split(".", 1)[0].encode("ascii")))
    except (InvalidToken, ValueError):
        return False
    return head.get("alg") in ALGORITHMS


ALL = list(vectors())


@pytest.mark.parametrize(("test", "group"), [(t, g) for _, t, g in ALL], ids=[name for name, _, _ in ALL])
def test_a_vector_of_wycheproof_is_judged_as_it_says(
    test: dict[str, object], group: dict[str, object]
) -> None:
    expected = test["result"] == "valid" and offered(test)
    assert accepted(test["jws"], published(group)) is expected, test["comment"]


def test_there_are_good_signatures_of_the_algorithms_offered_among_them() -> None:
    good = {
        jws._object(jws._decoded(str(test["jws"]).split(".", 1)[0].encode()))["alg"]
        for _, test, group in ALL
        if accepted(test["jws"], published(group))
    }
    assert good == {"ES256", "RS256", "PS256"}
    assert len(ALL) > 400


def cookbook() -> list[Path]:
    folder = Path(FOLDER or "") / "jose-cookbook"
    return sorted([*folder.glob("jws_*.json"), folder / "curve25519_jws.json"]) if FOLDER is not None else []


@pytest.mark.parametrize("file", cookbook(), ids=lambda file: file.stem)
def test_an_example_of_the_cookbook_verifies_exactly_if_its_algorithm_is_offered(file: Path) -> None:
    example = json.loads(file.read_text("utf-8"))
    compact = example["output"].get("compact")
    key = example["input"]["key"]
    if not isinstance(key, dict) or compact is None:
        assert not accepted(compact, {"keys": key if isinstance(key, list) else [key]})
        return
    public = {name: key[name] for name in key if name not in ("d", "p", "q", "dp", "dq", "qi", "key_ops")}
    public.setdefault("kid", "bilbo.baggins@hobbiton.example")
    alg = example["input"]["alg"]
    fits = alg in ALGORITHMS and "kid" in example["signing"]["protected"]
    assert accepted(compact, {"keys": [{**public, "alg": alg}]}) is fits
    if fits:
        head, body, signature = compact.split(".")
        flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
        assert not accepted(f"{head}.{body}.{flipped}", {"keys": [{**public, "alg": alg}]})
