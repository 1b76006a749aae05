"""Tokens that are none, shown to the server's own consumers: introspection, exchange, revocation (JOSE cases).

The guard's side of the same cases is in tests/guard and tests/protocol.
"""

import base64
import hmac
import json
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from werkzeug.test import TestResponse

from broker.authorization.logout.model import Notice
from broker.authorization.logout.token import claims as logout_claims
from broker.guard.guard import Guard
from broker.guard.verifier import TokenRefused
from broker.identity.clients.model import Client, Registered
from broker.protocol import jws
from keys.model import RingName
from tests.lab import CRM, ISSUER, LEDGER, NOTES, TICKETS, Lab, assert_refused, claims, header, landed
from tests.proofs import Holder

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64(raw: bytes | str) -> str:
    return base64.urlsafe_b64encode(raw.encode() if isinstance(raw, str) else raw).rstrip(b"=").decode()


class Case:
    """A lab with one true token, and the means to make others with the door's own key."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.real = lab.tokens()["access_token"]
        self.header, self.claims = header(self.real), claims(self.real)

    def sign(self, text: bytes, algorithm: str = "ES256") -> bytes:
        signer = self.lab.broker.door_keys.ring().active(RingName(ISSUER, algorithm, "token"))
        assert signer is not None
        return signer.sign(text)

    def token(
        self,
        head: dict[str, object] | str | None = None,
        body: dict[str, object] | str | None = None,
        sign: Callable[[bytes], bytes] | None = None,
    ) -> str:
        """Truly signed unless `sign` says otherwise; None takes a member out."""
        parts = []
        for base, over in ((self.header, head), (self.claims, body)):
            if not isinstance(over, str):
                merged = {**base, **(over or {})}
                over = json.dumps({name: value for name, value in merged.items() if value is not None})
            parts.append(b64(over))
        text = ".".join(parts)
        return f"{text}.{b64((sign or self.sign)(text.encode()))}"

    def nobody_takes(self, token: str, reason: str = "subject_token_invalid") -> None:
        before = self.lab.state()
        answer = self.lab.introspect(token)
        assert answer.status_code == 200 and answer.json == {"active": False}, answer.get_data(as_text=True)
        assert self.lab.facts("token.introspected")[-1]["reason"] == reason
        self.lab.refused(self.lab.exchange(token), 400, "invalid_request", reason)
        assert self.lab.revoke(token).status_code == 200
        assert not self.lab.facts("token.revoked") and not self.lab.facts("grant.revoked")
        assert self.lab.state() == before

    def all_take(self, token: str) -> None:
        assert self.lab.active(token)
        assert self.lab.exchange(token).status_code == 200


@pytest.fixture
def case(lab: Lab) -> Iterator[Case]:
    """After the attack, the true token still works everywhere."""
    made = Case(lab)
    yield made
    if made.lab.clock.time == 1_800_000_000.0:
        made.all_take(made.real)
        assert lab.revoke(made.real).status_code == 200
        assert not lab.active(made.real)


@pytest.mark.attack("JOSE-01")
def test_an_unsigned_token_is_never_valid(case: Case) -> None:
    for alg in ("none", "None", "nOnE", "NONE", "", None, 0, ["ES256"], {"a": 1}, "ES384", "es256"):
        signed = case.token({"alg": alg})
        case.nobody_takes(signed)
        case.nobody_takes(signed[: signed.rindex(".") + 1])
    assert not case.lab.facts("exchange.granted")


@pytest.mark.attack("JOSE-02")
@pytest.mark.parametrize(("alg", "digest"), [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")])
def test_a_public_key_is_never_a_shared_secret(case: Case, alg: str, digest: str) -> None:
    jwk = case.lab.get("/jwks").json["keys"][0]
    public = case.lab.broker.door_keys.keys(ISSUER)[str(case.header["kid"])].key
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    for secret in (pem, pem.rstrip(), spki, point, json.dumps(jwk).encode(), jwk["x"].encode(), b""):
        case.nobody_takes(
            case.token({"alg": alg}, sign=lambda text, key=secret: hmac.digest(key, text, digest))
        )


@pytest.mark.attack("JOSE-04")
def test_a_kid_is_a_name_and_nothing_else(case: Case) -> None:
    texts = ("../../../../etc/passwd", "' OR 1=1 --", "x" * 300, "x" * 8000, "", "a\u0000b", "\u202e")
    for kid in (*texts, 7, None, True, ["a"], {"a": "b"}):
        case.nobody_takes(case.token({"kid": kid}))


@pytest.mark.attack("JOSE-04")
def test_a_key_that_comes_with_the_token_is_not_looked_at(case: Case) -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    numbers = mine.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))}

    def sign(text: bytes) -> bytes:
        r, s = decode_dss_signature(mine.sign(text, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    case.nobody_takes(case.token({"jwk": jwk}, sign=sign))
    case.nobody_takes(case.token({"jwk": jwk, "kid": "mine"}, sign=sign))
    case.nobody_takes(case.token({"jku": "https://evil.example/jwks", "kid": "mine"}, sign=sign))
    case.nobody_takes(case.token({"x5u": "https://evil.example/x", "x5c": ["AA=="]}, sign=sign))


@pytest.mark.attack("JOSE-05")
def test_an_extension_that_must_be_understood_is_refused(case: Case) -> None:
    extensions: list[dict[str, object]] = [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["alg", "alg"]},
        {"crit": ["absent"]},
        {"crit": "exp", "exp": 1},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
    ]
    for extension in extensions:
        case.nobody_takes(case.token(extension))


@pytest.mark.attack("JOSE-06")
def test_degenerate_signatures_fail(case: Case) -> None:
    def broken(text: bytes) -> dict[str, bytes]:
        true = case.sign(text)
        r, s = int.from_bytes(true[:32]), int.from_bytes(true[32:])
        return {
            "zero": bytes(64),
            "order": P256_ORDER.to_bytes(32) + true[32:],
            "der": encode_dss_signature(r, s),
            "63 bytes": true[:63],
            "65 bytes": true + b"\0",
            "empty": b"",
            "all ones": b"\xff" * 64,
        }

    for what in broken(b""):
        case.nobody_takes(case.token(sign=lambda text, what=what: broken(text)[what]))


@pytest.mark.attack("JOSE-07")
def test_base64url_is_read_strictly(case: Case) -> None:
    head, body, signature = case.real.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    loose = last[last.index(signature[-1]) ^ 1]  # the same bytes, other unused bits
    for token in (
        f"{head}=.{body}.{signature}",
        f"{head}.{body}==.{signature}",
        f"{head}.{body}.{signature}==",
        f"{head}.{body}.{signature[:-1]}{loose}",
        f"{head}\n.{body}.{signature}",
        f"{head}. {body}.{signature}",
        f" {case.real}",
        f"{case.real}\r\n",
        f"{head}.{body}.{signature[:-4]}+/{signature[-2:]}",
        f"{head}.{body}.{signature}é",
        f"{head}.{body}.{signature}\u00a0",
    ):
        case.nobody_takes(token)
    # The alphabet of plain base64, where the signature was made over just these characters.
    plain = base64.b64encode(json.dumps({**case.claims, "x": "???>>>~~~"}).encode()).rstrip(b"=").decode()
    text = f"{head}.{plain}"
    case.nobody_takes(f"{text}.{b64(case.sign(text.encode()))}")
    padded = f"{head}.{b64(json.dumps(case.claims))}="
    case.nobody_takes(f"{padded}.{b64(case.sign(padded.encode()))}")


@pytest.mark.attack("JOSE-08")
def test_only_the_compact_form_is_a_token(case: Case) -> None:
    head, body, signature = case.real.split(".")
    flat = {"payload": body, "protected": head, "signature": signature}
    one = {"protected": head, "signature": signature}
    for token in (
        json.dumps(flat),
        json.dumps({"payload": body, "signatures": [one]}),
        json.dumps({"payload": body, "signatures": [one, one]}),
        case.token({"cty": "JWT"}, case.real),
        case.token({"cty": "JWT"}, json.dumps(case.real)),
        f"{case.real}.{signature}.{signature}",
        f"{case.real}.",
        f".{case.real}",
        f"{head}..{body}.{signature}",
        "..",
        ".",
        f"{head}.{body}",
        case.token(body="[]"),
        case.token(body="null"),
        case.token(body='{"exp":1,"exp":9999999999}'),
    ):
        case.nobody_takes(token)


@pytest.mark.attack("JOSE-11")
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_times_must_be_numbers(case: Case, name: str) -> None:
    texts = (
        '"1900000000"',
        "true",
        "-1",
        "9223372036854775808",
        "1e400",
        "[1900000000]",
        "null",
        "NaN",
        "1" + "0" * 400,
    )
    rest = json.dumps({key: value for key, value in case.claims.items() if key != name})[:-1]
    for text in texts:
        case.nobody_takes(case.token(body=f'{rest},"{name}":{text}}}'))
    if name == "nbf":
        case.all_take(case.token(body=f"{rest}}}"))
    else:
        case.nobody_takes(case.token(body=f"{rest}}}"))


@pytest.mark.attack("JOSE-11")
def test_a_fraction_of_a_second_is_a_time(case: Case) -> None:
    case.all_take(case.token(body={"exp": case.lab.clock.time + 60.5}))


@pytest.mark.attack("JOSE-13")
def test_the_audience_is_compared_as_a_whole(case: Case) -> None:
    parts = (TICKETS[:-1], TICKETS + "/", TICKETS.upper(), "https://mcp1.example", "")
    lists = ([], [TICKETS, NOTES], [TICKETS, 7], [[TICKETS]])
    before = case.lab.state()
    for aud in (*parts, *lists, {"aud": TICKETS}, {TICKETS: True}, 7, True, None):
        token = case.token(body={"aud": aud})
        assert not case.lab.active(token)
        assert_refused(case.lab.exchange(token), 400, "invalid_request")
        reason = case.lab.facts("token.refused")[-1]["reason"]
        assert reason == ("subject_token_foreign" if isinstance(aud, str) else "subject_token_invalid")
    assert case.lab.state() == before


@pytest.mark.attack("JOSE-13")
def test_a_list_of_the_one_audience_is_that_audience(case: Case) -> None:
    case.all_take(case.token(body={"aud": [TICKETS]}))


KEY = Holder("ES256")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.mark.attack("JOSE-14")
def test_each_kind_of_token_works_in_one_place(case: Case) -> None:
    """The table of token kinds and consumers, of which only the diagonal passes."""
    lab = case.lab
    browser = lab.browser()
    answer = lab.tokens(scope="openid tickets:read")
    about = lab.tokens(scope="openid", resource=None)
    notice = Notice("out", "acme", ISSUER, "desk-app", "alice", "sid", 0, lab.clock.now())
    _add_key_client(lab)
    registered = lab.register(client_name="Registered").json
    kinds = {
        "access token": answer["access_token"],
        "exchanged token": lab.exchange(answer["access_token"]).json["access_token"],
        "refresh token": lab.tokens()["refresh_token"],
        "code": lab.code(browser=browser),
        "resource metadata": lab.get("/.well-known/oauth-protected-resource/r/tickets").json[
            "signed_metadata"
        ],
        "session": browser.http.get_cookie("__Host-broker", domain="as.example").value,
        "client assertion": _assertion(lab),
        "proof": KEY.proof(f"{ISSUER}/token", lab.clock.now()),
        "registration": registered["registration_access_token"],
        "id_token": answer["id_token"],
        "userinfo token": about["access_token"],
        "logout token": lab.signed(logout_claims(notice, "jti", lab.clock.now()), typ="logout+jwt"),
        "typed like an id_token": lab.signed(dict(case.claims), typ="JWT"),
        "typed like a logout token": lab.signed(dict(case.claims), typ="logout+jwt"),
        "untyped": case.token({"typ": None}),
    }
    consumers: dict[str, Callable[[str], bool]] = {
        "access token": lab.active,
        "exchange": lambda token: lab.exchange(token).status_code == 200,
        "guard": lambda token: _guarded(lab, TICKETS, token),
        "exchanged token": lambda token: lab.active(token, "crm-server"),
        "further exchange": lambda token: (
            lab.exchange(token, "crm-server", resource=LEDGER).status_code == 200
        ),
        "further guard": lambda token: _guarded(lab, CRM, token),
        "refresh token": lambda token: lab.refresh(token).status_code == 200,
        "code": lambda token: lab.redeem(token).status_code == 200,
        "session": lambda token: _signed_in(lab, token),
        "client assertion": lambda token: _own_work(lab, token).status_code == 200,
        "proof": lambda token: lab.client_credentials(dpop=token).status_code == 200,
        "registration": lambda token: (
            lab.manage("GET", registered["registration_client_uri"], token).status_code == 200
        ),
        "userinfo token": lambda token: (
            lab.get("/userinfo", Authorization=f"Bearer {token}").status_code == 200
        ),
        "id_token": lambda token: (
            "code" in landed(browser.get(lab.authorize_url(prompt="none", id_token_hint=token)))
        ),
        "logout": lambda token: (
            lab.browser().get(f"/logout?{urlencode({'id_token_hint': token})}").status_code == 200
        ),
    }
    belongs = {
        ("id_token", "logout"),
        *((name, name) for name in consumers if name in kinds),
        *(("access token", consumer) for consumer in ("exchange", "guard")),
        *(("exchanged token", consumer) for consumer in ("further exchange", "further guard")),
    }
    for kind, token in kinds.items():
        for consumer, takes in consumers.items():
            assert takes(token) == ((kind, consumer) in belongs), (kind, consumer)
    # Last, as what is taken back works nowhere any more.
    ours = ("access token", "refresh token", "userinfo token")
    holders = {"exchanged token": "tickets-server", **dict.fromkeys(ours, "desk-app")}
    for client in ("tickets-server", "desk-app"):
        for kind, token in kinds.items():
            before = lab.rows("denial")
            assert lab.revoke(token, client).status_code == 200
            assert (lab.rows("denial") > before) == (holders.get(kind) == client), (kind, client)


def _guarded(lab: Lab, resource: str, token: str) -> bool:
    """Whether the guard of a resource takes it."""
    keys, clock = lab.broker.door_keys, lab.clock
    guard = Guard(resource=resource, issuers={ISSUER: ["acme"]}, keys=keys, clock=clock.now)
    try:
        return guard.verify(token).audience == resource
    except TokenRefused:
        return False


def _add_key_client(lab: Lab) -> None:
    keys = json.dumps({"keys": [{**KEY.jwk, "kid": "k1", "alg": "ES256", "use": "sig"}]})
    client = Client(
        client_id="key-app",
        name="Key app",
        tenant="acme",
        method="private_key_jwt",
        registered=Registered.ADMIN,
        grant_types=("client_credentials",),
        resources=("tickets",),
        jwks=keys,
    )
    lab.change(lambda tx: lab.broker.clients.put(tx, client))


def _assertion(lab: Lab) -> str:
    now = lab.clock.now()
    said = {
        "iss": "key-app",
        "sub": "key-app",
        "aud": ISSUER,
        "jti": "once",
        "iat": int(now),
        "exp": int(now) + 60,
    }
    return KEY.signed({"alg": "ES256", "kid": "k1", "typ": "JWT"}, said)


def _own_work(lab: Lab, assertion: str) -> TestResponse:
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION_TYPE}
    return lab.post("/token", {**form, "client_assertion": assertion})


def _encrypted(head: dict[str, object], body: bytes = b"x" * 64) -> str:
    """RFC 7516 section 7.1: what looks like an encrypted token."""
    return ".".join((b64(json.dumps(head)), b64(b"k" * 32), b64(b"i" * 12), b64(body), b64(b"t" * 16)))


@pytest.mark.attack("JOSE-09")
def test_encrypted_tokens_are_refused_unread_everywhere(case: Case) -> None:
    lab = case.lab
    _add_key_client(lab)
    nested = case.real
    for _ in range(50):
        nested = _encrypted({"alg": "dir", "enc": "A256GCM", "cty": "JWT"}, nested.encode()[:4000])
    bombs = [
        _encrypted(
            {"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 1_000_000_000, "p2s": "AAAAAAAAAAA"}
        ),
        _encrypted({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}, zlib.compress(bytes(10_000_000))[2:-4]),
        _encrypted({"alg": "RSA1_5", "enc": "A128CBC-HS256"}),
        _encrypted({"alg": "dir", "enc": "A128GCM"}),
        nested,
    ]
    for bomb in bombs:
        case.nobody_takes(bomb)
        assert _own_work(lab, bomb).status_code == 401
        assert_refused(lab.client_credentials(dpop=bomb), 400, "invalid_dpop_proof")
    assert _own_work(lab, _assertion(lab)).status_code == 200
    assert lab.client_credentials(dpop=KEY.proof(f"{ISSUER}/token", lab.clock.now())).status_code == 200


def _signed_in(lab: Lab, cookie: str) -> bool:
    """Whether the authorization endpoint takes it for a signed-in browser."""
    browser = lab.browser()
    browser.http.set_cookie("__Host-broker", cookie, domain="as.example", secure=True)
    return b'name="password"' not in browser.get(lab.authorize_url()).data


@pytest.mark.attack("JOSE-14")
def test_what_is_no_access_token_by_type_is_none(case: Case) -> None:
    for typ in (
        "JWT",
        "jwt",
        "at+jwt;x",
        "application/jwt",
        "dpop+jwt",
        "resource-metadata+jwt",
        "",
        None,
        7,
    ):
        case.nobody_takes(case.token({"typ": typ}))


@pytest.mark.attack("JOSE-14")
def test_the_registered_spellings_of_the_type_are_the_type(case: Case) -> None:
    for typ in ("at+jwt", "AT+JWT", "application/at+jwt"):
        case.all_take(case.token({"typ": typ}))


@pytest.mark.attack("JOSE-15")
@pytest.mark.parametrize("size", [17_000, 60_000, 1_000_000])
def test_a_huge_token_costs_no_signature(case: Case, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> bool:
        raise AssertionError("a signature was computed")

    lab, huge = case.lab, case.real + "A" * size
    before = lab.state()
    with monkeypatch.context() as patched:
        patched.setattr(jws, "_signed", never)
        for answer in (lab.introspect(huge), lab.exchange(huge), lab.revoke(huge)):
            assert_refused(answer, 413 if size > 65536 else 400, "invalid_request")
        form = "grant_type=client_credentials"
        for scheme in ("Bearer", "Basic", "DPoP"):
            answer = lab.post("/token", form, {"Authorization": f"{scheme} {huge}"})
            assert_refused(answer, 401, "invalid_client")
    assert lab.state() == before


@pytest.mark.attack("JOSE-17")
def test_a_key_is_used_only_for_what_it_is_for(case: Case) -> None:
    kids = {key["alg"]: key["kid"] for key in case.lab.get("/jwks").json["keys"]}
    assert {"ES256", "EdDSA"} <= set(kids)
    case.nobody_takes(case.token({"kid": kids["EdDSA"]}))
    case.nobody_takes(case.token({"alg": "EdDSA"}))
    case.nobody_takes(case.token({"alg": "EdDSA", "kid": kids["EdDSA"]}))
    case.nobody_takes(
        case.token({"alg": "ES256", "kid": kids["EdDSA"]}, sign=lambda text: case.sign(text, "EdDSA"))
    )
    fitting = case.token({"alg": "EdDSA", "kid": kids["EdDSA"]}, sign=lambda text: case.sign(text, "EdDSA"))
    case.all_take(fitting)


@pytest.mark.attack("JOSE-17")
def test_every_published_key_says_that_it_is_for_signatures(lab: Lab) -> None:
    for door in ("", "/t/acme"):
        for key in lab.get(f"{door}/jwks").json["keys"]:
            assert key["use"] == "sig" and key["alg"] in jws.ALGORITHMS
            assert not {"d", "p", "q", "k"} & set(key)


@pytest.mark.attack("JOSE-20")
def test_a_key_past_its_overlap_signs_nothing_that_counts(case: Case) -> None:
    lab, settings = case.lab, case.lab.broker.settings
    lasting = case.token(body={"exp": lab.clock.time + 10 * 86400})
    case.all_take(lasting)
    lab.broker.door_keys.rotate(ISSUER, "ES256")
    lab.clock.advance(settings.key_publish_before)
    lab.broker.tend()
    lab.clock.advance(1)
    case.all_take(lasting)
    lab.clock.advance(settings.key_retire_after)
    lab.broker.tend()
    lab.clock.advance(1)
    case.nobody_takes(lasting)
    fresh = lab.tokens()["access_token"]
    assert header(fresh)["kid"] != header(lasting)["kid"]
    case.all_take(fresh)


@pytest.mark.attack("JOSE-20")
def test_a_key_taken_out_of_use_at_once_is_dead_within_a_second(case: Case) -> None:
    """What an administrator does with a compromised key, done to its row: no process had to be told."""
    lab = case.lab
    kid = str(case.header["kid"])
    assert lab.active(case.real)
    lab.sql("UPDATE signing_key SET state = 'retired', sealed_private = NULL WHERE kid = ?", kid)
    lab.sql("UPDATE version_stamp SET number = number + 1 WHERE name = 'keys'")
    lab.clock.advance(1)
    case.nobody_takes(case.real)
