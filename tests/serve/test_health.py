"""/healthz, /readyz and the absence of /metrics: terse, true, and the same to whoever asks."""

import json
import re
from collections.abc import Callable
from importlib.metadata import distributions

import pytest

from broker.app import create_app
from broker.health import Health
from broker.runtime.database import Unavailable
from tests.lab import ISSUER, Lab

PARTS = {"database", "audit", "schema", "keys", "counters"}


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.health._KEPT_SECONDS", -1.0)


def ready(lab: Lab) -> tuple[int, dict[str, str]]:
    response = lab.get("/readyz")
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json
    assert set(body) == {"status", "parts"} and set(body["parts"]) == PARTS
    assert set(body["parts"].values()) <= {"ok", "degraded", "down"}
    return response.status_code, {name: state for name, state in body["parts"].items() if state != "ok"}


@pytest.mark.attack("HTTP-14")
def test_a_server_that_is_well_says_so(lab: Lab) -> None:
    assert lab.get("/healthz").json == {"status": "ok"}
    assert ready(lab) == (200, {})


@pytest.mark.attack("HTTP-14")
@pytest.mark.parametrize(
    ("table", "down"),
    [
        ("version_stamp", {"database": "down"}),
        ("audit_record", {"audit": "down"}),
        ("alembic_version", {"schema": "down"}),
    ],
)
def test_what_cannot_be_written_makes_it_not_ready(lab: Lab, table: str, down: dict[str, str]) -> None:
    with lab.without_table(table):
        code, found = ready(lab)
        assert code == 503 and down.items() <= found.items()
        assert lab.get("/healthz").status_code == 200
    assert ready(lab) == (200, {})


@pytest.mark.attack("HTTP-14")
def test_a_database_that_does_not_answer_makes_it_not_ready(lab: Lab) -> None:
    with lab.database_down("write", "read"):
        assert ready(lab) == (503, {"database": "down", "audit": "down", "schema": "down"})
        assert lab.get("/healthz").json == {"status": "ok"}
    assert ready(lab) == (200, {})


@pytest.mark.attack("HTTP-14")
def test_answers_name_neither_versions_nor_addresses(lab: Lab) -> None:
    with lab.database_down("write", "read"):
        bad = lab.get("/readyz")
    for response in (lab.get("/healthz"), lab.get("/readyz"), bad):
        text = response.get_data(as_text=True) + json.dumps(dict(response.headers))
        assert not re.search(
            r"\d+\.\d+|sqlite|postgres|redis|://|/tmp|" + lab.folder.name, text, re.IGNORECASE
        )
        assert not any(
            found.metadata["Name"].lower() in text.lower() for found in distributions() if len(found.name) > 4
        )


def test_a_ring_without_a_key_that_signs_makes_it_not_ready(lab: Lab) -> None:
    lab.sql("UPDATE signing_key SET state = 'retiring' WHERE door = ?", ISSUER)
    lab.change(lambda tx: None)
    lab.sql("DELETE FROM signing_key")
    lab.sql("UPDATE version_stamp SET number = number + 1 WHERE name = 'keys'")
    lab.broker.door_keys.refresh()
    assert ready(lab) == (503, {"keys": "down"})
    lab.broker.world.database.write(lab.broker.prepare_keys)
    lab.broker.door_keys.refresh()
    assert ready(lab) == (200, {})


def test_lost_counters_degrade_and_it_stays_ready(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab.broker.world.ephemeral, "healthy", lambda: False, raising=False)
    response = lab.get("/readyz")
    assert response.status_code == 200 and response.json["status"] == "degraded"
    assert ready(lab) == (200, {"counters": "degraded"})


def test_a_trial_leaves_no_evidence(lab: Lab) -> None:
    before = lab.rows("audit_record")
    for _ in range(3):
        assert ready(lab) == (200, {})
    assert lab.rows("audit_record") == before


def test_whoever_asks_often_makes_it_look_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.health._KEPT_SECONDS", 3600.0)
    asked: list[object] = []
    health = Health(lab.broker)
    monkeypatch.setattr(Health, "_look", lambda self: asked.append(self) or {})
    for _ in range(5):
        health.look()
    assert asked == [health]


def test_a_database_that_hangs_is_told_by_the_second_who_asks(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.health._WAIT_SECONDS", 0.01)
    health = Health(lab.broker)
    with health._lock:
        assert set(health.look().values()) == {"down"}
    assert set(health.look().values()) == {"ok"}


@pytest.mark.parametrize("host", ["10.1.2.3", "10.1.2.3:8400", "evil.example", "[::1]:8400", "a b", ""])
def test_they_answer_whatever_the_name(lab: Lab, host: str) -> None:
    for path in ("/healthz", "/readyz"):
        assert lab.http().get(path, headers={"Host": host}).status_code == 200
    assert lab.http().get("/jwks", headers={"Host": host}).status_code == 400


def test_they_answer_in_clear_behind_a_proxy(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(trusted_proxies=("127.0.0.1",))
    clear = {"X-Forwarded-Proto": "http"}
    assert lab.get("/healthz", **clear).status_code == 200
    assert lab.get("/jwks", **clear).status_code == 400


def test_other_methods_and_paths_are_not_theirs(lab: Lab) -> None:
    assert lab.http().head("/healthz", base_url=ISSUER).status_code == 200
    assert lab.http().post("/healthz", base_url=ISSUER).status_code == 405
    for path in ("/healthz/", "/t/acme/healthz", "/readyz/x"):
        assert lab.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/metrics", "/t/acme/metrics", "/metrics/"])
def test_metrics_are_not_on_the_public_port(lab: Lab, path: str) -> None:
    assert lab.get(path).status_code == 404
    assert "/metrics" not in {rule.rule for rule in create_app(lab.broker).url_map.iter_rules()}


def test_an_unavailable_estate_is_no_reason_to_fail(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(lab.broker.door_keys, "ring", gone)
    assert ready(lab) == (503, {"keys": "down"})
