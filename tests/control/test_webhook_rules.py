"""What a webhook's secret may be, and that its signature is the one of the specification's own example."""

from pathlib import Path

import pytest

from broker.control.webhooks import rules
from broker.settings import Settings


def test_the_signature_is_that_of_the_specification() -> None:
    key = rules.secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    content = b'{"test": 2432232314}'
    found = rules.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", content, key, 1614265330.7)
    assert found["webhook-timestamp"] == "1614265330"
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("text", ["", "short", "whsec_!!!!", "whsec_c2hvcnQ=", "x" * 23])
def test_a_secret_that_is_none_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(ValueError, match="no secret for webhooks") as refused:
        rules.read_secret(file)
    assert not text or text not in str(refused.value).replace("`whsec_`", "")
    assert rules.secret("y" * 24) == b"y" * 24


def test_an_address_without_a_secret_is_no_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="goes together"):
        Settings(alert_webhook_url="https://hooks.example/x")
    with pytest.raises(ValueError, match="goes together"):
        Settings(alert_webhook_secret_file=tmp_path / "secret")
