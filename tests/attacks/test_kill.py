"""What is switched off, at the server: each way in, tokens that live already, requests under way, restarts, races.

Guards learn of switches when tokens end, until they follow the feed: the waivers say so.
"""

import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from broker import app as composition
from broker.denials.model import Kind, Target
from broker.tokens.ceiling import Ceiling
from broker.tokens.grants.token_exchange import TokenExchange
from tests.lab import CALLBACK, FILES, KEK, Clock, Lab, assert_page, assert_refused, claims, race

WAYS = ("redeem", "refresh", "exchange", "own work")
OFF = {
    ("everything", "*"): dict.fromkeys(WAYS, "invalid_target"),
    ("tenant", "acme"): dict.fromkeys(WAYS, "invalid_target"),
    ("resource", "tickets"): dict.fromkeys(WAYS, "invalid_target"),
    ("client", "desk-app"): {
        "redeem": "invalid_client",
        "refresh": "invalid_client",
        "exchange": "invalid_request",
    },
    ("user", "alice"): {"redeem": "invalid_grant", "refresh": "invalid_grant", "exchange": "invalid_request"},
    ("grant", ""): {"refresh": "invalid_grant", "exchange": "invalid_request"},
    ("edge", "tickets->crm"): {"exchange": "invalid_target"},
}
DEAD = [switch for switch in OFF if switch[0] not in ("edge", "resource")]


def aimed(switch: tuple[str, str], token: str) -> tuple[str, str]:
    """A grant is known when it is there."""
    return (switch[0], switch[1] or str(claims(token)["grant_id"]))


@pytest.mark.attack("KILL-01")
@pytest.mark.parametrize("switch", OFF, ids=lambda switch: switch[0])
def test_a_switch_stops_each_way_in_that_it_concerns_and_no_other(lab: Lab, switch: tuple[str, str]) -> None:
    given, code = lab.tokens(), lab.code(user="alice", prompt="consent")
    ways = {
        "refresh": lambda: lab.refresh(given["refresh_token"]),
        "exchange": lambda: lab.exchange(given["access_token"]),
        "own work": lab.client_credentials,
        "redeem": lambda: lab.redeem(code),
    }
    target = aimed(switch, given["access_token"])
    lab.switch(*target)
    for way, ask in ways.items():
        if (error := OFF[switch].get(way)) is None:
            assert ask().status_code == 200, way
        else:
            assert_refused(ask(), 401 if error == "invalid_client" else 400, error)
    if switch[0] == "client":
        assert_page(lab.browser().get(lab.authorize_url()), 400)
    lab.lift(*target)
    for way in OFF[switch]:
        assert ways[way]().status_code == 200, way


@pytest.mark.attack("KILL-03")
@pytest.mark.parametrize("switch", DEAD, ids=lambda switch: switch[0])
def test_a_token_that_lives_is_dead_for_introspection_when_the_throw_has_answered(
    lab: Lab, switch: tuple[str, str]
) -> None:
    replica = lab.replica()
    token = lab.tokens()["access_token"]
    other = lab.tokens("two-uris", "vera", resource=FILES, scope="files:read", redirect_uri=CALLBACK)[
        "access_token"
    ]
    down = lab.exchange(token).json["access_token"]
    assert replica.active(token) and replica.active(down, "crm-server")
    lab.switch(*aimed(switch, token))
    for where in (lab, replica):
        assert not where.active(token) and not where.active(down, "crm-server")
        assert where.active(other, "files-server") is (switch[0] != "everything")
    replica.broker.close()


@pytest.mark.attack("KILL-04")
@pytest.mark.parametrize("switch", [*DEAD, ("edge", "tickets->crm")], ids=lambda switch: switch[0])
def test_an_exchange_that_was_found_good_is_stopped_where_it_would_mint(
    lab: Lab, switch: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = lab.tokens()["access_token"]
    verify, thrown = TokenExchange.verify, []

    def held(grant: TokenExchange, request: object) -> object:
        found = verify(grant, request)
        if not thrown:
            thrown.append(aimed(switch, token))
            lab.switch(*thrown[0])
        return found

    monkeypatch.setattr(TokenExchange, "verify", held)
    refused = lab.exchange(token)
    assert thrown and refused.status_code == 400 and "access_token" not in refused.json
    assert not lab.facts("exchange.granted")
    lab.lift(*thrown[0])
    assert lab.exchange(token).status_code == 200


@pytest.mark.attack("KILL-04")
@pytest.mark.parametrize("switch", [*DEAD, ("edge", "tickets->crm")], ids=lambda switch: switch[0])
def test_no_switch_is_thrown_between_the_policy_check_of_an_exchange_and_its_mint(
    lab: Lab, switch: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policy is asked inside the minting transaction: the throw waits for its end, and what was minted is off then."""
    token = lab.tokens()["access_token"]
    target, lowered = aimed(switch, token), Ceiling.lowered
    begun, thrown = threading.Event(), threading.Event()
    order: list[str] = []

    def throw() -> None:
        begun.set()
        lab.switch(*target)
        order.append("thrown")
        thrown.set()

    thrower = threading.Thread(target=throw)

    def held(ceiling: Ceiling, tx: object, authority: object, now: float) -> object:
        left = lowered(ceiling, tx, authority, now)
        thrower.start()
        begun.wait()
        assert not thrown.wait(0.05), "the switch was thrown while somebody who had looked could still mint"
        order.append("minted")
        return left

    with monkeypatch.context() as patch:
        patch.setattr(Ceiling, "lowered", held)
        answer = lab.exchange(token)
    thrower.join()
    assert order == ["minted", "thrown"]
    if switch[0] == "edge":
        assert_refused(lab.exchange(token), 400, "invalid_target")
    else:
        assert not lab.active(answer.json["access_token"], "crm-server")
        assert lab.exchange(token).status_code in (400, 401)


@pytest.fixture
def emptied(lab: Lab) -> Iterator[Callable[[], None]]:
    """Empties what this broker keeps in Redis, where it keeps something there."""

    def empty() -> None:
        settings = lab.broker.settings
        if settings.redis_url is None:
            return
        with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
            for name in client.scan_iter(settings.redis_prefix + "*"):
                client.delete(name)

    yield empty


@pytest.mark.attack("KILL-05")
@pytest.mark.parametrize("switch", DEAD, ids=lambda switch: switch[0])
def test_a_switch_survives_restarts_and_an_empty_redis(
    lab: Lab, emptied: Callable[[], None], switch: tuple[str, str]
) -> None:
    given, replica = lab.tokens(), lab.replica()
    assert replica.active(given["access_token"])  # what it may have kept of that is old from here on
    target = aimed(switch, given["access_token"])
    lab.switch(*target)
    emptied()
    restarted = lab.restarted()
    for where in (restarted, replica):
        assert not where.active(given["access_token"])
        assert where.refresh(given["refresh_token"]).status_code in (400, 401)
    restarted.lift(*target)
    assert restarted.active(given["access_token"]) and replica.active(given["access_token"])
    restarted.broker.close()
    replica.broker.close()


@pytest.mark.attack("KILL-07")
@pytest.mark.parametrize("first", ["tenant", "client"])
def test_of_two_switches_either_is_enough(lab: Lab, first: str) -> None:
    tenant, client = ("tenant", "acme"), ("client", "desk-app")
    both = lab.tokens()["access_token"]
    lab.switch(*(tenant if first == "tenant" else client))
    between = (
        lab.tokens(user="vera", resource=FILES, scope="files:read")
        if first == "tenant"
        else lab.tokens("web-app")
    )["access_token"]
    server = "files-server" if first == "tenant" else "tickets-server"
    assert lab.active(between, server) and not lab.active(both)
    lab.switch(*(client if first == "tenant" else tenant))
    assert not lab.active(between, server) and not lab.active(both)
    lab.lift(*tenant)
    assert lab.active(between, server) is (first == "client") and not lab.active(both)
    lab.switch(*tenant)
    lab.lift(*client)
    assert lab.active(between, server) is (first == "tenant") and not lab.active(both)
    lab.lift(*tenant)
    assert lab.active(between, server) and lab.active(both)


@pytest.mark.attack("KILL-10")
@pytest.mark.parametrize("round_", range(5))
def test_racing_switches_end_as_the_last_that_committed_and_each_is_recorded(lab: Lab, round_: int) -> None:
    token, replica = lab.tokens()["access_token"], lab.replica()
    target = Target(Kind.CLIENT, "desk-app")
    acts = (
        lambda: lab.broker.switches.throw(target, "one"),
        lambda: replica.broker.switches.throw(target, "two"),
        lambda: lab.broker.switches.lift(target, "three"),
        lambda: replica.broker.switches.throw(target, "four"),
    )
    results = race(4, lambda number: acts[(number + round_) % 4]())
    assert not [found for found in results if isinstance(found, Exception)], results
    thrown, lifted = len(lab.facts("switch.thrown")), len(lab.facts("switch.lifted"))
    assert (thrown, lifted) in ((1, 0), (1, 1), (2, 1)), "what changed nothing is no act"
    assert lab.active(token) is replica.active(token) is (thrown == lifted)
    replica.broker.close()


@pytest.mark.attack("KILL-12")
@pytest.mark.parametrize("off", [-120, 120])
def test_a_wrong_clock_delays_no_switch(lab: Lab, off: int) -> None:
    clock = Clock(lab.clock.time + off)
    wrong = Lab(composition.compose(lab.broker.settings, clock=clock, kek=KEK), clock, lab.folder, lab.engine)
    for thrower, other in ((lab, wrong), (wrong, lab)):
        token = other.client_credentials().json["access_token"]
        assert other.active(token)
        thrower.switch("client", "nightly")
        assert not other.active(token)
        assert_refused(other.client_credentials(), 401, "invalid_client")
        thrower.lift("client", "nightly")
        assert other.active(token)
    wrong.broker.close()
