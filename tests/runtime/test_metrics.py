"""Metrics: what happened is counted once it is committed, and no label is a client's text."""

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from broker.runtime import exposition
from broker.runtime.database import Unavailable
from tests.lab import ISSUER, Lab, basic


def value(lab: Lab, name: str, **labels: str) -> float:
    return lab.broker.metrics.registry.get_sample_value(f"broker_{name}", labels) or 0.0


def everything(lab: Lab) -> str:
    return exposition.alone(lab.broker.metrics.registry, "1.2.3")().decode()


def test_requests_are_counted_by_template_method_and_class_of_status(lab: Lab) -> None:
    lab.client_credentials()
    lab.client_credentials(door="/t/acme")
    lab.client_credentials(scope="nothing:known")
    lab.get("/token")
    assert value(lab, "requests_total", endpoint="/token", method="POST", status="2xx") == 2
    assert value(lab, "requests_total", endpoint="/token", method="POST", status="4xx") == 1
    assert value(lab, "requests_total", endpoint="none", method="GET", status="4xx") == 1
    assert value(lab, "request_seconds_count", endpoint="/token") == 3
    assert value(lab, "requests_under_way") == 0


def test_tokens_are_counted_by_grant_type_and_refusals_by_reason(lab: Lab) -> None:
    tokens = lab.tokens()
    lab.refresh(tokens["refresh_token"])
    lab.exchange(lab.tokens(client_id="desk-app")["access_token"])
    lab.post("/token", {"grant_type": "client_credentials"}, basic("nightly", "wrong"))
    assert value(lab, "tokens_issued_total", grant_type="authorization_code") == 2
    assert value(lab, "tokens_issued_total", grant_type="refresh_token") == 1
    reason = "client_authentication_failed"
    assert value(lab, "refusals_total", endpoint="/token", reason=reason) == 1


def test_a_refusal_on_a_page_has_its_reason_too(lab: Lab) -> None:
    browser = lab.browser()
    page = browser.get(lab.authorize_url())
    browser.sign_in(page, "alice", "a wrong password")
    assert value(lab, "refusals_total", endpoint="/login", reason="password_wrong") == 1


def test_facts_are_counted_when_they_are_committed_and_not_before(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.client_credentials()
    assert value(lab, "audit_facts_total", fact="token.issued", outcome="allowed") == 1

    def boom(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("broker.tokens.issued.answer", boom)  # after the record was written
        assert lab.client_credentials().status_code == 500
    assert value(lab, "audit_facts_total", fact="token.issued", outcome="allowed") == 1
    assert len(lab.facts("token.issued")) == 1
    assert value(lab, "tokens_issued_total", grant_type="client_credentials") == 1


def test_units_of_the_database_are_timed_and_their_failures_counted(lab: Lab) -> None:
    before = value(lab, "database_unit_seconds_count", kind="write")
    lab.client_credentials()
    assert value(lab, "database_unit_seconds_count", kind="write") == before + 1
    with lab.without_table("audit_record"):
        assert lab.client_credentials().status_code == 503
    assert value(lab, "database_failures_total", kind="write") >= 1
    assert value(lab, "database_failures_total", kind="read") == 0
    with pytest.raises(Unavailable):
        lab.broker.world.database.read(lambda tx: _unavailable())
    assert value(lab, "database_failures_total", kind="read") == 1


def _unavailable() -> None:
    raise Unavailable("gone")


def test_gauges_tell_keys_by_state_refusals_not_yet_recorded_and_lost_counters(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from broker.health import Health

    health = Health(lab.broker)
    health.gauges()
    active = value(lab, "signing_keys", state="active")
    assert (
        active == len(lab.broker.door_keys.ring().names())
        and value(lab, "signing_keys", state="pending") == 0
    )
    lab.broker.door_keys.rotate(ISSUER, "ES256")
    lab.broker.door_keys.refresh()
    for _ in range(15):
        lab.post("/token", {"grant_type": "client_credentials", "client_id": "stranger"})
    monkeypatch.setattr(type(lab.broker.world.ephemeral), "failures", 3)
    health.gauges()
    health.gauges()
    assert value(lab, "signing_keys", state="pending") == 1
    assert value(lab, "refusals_waiting") == lab.broker.refusals.waiting == 5
    assert value(lab, "ephemeral_failures_total") == 3


def test_no_label_is_what_a_client_sent(lab: Lab) -> None:
    canary = "canary-3f9a"
    http = lab.http()
    http.open(f"/{canary}", method=canary.upper(), base_url=ISSUER)
    http.open("/token", method=f"X{canary}", base_url=ISSUER)
    http.get(f"/t/{canary}/jwks", base_url=ISSUER)
    http.get(f"/static/x/{canary}?q={canary}", base_url=ISSUER)
    http.get("/jwks", headers={"Host": canary})
    for field in ("grant_type", "client_id", "scope", "resource", "token", "client_secret"):
        lab.post("/token", {"grant_type": "client_credentials", field: canary}, basic("nightly"))
        lab.post("/introspect", {field: canary}, basic("tickets-server"))
    assert canary not in everything(lab).lower()
    assert value(lab, "requests_total", endpoint="none", method="other", status="4xx") == 2


def test_the_private_port_answers_metrics_and_nothing_else(lab: Lab) -> None:
    server = exposition.expose("127.0.0.1", 0, exposition.alone(CollectorRegistry(), "1.2.3"))
    try:
        home = f"http://127.0.0.1:{server.server_address[1]}"
        answer = httpx2.get(f"{home}/metrics", trust_env=False)
        assert answer.status_code == 200 and 'broker_build_info{version="1.2.3"} 1.0' in answer.text
        assert answer.headers["content-type"].startswith("text/plain")
        assert httpx2.get(f"{home}/", trust_env=False).status_code == 404
        assert httpx2.get(f"{home}/metrics/../etc", trust_env=False).status_code == 404
        assert httpx2.post(f"{home}/metrics", trust_env=False).status_code == 501
    finally:
        server.shutdown()
        server.server_close()


def test_files_of_dead_processes_lose_their_gauges_and_keep_their_counts(tmp_path: Path) -> None:
    """In processes of their own: the library chooses where values live when it is told, for good."""
    import subprocess
    import sys

    child = (
        "import sys, pathlib; from broker.runtime import metrics; metrics.share(pathlib.Path(sys.argv[1]));"
        "made = metrics.Metrics(); made.under_way.inc(); made.requests.labels('/token', 'POST', '2xx').inc(2);"
        "made.keys.labels('active').set(4)"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", child, str(tmp_path)], check=True, timeout=60)
    text = exposition.shared(tmp_path, "1.2.3")().decode()
    samples = {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}
    assert samples["broker_requests_total"] == 4
    assert "broker_requests_under_way" not in samples and "broker_signing_keys" not in samples
    assert not list(tmp_path.glob("gauge_live*"))


def test_a_unit_that_the_engine_runs_again_counts_once(make_lab: Callable[..., Lab]) -> None:
    from broker.audit.model import Fact
    from broker.runtime.metrics import Measured, Metrics

    lab, metrics = make_lab(), Metrics()

    class Twice:
        """As an engine that is asked to try again."""

        def write(
            self, work: Callable[..., object], tenant: object = None, *, throwing: bool = False
        ) -> object:
            def again(tx: object) -> object:
                work(tx)
                return work(tx)

            return lab.broker.world.database.write(again)

    Measured(Twice(), metrics).write(lambda tx: lab.broker.recorder.record(tx, Fact("key.created")))
    labels = {"fact": "key.created", "outcome": "allowed"}
    assert metrics.registry.get_sample_value("broker_audit_facts_total", labels) == 1
