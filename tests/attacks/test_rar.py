"""RAR: authorization_details of the type mcp_tool_call, at /par, /authorize and /token (RFC 9396)."""

import json
from collections.abc import Callable
from dataclasses import replace
from html import unescape

import pytest
from werkzeug.test import TestResponse

from broker.estate.model import Edge, EdgeConsent, Stage
from tests.lab import (
    CALLBACK,
    CHALLENGE,
    FILES,
    ISSUER,
    NOTES,
    TICKETS,
    Lab,
    Page,
    assert_refused,
    claims,
    landed,
    resources,
    warned,
)

TYPE = "mcp_tool_call"
EVERYTHING = "tickets:read customers:read tickets:write refunds:write"
BOUNDED = {"name": "refund", "arguments": {"amount": {"maximum": 100}, "currency": {"enum": ["EUR", "USD"]}}}


def details(*tools: object, **members: object) -> str:
    return json.dumps([{"type": TYPE, "locations": [TICKETS], "tools": list(tools), **members}])


GOOD = details("search_tickets", BOUNDED)


@pytest.fixture
def desk(lab: Lab) -> Lab:
    """A lab in which these clients may ask for calls."""
    for client_id in ("desk-app", "web-app", "nightly", "tickets-server", "notes-server"):
        lab.put_client(replace(lab.client(client_id), authorization_details_types=(TYPE,)))
    return lab


def at_authorize(lab: Lab, text: str, **changes: str) -> TestResponse:
    return lab.browser().get(
        lab.authorize_url(authorization_details=text, **{"scope": EVERYTHING, **changes})
    )


def at_par(lab: Lab, text: str, **changes: str) -> TestResponse:
    form = {
        "response_type": "code",
        "client_id": "desk-app",
        "redirect_uri": CALLBACK,
        "resource": TICKETS,
        "scope": EVERYTHING,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "authorization_details": text,
        **changes,
    }
    return lab.post("/par", form)


def at_token(lab: Lab, text: str, **changes: str) -> TestResponse:
    return lab.client_credentials("web-app", resource=TICKETS, authorization_details=text, **changes)


def refused_everywhere(lab: Lab, text: str, reason: str, **changes: str) -> None:
    arrived = landed(at_authorize(lab, text, **changes))
    assert arrived["error"] == "invalid_authorization_details" and "code" not in arrived
    assert (arrived["state"], arrived["iss"]) == ("st4te", ISSUER)
    assert lab.last("authorization.refused")["reason"] == reason
    assert_refused(at_par(lab, text, **changes), 400, "invalid_authorization_details")
    lab.refused(at_token(lab, text), 400, "invalid_authorization_details", reason)


def granted(lab: Lab, text: str | None = GOOD, **changes: str | None) -> dict[str, object]:
    """A token response for these details; as if the person had ticked all."""
    return lab.tokens(**{"authorization_details": text, "scope": EVERYTHING, **changes})


def calls(answer: dict[str, object]) -> list[object]:
    """The tools in a token response, which says what its token says."""
    (detail,) = answer["authorization_details"]
    assert claims(answer["access_token"])["authorization_details"] == [detail]
    assert (detail["type"], detail["locations"]) == (TYPE, [TICKETS])
    return detail["tools"]


@pytest.mark.attack("RAR-01")
@pytest.mark.parametrize("text", ["abc", "{}", "[1]", "[{}]", "null", "[]", '"mcp_tool_call"', "[" * 4000])
@pytest.mark.requirement("RFC9396-02")
def test_details_are_an_array_of_typed_objects(desk: Lab, text: str) -> None:
    before = desk.state()
    refused_everywhere(desk, text, "details_malformed")
    assert desk.state() == before
    assert at_token(desk, details("search_tickets")).status_code == 200


@pytest.mark.attack("RAR-01")
def test_an_empty_parameter_is_no_way_to_ask_without_details(desk: Lab) -> None:
    arrived = landed(at_authorize(desk, ""))
    assert arrived["error"] == "invalid_authorization_details"


@pytest.mark.attack("RAR-02")
@pytest.mark.parametrize("kind", ["x", "mcp_tool", "MCP_TOOL_CALL", "openid_credential"])
@pytest.mark.requirement("RFC9396-01")
def test_a_type_that_nobody_defined_is_refused(desk: Lab, kind: str) -> None:
    refused_everywhere(desk, details("search_tickets", type=kind), "details_type_unknown")
    both = json.loads(GOOD) + json.loads(details("search_tickets", type=kind))
    refused_everywhere(desk, json.dumps(both), "details_type_unknown")
    assert at_par(desk, GOOD).status_code == 201


@pytest.mark.attack("RAR-03")
@pytest.mark.parametrize(
    "text",
    [
        details("search_tickets", actions=["call"]),
        details("search_tickets", identifier="x"),
        details(),
        json.dumps([{"type": TYPE, "locations": [TICKETS]}]),
        json.dumps([{"type": TYPE, "tools": ["search_tickets"]}]),
        details({"name": "search_tickets", "arguments": "path=/a"}),
        details({"name": "search_tickets", "arguments": {"path": "/a"}}),
        details({"name": "search_tickets", "arguments": {"path": {"pattern": "/.*"}}}),
        details({"name": "search_tickets", "arguments": {"n": {"maximum": "9"}}}),
        details({"name": "search_tickets", "argument": {}}),
        details("search_tickets", locations=TICKETS),
        details("search_tickets", locations=[TICKETS, NOTES]),
    ],
)
@pytest.mark.requirement("RFC9396-02")
def test_a_member_too_many_missing_or_of_another_type_is_refused(desk: Lab, text: str) -> None:
    refused_everywhere(desk, text, "details_malformed")
    assert at_par(desk, GOOD).status_code == 201


@pytest.mark.attack("RAR-03")
@pytest.mark.parametrize("tool", ["format_disk", "Search_tickets", "search_tickets "])
def test_a_tool_that_the_resource_does_not_have_is_refused(desk: Lab, tool: str) -> None:
    refused_everywhere(desk, details("search_tickets", tool), "details_tool_unknown")
    assert at_par(desk, GOOD).status_code == 201


@pytest.mark.attack("RAR-03")
def test_a_tool_that_the_stage_withholds_is_refused(desk: Lab) -> None:
    desk.change(
        lambda tx: desk.broker.changes.put_resource(tx, replace(resources()[0], stage=Stage.READ_ONLY))
    )
    refused_everywhere(desk, GOOD, "details_tool_unknown", scope="tickets:read")
    assert at_par(desk, details("search_tickets"), scope="tickets:read").status_code == 201


@pytest.mark.attack("RAR-03")
@pytest.mark.parametrize("location", [NOTES, FILES, "tickets", "https://mcp1.example/mcp/x", "javascript:x"])
def test_details_are_about_the_resource_that_the_token_is_for(desk: Lab, location: str) -> None:
    refused_everywhere(desk, details("search_tickets", locations=[location]), "details_resource")


@pytest.mark.attack("RAR-03")
def test_a_resource_may_be_written_as_elsewhere_in_requests_and_is_kept_as_registered(desk: Lab) -> None:
    answer = granted(desk, details("search_tickets", locations=["HTTPS://MCP1.example:443/mcp/"]))
    assert calls(answer) == [{"name": "search_tickets"}]


@pytest.mark.attack("RAR-03")
@pytest.mark.requirement("RFC9396-03")
def test_a_tool_whose_scope_is_not_asked_for_is_refused(desk: Lab) -> None:
    arrived = landed(at_authorize(desk, GOOD, scope="tickets:read"))
    assert (
        arrived["error"] == "invalid_authorization_details"
        and "refunds:write" in arrived["error_description"]
    )
    assert desk.last("authorization.refused")["reason"] == "scope_widened"
    assert at_par(desk, GOOD, scope="tickets:read refunds:write").status_code == 201


@pytest.mark.attack("RAR-04")
@pytest.mark.parametrize("client_id", ["desk-app", "web-app"])
@pytest.mark.requirement("RFC9396-10")
def test_a_client_that_is_not_registered_for_the_type_cannot_use_it(lab: Lab, client_id: str) -> None:
    arrived = landed(at_authorize(lab, GOOD, client_id=client_id))
    assert arrived["error"] == "invalid_authorization_details"
    assert lab.last("authorization.refused")["reason"] == "details_type_not_registered"
    lab.refused(at_token(lab, GOOD), 400, "invalid_authorization_details", "details_type_not_registered")
    lab.put_client(replace(lab.client(client_id), authorization_details_types=(TYPE,)))
    assert (
        b'value="allow"'
        in lab.consent_page(client_id=client_id, authorization_details=GOOD, scope=EVERYTHING).data
    )


@pytest.mark.attack("RAR-04")
@pytest.mark.parametrize("registered", [[TYPE], [TYPE, "payment_initiation"]])
def test_a_client_registers_the_types_that_it_uses(lab: Lab, registered: list[str]) -> None:
    without = lab.register().json
    assert "authorization_details_types" not in without
    arrived = warned(at_authorize(lab, GOOD, client_id=without["client_id"]))
    assert arrived["error"] == "invalid_authorization_details"
    answer = lab.register(authorization_details_types=registered).json
    assert answer["authorization_details_types"] == [TYPE]
    assert b'name="password"' in at_authorize(lab, GOOD, client_id=answer["client_id"]).data
    bad = lab.register(authorization_details_types=TYPE)
    assert (bad.status_code, bad.json["error"]) == (400, "invalid_client_metadata")


WIDER = [
    details("close_ticket"),
    details("search_tickets", "read_customer"),
    details({**BOUNDED, "arguments": {**BOUNDED["arguments"], "amount": {"maximum": 100.01}}}),
    details({**BOUNDED, "arguments": {**BOUNDED["arguments"], "amount": {"minimum": 1}}}),
    details({**BOUNDED, "arguments": {**BOUNDED["arguments"], "amount": {}}}),
    details({**BOUNDED, "arguments": {**BOUNDED["arguments"], "currency": {"const": "GBP"}}}),
    details({**BOUNDED, "arguments": {**BOUNDED["arguments"], "note": {}}}),
    details({**BOUNDED, "arguments": {"amount": {"maximum": 100}}}),
    details("refund"),
]
NARROWER = [
    (details("search_tickets"), [{"name": "search_tickets"}]),
    (details({"name": "search_tickets", "arguments": {}}), [{"name": "search_tickets", "arguments": {}}]),
    (
        details({"name": "refund", "arguments": {"amount": {"const": 1e1}, "currency": {"enum": ["EUR"]}}}),
        [{"name": "refund", "arguments": {"amount": {"const": 10}, "currency": {"const": "EUR"}}}],
    ),
]


@pytest.mark.attack("RAR-05")
@pytest.mark.parametrize("text", WIDER)
@pytest.mark.requirement("RFC9396-05")
def test_a_code_gives_no_other_calls_than_were_allowed_and_is_not_burnt_by_asking(
    desk: Lab, text: str
) -> None:
    code = desk.code(authorization_details=GOOD, scope=EVERYTHING)
    before = desk.state()
    desk.refused(
        desk.redeem(code, authorization_details=text), 400, "invalid_authorization_details", "details_widened"
    )
    assert desk.state() == before
    answer = desk.redeem(code)
    assert answer.status_code == 200
    assert [tool["name"] for tool in calls(answer.json)] == ["search_tickets", "refund"]


@pytest.mark.attack("RAR-05")
@pytest.mark.parametrize(("text", "left"), NARROWER)
@pytest.mark.requirement("RFC9396-06")
def test_a_token_may_be_asked_for_with_fewer_calls(desk: Lab, text: str, left: list[object]) -> None:
    answer = desk.redeem(desk.code(authorization_details=GOOD, scope=EVERYTHING), authorization_details=text)
    assert answer.status_code == 200, answer.json
    assert calls(answer.json) == left
    again = desk.refresh(answer.json["refresh_token"])
    assert [tool["name"] for tool in calls(again.json)] == ["search_tickets", "refund"]


@pytest.mark.attack("RAR-05")
def test_what_was_allowed_without_details_can_be_narrowed_to_calls_within_its_scopes(desk: Lab) -> None:
    code = desk.code(scope="tickets:read refunds:write")
    asked = desk.redeem(code, authorization_details=details("close_ticket"))
    desk.refused(asked, 400, "invalid_authorization_details", "scope_widened")
    answer = desk.redeem(code, authorization_details=details(BOUNDED))
    assert [tool["name"] for tool in calls(answer.json)] == ["refund"]
    assert answer.json["scope"] == "refunds:write"


@pytest.mark.attack("RAR-06")
def test_a_field_that_the_page_did_not_have_changes_nothing(desk: Lab) -> None:
    browser = desk.browser()
    page = Page.of(desk.consent_page(browser=browser, authorization_details=details("search_tickets")))
    assert not page.values("authorization_details")
    arrived = landed(
        browser.submit(page, decision="allow", authorization_details=GOOD, scope=EVERYTHING.split())
    )
    answer = desk.redeem(arrived["code"])
    assert calls(answer.json) == [{"name": "search_tickets"}] and answer.json["scope"] == "tickets:read"


@pytest.mark.attack("RAR-06")
@pytest.mark.parametrize("visit", ["the stored request", "the class of a tool"])
def test_an_answer_to_other_calls_than_those_shown_is_none(desk: Lab, visit: str) -> None:
    browser = desk.browser()
    page = Page.of(
        desk.consent_page(browser=browser, authorization_details=details(BOUNDED), scope=EVERYTHING)
    )
    if visit == "the stored request":
        touched = desk.sql(
            "UPDATE authorization_request SET document = replace(document, '100', '100000') WHERE decided_at IS NULL"
        )
        assert touched == 1
    else:
        tickets = resources()[0]
        graver = tuple(replace(tool, impact=tickets.tools[0].impact) for tool in tickets.tools)
        desk.change(lambda tx: desk.broker.changes.put_resource(tx, replace(tickets, tools=graver)))
    refused = browser.submit(page, decision="allow")
    assert refused.status_code in (400, 403) and desk.rows("access_grant") == 0
    assert "Location" not in refused.headers
    again = browser.get(f"/consent?request={page.values('request')[0]}")
    shown = "100000" if visit == "the stored request" else "calls"
    assert shown in again.get_data(as_text=True)
    assert "code" in landed(browser.allow(again))


@pytest.mark.attack("RAR-06")
def test_a_call_goes_with_its_scope_and_an_answer_without_any_call_is_none(desk: Lab) -> None:
    browser = desk.browser()
    asked = details("read_customer", BOUNDED)
    page = Page.of(
        desk.consent_page(browser=browser, authorization_details=asked, scope="customers:read refunds:write")
    )
    wrong = browser.submit(page, decision="allow", scope="offline_access")
    assert wrong.status_code == 400 and b'id="problem"' in wrong.data and desk.rows("access_grant") == 0
    arrived = landed(browser.submit(page, decision="allow", scope=["customers:read", "offline_access"]))
    answer = desk.redeem(arrived["code"])
    assert calls(answer.json) == [{"name": "read_customer"}] and answer.json["scope"] == "customers:read"


DECEIVING = {
    "markup": ('</code><script>alert(1)</script>"onload=', "&lt;/code&gt;&lt;script&gt;"),
    "bidi override": ("EUR\u202e001\u202c", r"EUR\u202e001\u202c"),
    "zero width": ("pay\u200bpal\u2060\ufeff", r"pay\u200bpal\u2060\ufeff"),
    "blanks": ("a\u00a0\u3000b\u2800\u3164", r"a\u00a0\u3000b\u2800\u3164"),
    "tags": ("safe\U000e0041\U000e0042", r"safe\udb40\udc41\udb40\udc42"),
    "lines": ("one\ntwo\r\n\ttab\u2028three", r"one\ntwo\r\n\ttab\u2028three"),
    "look-alike": ("p\u0430ypal", r"p\u0430ypal"),
    "marks": ("a" + "\u0301" * 40, r"\u0301\u0301"),
    "spaces": ("a    b  ", "a    b  "),
}


@pytest.mark.attack("RAR-09")
@pytest.mark.parametrize("kind", DECEIVING)
@pytest.mark.requirement("RFC9396-11")
def test_values_cannot_deceive_on_the_consent_page(desk: Lab, kind: str) -> None:
    value, shown = DECEIVING[kind]
    asked = details({"name": "refund", "arguments": {"to": {"const": value}, "memo": {"enum": [value, "x"]}}})
    text = desk.consent_page(authorization_details=asked, scope=EVERYTHING).get_data(as_text=True)
    assert text.count(shown if kind == "markup" else shown.replace('"', "&#34;")) >= 2
    assert "<script>" not in text
    start = text.index('id="calls"')
    section = text[start : text.index("</section>", start)]
    for char in unescape(section):
        assert char in "\n " or (char.isprintable() and char not in "\u2800\u3164"), repr(char)


@pytest.mark.attack("RAR-09")
@pytest.mark.requirement("RFC9396-04")
def test_everything_that_is_asked_for_is_on_the_page_and_how_much_there_is_is_bounded(desk: Lab) -> None:
    long = "x" * 900 + "END"
    asked = [{"name": "refund", "arguments": {f"a{i}": {"const": f"{i}{long}"}}} for i in range(3)]
    page = desk.consent_page(authorization_details=details(*asked, "search_tickets"), scope=EVERYTHING)
    text = page.get_data(as_text=True)
    for i in range(3):
        assert f"{i}{long}" in text
    assert text.index("search_tickets") < text.index('value="allow"')
    assert "<details" not in text[text.index('id="calls"') : text.index('value="allow"')]
    for size in (5_000, 100_000):
        body = details({"name": "refund", "arguments": {"a": {"const": "x" * size}}})
        response = at_par(desk, body)
        assert response.status_code in (400, 413), response.get_data(as_text=True)
    many = details(*[{"name": "refund", "arguments": {"a": {"const": f"{i}{long}"}}} for i in range(5)])
    assert_refused(at_par(desk, many), 400, "invalid_authorization_details")


@pytest.mark.attack("RAR-09")
@pytest.mark.requirement("RFC9396-04")
def test_the_page_says_what_a_call_may_be_in_words(desk: Lab) -> None:
    asked = details(
        "search_tickets",
        {"name": "read_customer", "arguments": {}},
        {
            "name": "refund",
            "arguments": {
                "amount": {"minimum": 1, "maximum": 99.5},
                "currency": {"enum": ["EUR", "USD"]},
                "note": {"maxLength": 40},
                "tip": {"maximum": 2},
                "ticket": {"const": "T-1"},
                "urgent": {},
            },
        },
    )
    text = unescape(desk.consent_page(authorization_details=asked, scope=EVERYTHING).get_data(as_text=True))
    for words in (
        "Only these calls",
        "With whatever arguments the app chooses.",
        "Without any arguments.",
        "a number from",
        "one of",
        "a text of at most",
        "a number, at most",
        '"T-1"',
        "anything, or left out",
        "No other arguments.",
        "reads sensitive data",
    ):
        assert words in text, words


TWICE: list[Callable[[str], str]] = [
    lambda text: text.replace('"type"', f'"type": "{TYPE}", "type"', 1),
    lambda text: text.replace('"maximum": 100', '"maximum": 100, "maximum": 1', 1),
    lambda text: text.replace("100", "NaN", 1),
    lambda text: text.replace("100", "Infinity", 1),
    lambda text: text.replace("100", "9007199254740993", 1),
    lambda text: text.replace("100", "1e999", 1),
    lambda text: text.replace("EUR", "\\ud800", 1),
]


@pytest.mark.attack("RAR-11")
@pytest.mark.parametrize("spoil", TWICE)
def test_json_with_two_readings_is_refused(desk: Lab, spoil: Callable[[str], str]) -> None:
    assert spoil(GOOD) != GOOD
    refused_everywhere(desk, spoil(GOOD), "details_malformed")


@pytest.mark.attack("RAR-11")
@pytest.mark.parametrize("spelled", ["100", "100.0", "1e2", "1E+2"])
def test_a_number_is_the_same_however_it_is_spelled(desk: Lab, spelled: str) -> None:
    answer = granted(desk, GOOD.replace("100", spelled))
    assert calls(answer)[1]["arguments"]["amount"] == {"maximum": 100}
    assert "1e2" not in json.dumps(answer) and "100.0" not in json.dumps(answer)
    exact = details({**BOUNDED, "arguments": {**BOUNDED["arguments"], "amount": {"const": 100}}})
    assert desk.refresh(answer["refresh_token"], authorization_details=exact).status_code == 200


@pytest.mark.attack("RAR-12")
@pytest.mark.parametrize("text", WIDER)
@pytest.mark.requirement("RFC9396-05")
def test_a_refresh_gives_no_other_calls_and_does_not_spend_the_token_on_asking(desk: Lab, text: str) -> None:
    answer = granted(desk)
    before = desk.state()
    asked = desk.refresh(answer["refresh_token"], authorization_details=text)
    desk.refused(asked, 400, "invalid_authorization_details", "details_widened")
    assert desk.state() == before
    again = desk.refresh(answer["refresh_token"])
    assert again.status_code == 200 and calls(again.json) == calls(answer)


@pytest.mark.attack("RAR-12")
def test_a_refresh_with_less_scope_has_the_calls_of_that_scope(desk: Lab) -> None:
    answer = granted(desk)
    less = desk.refresh(answer["refresh_token"], scope="tickets:read").json
    assert calls(less) == [{"name": "search_tickets"}] and less["scope"] == "tickets:read"


@pytest.mark.attack("RAR-12")
def test_details_never_fall_away_with_what_they_are_about(desk: Lab) -> None:
    answer = granted(desk, details("read_customer"), scope="customers:read tickets:read")
    tickets = resources()[0]
    fewer = replace(tickets, tools=tuple(tool for tool in tickets.tools if tool.name != "read_customer"))
    desk.change(lambda tx: desk.broker.changes.put_resource(tx, fewer))
    desk.refused(desk.refresh(answer["refresh_token"]), 400, "invalid_grant", "details_empty")
    desk.change(lambda tx: desk.broker.changes.put_resource(tx, tickets))
    assert calls(desk.refresh(answer["refresh_token"]).json) == [{"name": "read_customer"}]


@pytest.mark.attack("RAR-12")
@pytest.mark.requirement("RFC9396-07")
def test_an_exchange_gives_what_the_calls_take_and_says_nothing_of_them_elsewhere(desk: Lab) -> None:
    """The details are about the first server; the one behind it learns neither tools nor arguments."""
    whole = desk.exchange(desk.tokens(scope=EVERYTHING)["access_token"])
    assert whole.json["scope"] == "crm:read crm:write"
    told = desk.exchange(granted(desk, details("search_tickets"))["access_token"])
    assert told.status_code == 200 and told.json["scope"] == "crm:read"
    found = claims(told.json["access_token"])
    assert "authorization_details" not in found and found["restricted_at"] == [TICKETS]
    wider = desk.exchange(granted(desk, details("search_tickets"))["access_token"], scope="crm:write")
    assert_refused(wider, 400, "invalid_scope")


@pytest.mark.attack("RAR-12")
@pytest.mark.parametrize("narrowed", ["at consent", "at the token endpoint"])
def test_no_chain_comes_back_without_its_details(desk: Lab, narrowed: str) -> None:
    """Along edges that go round: tickets, notes, tickets. What was good for some calls is good for no others there."""

    def work(tx: object) -> None:
        back = Edge("notes", "tickets", {"notes:read": ("tickets:read",)}, consent=EdgeConsent.ADMIN, depth=5)
        desk.broker.changes.put_edge(tx, back)

    desk.change(work)

    def there_and_back(token: str) -> TestResponse:
        there = desk.exchange(token, resource=NOTES)
        assert there.status_code == 200, there.json
        return desk.exchange(there.json["access_token"], "notes-server", resource=TICKETS)

    assert there_and_back(desk.tokens(scope=EVERYTHING)["access_token"]).status_code == 200
    if narrowed == "at consent":
        token = granted(desk, details("search_tickets"))["access_token"]
    else:
        code = desk.code(scope=EVERYTHING)
        token = desk.redeem(code, authorization_details=details("search_tickets")).json["access_token"]
    desk.refused(there_and_back(token), 400, "invalid_target", "details_lost")


@pytest.mark.attack("RAR-12")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (details("search_tickets"), "details_resource"),
        (details("list_notes", locations=[NOTES]), "details_tool_unknown"),
    ],
)
def test_an_exchange_with_other_details_is_refused(desk: Lab, text: str, reason: str) -> None:
    token = granted(desk)["access_token"]
    asked = desk.exchange(token, resource=NOTES, authorization_details=text)
    desk.refused(asked, 400, "invalid_authorization_details", reason)
    assert desk.exchange(token, resource=NOTES).status_code == 200


@pytest.mark.attack("RAR-12")
@pytest.mark.requirement("RFC9396-08")
def test_whoever_the_token_is_for_is_told_its_details(desk: Lab) -> None:
    token = granted(desk)["access_token"]
    told = desk.introspect(token).json
    assert told["active"] and told["authorization_details"] == claims(token)["authorization_details"]
    assert desk.introspect(token, "notes-server").json == {"active": False}


@pytest.mark.attack("RAR-12")
def test_consent_to_some_calls_is_remembered_for_those_alone(desk: Lab) -> None:
    browser = desk.browser()

    def asks(text: str | None) -> bool:
        page = desk.consent_page(
            browser=browser, client_id="web-app", authorization_details=text, scope="refunds:write"
        )
        return page.status_code == 200 and b'value="allow"' in page.data

    desk.code("web-app", browser=browser, authorization_details=details(BOUNDED), scope="refunds:write")
    assert not asks(details(BOUNDED))
    narrower = {"amount": {"maximum": 5}, "currency": {"const": "EUR"}}
    assert not asks(details({"name": "refund", "arguments": narrower}))
    assert asks(details("refund")) and asks(None)
    desk.code("web-app", browser=browser, scope="refunds:write")
    assert not asks(details("refund")) and not asks(None)


@pytest.mark.attack("RAR-12")
@pytest.mark.requirement("RFC9396-13")
def test_evidence_names_details_without_the_values_in_them(desk: Lab) -> None:
    asked = {**BOUNDED, "arguments": {"amount": {"maximum": 100}, "to": {"const": "canary-5513"}}}
    granted(desk, details(asked))
    consented, issued = desk.last("consent.granted"), desk.last("token.issued")
    told = consented["change"]["authorization_details"]
    assert told["tools"] == ["refund"] and len(told["sha256"]) == 64
    assert issued["change"]["authorization_details"] == told
    assert "canary-5513" not in json.dumps(desk.facts())


@pytest.mark.requirement("RFC9396-09")
def test_the_metadata_of_server_and_resource_name_the_type(lab: Lab) -> None:
    for path in ("oauth-authorization-server", "oauth-authorization-server/t/acme", "openid-configuration"):
        assert lab.get(f"/.well-known/{path}").json["authorization_details_types_supported"] == [TYPE]
    for resource, types in (("tickets", [TYPE]), ("files", None)):
        document = lab.get(f"/.well-known/oauth-protected-resource/r/{resource}").json
        assert document.get("authorization_details_types_supported") == types


def test_a_request_without_scope_asks_for_what_its_calls_take(desk: Lab) -> None:
    answer = granted(desk, details("refund", "read_customer"), scope=None)
    assert answer["scope"] == "customers:read refunds:write"


def test_scopes_that_no_call_takes_are_not_asked_for(desk: Lab) -> None:
    page = desk.consent_page(authorization_details=details("search_tickets"), scope=EVERYTHING)
    assert b"Read tickets" in page.data and b"Refund customers" not in page.data
    answer = granted(desk, details("search_tickets"), scope="tickets:write")
    assert answer["scope"] == "tickets:read"


def test_a_client_may_have_only_the_scope_that_brings_what_a_call_takes(desk: Lab) -> None:
    desk.put_client(replace(desk.client("desk-app"), scopes=("tickets:write",)))
    answer = granted(desk, details("search_tickets"), scope=None)
    assert answer["scope"] == "tickets:read" and calls(answer) == [{"name": "search_tickets"}]
    assert desk.refresh(answer["refresh_token"]).json["scope"] == "tickets:read"
    beyond = landed(at_authorize(desk, details("refund"), scope="tickets:write"))
    assert beyond["error"] == "invalid_authorization_details"


def test_a_client_narrows_the_token_for_its_own_work(desk: Lab) -> None:
    answer = desk.client_credentials("nightly", authorization_details=details("search_tickets"))
    assert answer.status_code == 200 and calls(answer.json) == [{"name": "search_tickets"}]
    wider = desk.client_credentials("nightly", authorization_details=GOOD)
    desk.refused(wider, 400, "invalid_authorization_details", "scope_widened")


def test_pushed_details_come_to_the_same_page_and_token(desk: Lab) -> None:
    pushed = at_par(desk, GOOD)
    browser = desk.browser()
    page = browser.get(f"/authorize?client_id=desk-app&request_uri={pushed.json['request_uri']}")
    page = browser.sign_in(page)
    assert b"Only these calls" in page.data
    answer = desk.redeem(landed(browser.allow(page))["code"])
    assert [tool["name"] for tool in calls(answer.json)] == ["search_tickets", "refund"]
