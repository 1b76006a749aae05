"""The program that checks every promise: silent on a sound database, and it names each promise that was broken."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.admin.books import Books
from broker.admin.invariants import Judged, check
from broker.admin.journal import Entry, read
from broker.cli.invariants import books_of, examined
from broker.cli.main import main
from broker.denials.model import Kind, Target
from tests.deciding import post, question
from tests.lab import Lab, claims


def entry(asked: str, presented: str | None, answer: dict[str, object], **more: object) -> Entry:
    values = {
        "line": 1,
        "client": "desk-app",
        "began": 0.0,
        "ended": 1.0,
        "status": 200,
        "retry_after": False,
    }
    return Entry(**{**values, "asked": asked, "presented": presented, "answer": answer, **more})


@pytest.fixture
def told(lab: Lab) -> list[Entry]:
    """A journal of one family: a code, a rotation, an exchange; and a client's own work."""
    code = lab.code()
    first = lab.redeem(code).json
    second = lab.refresh(first["refresh_token"]).json
    third = lab.exchange(second["access_token"]).json
    own = lab.client_credentials().json
    asked = [
        ("authorization_code", code, first, "desk-app"),
        ("refresh_token", first["refresh_token"], second, "desk-app"),
        ("exchange", second["access_token"], third, "tickets-server"),
        ("client_credentials", None, own, "nightly"),
    ]
    now = lab.clock.now()
    return [
        entry(how, what, answer, client=who, line=number, began=now - 1, ended=now + 1)
        for number, (how, what, answer, who) in enumerate(asked, 1)
    ]


def broken(found: list[Judged]) -> dict[str, tuple[str, ...]]:
    return {judged.id: judged.violations for judged in found if not judged.ok}


def test_a_sound_database_with_its_journal_keeps_every_promise(lab: Lab, told: list[Entry]) -> None:
    found = examined(lab.broker, told)
    assert [judged.id for judged in found] == ["I1", "I2", "I3", "I4", "I6", "I7", "I9", "I12"]
    assert broken(found) == {} and all(judged.checked and not judged.notes for judged in found)


def test_without_a_journal_it_says_what_it_cannot_know(lab: Lab, told: list[Entry]) -> None:
    found = {judged.id: judged.checked for judged in examined(lab.broker, None)}
    assert found == {name: name in ("I1", "I3", "I6", "I7") for name in found}


def test_two_answers_for_one_code_or_two_successors_are_found(lab: Lab, told: list[Entry]) -> None:
    again = [
        entry("authorization_code", told[0].presented, told[3].answer, line=8),
        entry("refresh_token", told[1].presented, {**told[3].answer, "refresh_token": "other"}, line=9),
    ]
    assert broken(examined(lab.broker, [*told, *again])).keys() == {"I1"}


def test_a_code_redeemed_more_often_than_issued_is_found(lab: Lab, told: list[Entry]) -> None:
    books = books_of(lab.broker)
    twice = [record for record in books.evidence if record.fact == "code.consumed"]
    found = judge(books, evidence=[*books.evidence, *twice])
    assert broken(found).keys() == {"I1"} and "1 codes issued, 2 redeemed" in broken(found)["I1"][0]


def test_a_decision_or_an_outcome_that_is_recorded_twice_is_found(lab: Lab, told: list[Entry]) -> None:
    asked = question(lab.tokens()["access_token"])
    decision = post(lab, "evaluation", asked).json["context"]["decision_id"]
    post(lab, "outcomes", {"decision_id": decision, "status": "ok"})
    books = books_of(lab.broker)
    for fact in ("decision.made", "outcome.reported"):
        twice = [record for record in books.evidence if record.fact == fact]
        found = broken(judge(books, evidence=[*books.evidence, *twice]))
        assert found == {"I1": (f"2 records {fact} of {decision}",)}


def test_a_permit_after_the_end_of_its_grant_is_found(lab: Lab, told: list[Entry]) -> None:
    tokens = lab.tokens()
    assert post(lab, "evaluation", question(tokens["access_token"])).json["decision"] is True
    lab.revoke(tokens["access_token"])
    books = books_of(lab.broker)
    assert broken(judge(books)) == {}
    late = [
        replace(record, time=record.time + 9) if record.fact == "decision.made" else record
        for record in books.evidence
    ]
    assert "permitted 9.000 s after grant" in broken(judge(books, evidence=late))["I6"][0]


def test_a_token_that_is_not_in_the_records_is_found(lab: Lab, told: list[Entry]) -> None:
    forged = lab.signed({**claims(str(told[0].answer["access_token"])), "jti": "tok_unheard_of"})
    found = examined(lab.broker, [*told, entry("client_credentials", None, {"access_token": forged}, line=9)])
    assert broken(found).keys() == {"I2", "I3"}


@pytest.mark.parametrize("what", ["body", "leaf_hash"])
def test_a_record_that_was_changed_is_found(lab: Lab, told: list[Entry], what: str) -> None:
    record = books_of(lab.broker).evidence[-1]
    row = f"'{record.id}'"
    if lab.broker.settings.database.startswith("sqlite"):
        lab.sql("DROP TRIGGER audit_record_is_final")
    else:
        lab.sql("ALTER TABLE audit_record DISABLE TRIGGER audit_record_is_final")
    lab.sql(f"UPDATE audit_record SET {what} = replace({what}, substr({what}, 9, 3), 'xyz') WHERE id = {row}")
    assert "I3" in broken(examined(lab.broker, told))


def test_records_that_are_missing_are_found(lab: Lab, told: list[Entry]) -> None:
    books = books_of(lab.broker)
    kept = [record for record in books.evidence if record.fact != "exchange.granted"]
    assert broken(judge(books, told, evidence=kept)).keys() == {"I2", "I3"}


def test_a_token_that_nobody_received_is_listed_and_can_be_revoked(lab: Lab, told: list[Entry]) -> None:
    found = {judged.id: judged for judged in examined(lab.broker, told[:2] + told[3:])}
    assert broken(list(found.values())) == {}
    assert not found["I4"].notes, "the exchange is of a client that kept no journal"
    less = [told[0], *told[2:]]
    (note,) = {judged.id: judged for judged in examined(lab.broker, less)}["I4"].notes
    grant = str(claims(str(told[0].answer["access_token"]))["grant_id"])
    assert f"delivery unknown, revocable by {grant}" in note
    assert lab.broker.grants.revoke(grant, "its holder never got it")


def test_a_revocation_without_effect_is_found(lab: Lab, told: list[Entry]) -> None:
    gone = [entry("revoke", told[1].answer["refresh_token"], {}, line=9)]
    assert broken(examined(lab.broker, [*told, *gone])).keys() == {"I3", "I6"}
    assert lab.revoke(str(told[1].answer["refresh_token"])).status_code == 200
    assert broken(examined(lab.broker, [*told, *gone])) == {}


def test_a_grant_that_was_revoked_and_is_on_again_is_found(lab: Lab, told: list[Entry]) -> None:
    lab.revoke(str(told[1].answer["refresh_token"]))
    lab.sql("DELETE FROM denial")
    assert broken(examined(lab.broker, told)).keys() == {"I6"}


def test_a_mint_after_the_end_of_its_grant_is_found(lab: Lab, told: list[Entry]) -> None:
    lab.revoke(str(told[1].answer["refresh_token"]))
    books = books_of(lab.broker)
    early = [
        replace(record, time=record.time - 60) if record.fact == "grant.revoked" else record
        for record in books.evidence
    ]
    assert broken(judge(books, evidence=early)).keys() == {"I6"}
    assert broken(judge(books, evidence=early, skew=61)) == {}


def test_a_second_live_refresh_token_is_found(lab: Lab, told: list[Entry]) -> None:
    lab.sql("UPDATE refresh_token SET spent_at = NULL")
    assert broken(examined(lab.broker, told)).keys() == {"I7"}


def test_a_token_whose_key_is_not_published_is_found_until_it_expires(lab: Lab, told: list[Entry]) -> None:
    lab.sql("UPDATE signing_key SET state = 'retired'")
    lab.broker.door_keys.refresh()
    lab.sql("UPDATE version_stamp SET number = number + 1 WHERE name = 'keys'")
    assert broken(examined(lab.broker, told)).keys() == {"I9"}
    lab.clock.advance(3600)
    assert broken(examined(lab.broker, told)) == {}


@pytest.mark.parametrize(("status", "retry_after"), [(500, False), (502, True), (503, False), (302, False)])
def test_an_answer_that_no_document_knows_is_found(
    lab: Lab, told: list[Entry], status: int, retry_after: bool
) -> None:
    odd = entry("client_credentials", None, {}, status=status, retry_after=retry_after, line=9)
    assert broken(examined(lab.broker, [*told, odd])).keys() == {"I12"}


@pytest.mark.parametrize("status", [400, 401, 403, 429, 503, None])
def test_refusals_and_silence_are_answers_as_specified(
    lab: Lab, told: list[Entry], status: int | None
) -> None:
    usual = entry("client_credentials", None, {}, status=status, retry_after=True, line=9)
    assert broken(examined(lab.broker, [*told, usual])) == {}


def test_a_journal_that_was_cut_off_is_read_to_its_last_whole_line() -> None:
    line = json.dumps({"asked": "register", "client": "x", "began": 1, "ended": 2, "status": None}) + "\n"
    assert len(read([line, line, line[:20]])) == 2
    with pytest.raises(ValueError, match="Line 2"):
        read([line, "{}\n", line])


def judge(
    books: Books, journal: list[Entry] | None = None, skew: float = 0.0, **changes: object
) -> list[Judged]:
    changed = Books(**{name: changes.get(name, getattr(books, name)) for name in Books.__slots__})
    return check(changed, journal, lambda _: None, skew)


@pytest.fixture
def command(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """`broker invariants` on the lab's database, as an operator runs it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROKER_KEY_ENCRYPTION_KEY", (b"k" * 32).hex())
    monkeypatch.setenv("BROKER_ISSUER", lab.broker.settings.issuer)
    monkeypatch.setenv("BROKER_DATABASE_URL", lab.broker.settings.database)
    return lambda *words: CliRunner().invoke(main, ["invariants", *words])


def test_the_command_tells_people_and_programs(
    command: Callable[..., Result], lab: Lab, tmp_path: Path
) -> None:
    shown = command()
    assert shown.exit_code == 0, shown.output
    assert "I1  ok            Nothing is redeemed twice." in shown.output
    assert "I2  needs journal" in shown.output
    (tmp_path / "journal").write_text("")
    told = json.loads(command("--journal", str(tmp_path / "journal"), "-o", "json").output)
    assert told["status"] == "ok" and {item["status"] for item in told["invariants"]} == {"ok"}


def test_the_command_ends_with_5_when_a_promise_is_broken(
    command: Callable[..., Result], lab: Lab, tmp_path: Path
) -> None:
    entry = {"asked": "register", "client": "x", "began": time.time(), "ended": time.time(), "status": 500}
    (tmp_path / "journal").write_text(json.dumps(entry) + "\n")
    shown = command("--journal", str(tmp_path / "journal"))
    assert shown.exit_code == 5 and "I12 violated" in shown.output and "journal line 1" in shown.output


def test_the_command_refuses_a_journal_that_is_none(command: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("nonsense\n")
    shown = command("--journal", str(tmp_path / "journal"))
    assert shown.exit_code == 1 and "Line 1 of the journal is no entry." in shown.output


def test_what_is_off_is_read_from_the_database(lab: Lab) -> None:
    lab.switch("client", "nightly")
    assert Target(Kind.CLIENT, "nightly") in books_of(lab.broker).denied
