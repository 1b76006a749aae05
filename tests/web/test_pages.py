"""OAuth 2.1 section 7.9, WCAG 2.2: what the pages show, what they never contain, that they are legible."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from broker.web import pages, texts
from broker.web.calls import CallLine, argument
from broker.web.device_pages import DeviceNotice
from broker.web.display import display_host, display_name, display_uri
from broker.web.page import STATIC_BASE, STATIC_VERSION, duration
from tests.web import samples

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=y>"

SIGN_IN = pages.SignInView(
    door_name="Acme Corporation",
    action="/login",
    csrf="token-1",
    fields=(("request", "req-1"),),
    client_name="Desk App",
)
CONSENT = pages.ConsentView(
    action="/consent",
    csrf="token-1",
    request="req-1",
    client_id="desk-app",
    client_name="Desk App",
    client_origin="admin",
    destination_kind="web",
    destination_host="desk.example",
    user_name="Alice Example",
    user_id="alice",
    tenant_name="Acme Corporation",
    resource_name="Ticket desk",
    resource_uri="http://127.0.0.1:9999/mcp",
    scopes=(
        pages.ScopeLine("tickets:read", "Read tickets", "read", optional=False),
        pages.ScopeLine("tickets:write", "Change tickets", "change"),
        pages.ScopeLine("profile", "Know who you are", "other"),
    ),
    duration="5 minutes",
    offline=True,
    stays="90 days",
    downstream=(pages.DownstreamLine("CRM", "https://crm.internal.example", ("Read customers",)),),
    other_account_url="/login?again=1",
    account_url="/account",
)
ERROR = pages.problem(
    "redirect_uri", request_id="req-77", details=(("redirect_uri", "https://evil.example/cb"),)
)
DONE = pages.DoneView(kind="finished")
HOME = pages.HomeView(
    door_name="Acme Corporation",
    issuer="https://tokens.example",
    account="/account",
    links=(("Public keys", "/jwks"),),
)
ASKING = replace(CONSENT, tenant_name=None, tenants=(("acme", "Acme"), ("globex", "Globex")))
MANY = replace(ASKING, tenants=tuple((f"t{n}", f"Tenant {n}") for n in range(9)))

PAGES = {
    "sign in": pages.sign_in(SIGN_IN),
    "sign in again": pages.sign_in(
        replace(SIGN_IN, username="alice", error=texts.say("sign_in.error.wrong"))
    ),
    "consent": pages.consent(CONSENT),
    "consent with radios": pages.consent(ASKING),
    "consent with a choice made before": pages.consent(
        replace(CONSENT, other_tenant_url="/consent?request=req-1&choose=tenant")
    ),
    "consent with another choice": pages.consent(replace(ASKING, chosen_tenant="globex")),
    "consent with a list": pages.consent(replace(MANY, error=texts.say("consent.error.tenant"))),
    "consent for loopback": pages.consent(
        replace(CONSENT, destination_kind="loopback", destination_host="127.0.0.1")
    ),
    "consent for an app": pages.consent(replace(CONSENT, destination_kind="app", destination_host="cursor")),
    "error": pages.error(ERROR),
    "done": pages.done(DONE),
    "home": pages.home(HOME),
    **{name: render(view) for name, (render, view) in samples.VIEWS.items()},
}
FORMS = {name for name in PAGES if name.startswith(("sign in", "consent"))} | samples.FORMS


class Document(HTMLParser):
    """Start tags with their attributes, in order, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, *names: str) -> Iterator[dict[str, str]]:
        return (attributes for tag, attributes in self.tags if tag in names)

    def named(self, name: str) -> list[dict[str, str]]:
        return [a for a in self.all("input", "select", "button") if a.get("name") == name]


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> tuple[str, Document]:
    return request.param, Document(PAGES[request.param])


def test_a_page_is_a_whole_document_with_language_title_and_landmarks(page: tuple[str, Document]) -> None:
    name, document = page
    counts = Counter(tag for tag, _ in document.tags)
    assert PAGES[name].startswith("<!doctype html>")
    assert [h["lang"] for h in document.all("html")] == ["en"]
    assert counts["main"] == counts["h1"] == counts["title"] == counts["header"] == 1
    assert re.search(r"<title>\S.* · MCP token broker</title>", PAGES[name])
    assert any(m.get("name") == "viewport" for m in document.all("meta"))


def test_a_page_with_a_form_has_exactly_one_primary_form_and_others_have_none(
    page: tuple[str, Document],
) -> None:
    name, document = page
    forms = [(f.get("id"), f.get("method")) for f in document.all("form")]
    own = [("sign-out", "post")] if name in samples.VIEWS else []
    assert forms == own + ([("primary", "post")] if name in FORMS else [])


def test_a_page_has_no_script_no_inline_style_and_nothing_from_elsewhere(page: tuple[str, Document]) -> None:
    name, document = page
    scripts = [attributes.get("src") for attributes in document.all("script")]
    assert scripts == ([f"{STATIC_BASE}/passkey.js"] if name in samples.SCRIPTED else [])
    for tag, attributes in document.tags:
        assert tag not in {"style", "iframe", "object", "base"}
        for attribute, value in attributes.items():
            assert attribute != "style" and not attribute.startswith("on")
            if (name, attribute, value) == ("on the way", "href", samples.ELSEWHERE):
                continue
            if attribute in {"href", "src", "action"} and not value.startswith("otpauth://totp/"):
                assert value.startswith("/") and not value.startswith("//")


def test_every_input_that_a_person_fills_has_a_label(page: tuple[str, Document]) -> None:
    name, document = page
    labelled = {label["for"] for label in document.all("label") if "for" in label}
    inside = re.findall(r"<label><input type=\"(?:radio|checkbox)\"", PAGES[name])
    loose = 0
    for field in document.all("input", "select"):
        if field.get("type") == "hidden" or "hidden" in field:
            continue
        loose += field.get("id") not in labelled
    assert loose == len(inside)


def test_ids_are_unique_and_references_to_them_resolve(page: tuple[str, Document]) -> None:
    _, document = page
    ids = [a["id"] for _, a in document.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in document.tags:
        for reference in ("for", "aria-labelledby", "aria-describedby"):
            assert set(attributes.get(reference, "").split()) <= set(ids)


VIEWS = [
    (pages.sign_in, replace(SIGN_IN, error="x")),
    (pages.consent, CONSENT),
    (pages.consent, ASKING),
    (pages.consent, MANY),
    (pages.error, ERROR),
    (pages.home, HOME),
]


def poisoned(view: object) -> Iterator[tuple[str, object]]:
    """The view again and again, each time with one text field that is hostile."""
    closed = {"client_origin", "destination_kind", "lang"}
    hostile = {
        "scopes": (pages.ScopeLine(EVIL, EVIL, "read"), pages.ScopeLine(EVIL, "", "read", optional=False)),
        "tenants": ((EVIL, EVIL),) * len(getattr(view, "tenants", ())),
        "downstream": (pages.DownstreamLine(EVIL, EVIL, (EVIL,)),),
        "details": ((EVIL, EVIL),),
        "links": ((EVIL, EVIL),),
        "fields": ((EVIL, EVIL),),
        "providers": ((EVIL, EVIL),),
        "passkey": pages.PasskeyForm("get", EVIL, EVIL, EVIL, ((EVIL, EVIL),)),
        "device": DeviceNotice(EVIL, 0.0, EVIL, EVIL),
        "calls": (CallLine(EVIL, "read", (argument(EVIL, {"enum": [EVIL]}),)),),
    }
    for field in fields(view):  # type: ignore[arg-type]  # every view is a dataclass
        value = getattr(view, field.name)
        if field.name not in closed and not isinstance(value, bool):
            yield field.name, replace(view, **{field.name: hostile.get(field.name, EVIL)})  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("render", "view"),
    [pytest.param(r, v, id=f"{r.__name__}-{n}-{f}") for n, (r, w) in enumerate(VIEWS) for f, v in poisoned(w)]
    + [
        pytest.param(r, v, id=f"{n}-{f}")
        for n, (r, w) in samples.VIEWS.items()
        for f, v in samples.poisoned(w, EVIL)
    ],
)
def test_markup_in_any_text_field_is_shown_as_text(render: object, view: object) -> None:
    html = render(view)  # type: ignore[operator]  # paired with its view above
    html = html.replace(f'<script src="{STATIC_BASE}/passkey.js" defer></script>', "")
    document = Document(html)
    assert "<script" not in html and EVIL not in html
    assert not any("onerror" in attributes or tag == "script" for tag, attributes in document.tags)
    assert len(list(document.all("img"))) == 1


def test_sign_in_has_the_fields_of_the_contract() -> None:
    document = Document(PAGES["sign in"])
    names = {a["name"]: a for a in document.all("input")}
    assert set(names) == {"csrf", "request", "username", "password"}
    assert (names["csrf"]["value"], names["request"]["value"]) == ("token-1", "req-1")
    assert names["username"]["autocomplete"] == "username"
    assert (names["password"]["type"], names["password"]["autocomplete"]) == ("password", "current-password")
    assert "value" not in names["password"]


def test_a_failed_sign_in_is_announced_and_the_first_one_is_not() -> None:
    again, first = Document(PAGES["sign in again"]), Document(PAGES["sign in"])
    assert [a["id"] for _, a in again.tags if a.get("role") == "alert"] == ["problem"]
    assert again.named("username")[0]["value"] == "alice"
    assert "<title>Error: " in PAGES["sign in again"]
    assert not [a for _, a in first.tags if a.get("role") == "alert"]


def test_consent_offers_allow_and_deny_as_equal_buttons() -> None:
    buttons = Document(PAGES["consent"]).named("decision")
    assert [b["value"] for b in buttons] == ["deny", "allow"]
    assert all(b["type"] == "submit" for b in buttons)


def test_deny_needs_no_choice_of_tenant_and_allow_does() -> None:
    document = Document(PAGES["consent with radios"])
    deny, allow = document.named("decision")
    assert "formnovalidate" in deny and "formnovalidate" not in allow
    assert all("required" in radio for radio in document.named("tenant"))


def test_consent_has_a_ticked_box_per_optional_scope_and_none_for_required_ones() -> None:
    boxes = Document(PAGES["consent"]).named("scope")
    assert [b["value"] for b in boxes] == ["tickets:write", "profile", "offline_access"]
    assert all("checked" in b and b["type"] == "checkbox" for b in boxes)
    assert "tickets:read" in Document(PAGES["consent"]).text


def test_offline_access_is_asked_only_when_requested() -> None:
    document = Document(pages.consent(replace(CONSENT, offline=False)))
    assert "offline_access" not in [b["value"] for b in document.named("scope")]
    assert "Access lasts 5 minutes." in document.text


def test_scopes_are_grouped_by_what_they_do() -> None:
    legends = re.findall(r"<legend>(.*?)</legend>", PAGES["consent"])
    assert legends == ["Read", "Change", "Other"]
    only_reading = pages.consent(replace(CONSENT, scopes=CONSENT.scopes[:1]))
    assert re.findall(r"<legend>(.*?)</legend>", only_reading) == ["Read"]


@pytest.mark.parametrize(("view", "tag"), [(ASKING, "input"), (MANY, "select")])
def test_the_root_door_asks_for_the_tenant_and_picks_none_itself(view: pages.ConsentView, tag: str) -> None:
    document = Document(pages.consent(view))
    choices = [a for a in document.all(tag) if a.get("name") == "tenant"]
    assert choices and all("required" in a and "checked" not in a for a in choices)
    assert not any("selected" in o for o in document.all("option"))
    offered = [o["value"] for o in document.all("option") if o["value"]] or [a["value"] for a in choices]
    assert offered == [tenant for tenant, _ in view.tenants]


@pytest.mark.parametrize(("view", "tag"), [(ASKING, "input"), (MANY, "option")])
def test_whoever_chooses_anew_sees_what_they_chose_before(view: pages.ConsentView, tag: str) -> None:
    chosen = view.tenants[1][0]
    document = Document(pages.consent(replace(view, chosen_tenant=chosen)))
    marked = [a["value"] for a in document.all(tag) if {"checked", "selected"} & set(a)]
    assert [value for value in marked if value in dict(view.tenants)] == [chosen]


def test_a_tenant_that_was_chosen_before_is_shown_with_a_way_to_choose_anew() -> None:
    document = Document(PAGES["consent with a choice made before"])
    assert not document.named("tenant") and "Acme Corporation" in document.text
    assert "/consent?request=req-1&choose=tenant" in [a.get("href") for a in document.all("a")]
    assert "choose=tenant" not in str(PAGES["consent"])


def test_a_known_tenant_is_shown_and_not_asked() -> None:
    document = Document(PAGES["consent"])
    assert not document.named("tenant") and "Acme Corporation" in document.text


def test_the_destination_is_named_for_web_loopback_and_app() -> None:
    web, loopback, app = (
        Document(PAGES[n]).text for n in ("consent", "consent for loopback", "consent for an app")
    )
    assert all("Credentials will be sent to" in text for text in (web, loopback, app))
    assert "desk.example" in web and "just started this" not in web
    assert "an app on this computer (127.0.0.1)" in loopback
    assert "Only continue if you just started this from an app on this computer." in loopback
    assert "an app on this device (cursor:)" in app and "claim cursor: links" in app


def test_a_name_that_the_client_gave_itself_is_quoted_and_called_unverified() -> None:
    view = replace(CONSENT, client_origin="dynamic", client_name='Desk" (approved) "')
    text = Document(pages.consent(view)).text
    assert "“Desk’ (approved) ’”" in text and "unverified" in text
    assert "unverified" not in Document(PAGES["consent"]).text


def test_a_client_without_a_name_is_called_so() -> None:
    for nameless in ("", " \n ", "\u3000"):
        assert (
            "An app without a name wants to use"
            in Document(pages.consent(replace(CONSENT, client_name=nameless, client_origin="dynamic"))).text
        )


def test_consent_tells_the_first_time_from_an_extension() -> None:
    one = replace(CONSENT.scopes[0], already=True)
    again = replace(CONSENT, scopes=(one, *CONSENT.scopes[1:]), allowed_on="3 October")
    assert "first time" in Document(PAGES["consent"]).text
    assert "Adds 2 permissions to what you allowed on 3 October." in Document(pages.consent(again)).text
    assert "Nothing is added." in Document(pages.consent(replace(again, scopes=(one,)))).text


def test_what_an_extension_adds_is_marked_and_nothing_is_the_first_time() -> None:
    one = replace(CONSENT.scopes[0], already=True)
    again = pages.consent(replace(CONSENT, scopes=(one, *CONSENT.scopes[1:]), allowed_on="3 October"))
    marks = re.findall(r'<span class="(tag|tag new)">(allowed before|new)</span>', again)
    assert marks == [("tag", "allowed before"), *[("tag new", "new")] * (len(CONSENT.scopes) - 1)]
    assert not re.search(r"tag new|>new<|allowed before", PAGES["consent"])


def test_the_error_page_shows_details_and_links_nowhere() -> None:
    document = Document(PAGES["error"])
    assert not list(document.all("a")) and not list(document.all("form"))
    assert "https://evil.example/cb" in document.text and "req-77" in document.text
    assert list(document.all("details"))


@pytest.mark.parametrize("kind", pages.Problem.__args__)
def test_every_problem_says_what_happened_and_what_to_do(kind: pages.Problem) -> None:
    view = pages.problem(kind, request_id="r")
    assert view.title and view.what and view.fix
    assert "What to do" in pages.error(view)


@pytest.mark.parametrize("kind", ["signed_out", "finished", "extended"])
def test_every_end_has_its_page(kind: str) -> None:
    assert texts.ENGLISH[f"done.{kind}.title"] in pages.done(replace(DONE, kind=kind))  # type: ignore[arg-type]


@pytest.mark.attack("CONSENT-11")
def test_a_client_name_cannot_turn_break_or_flood_the_page() -> None:
    name = "Good\u202eelgooG\u2066\nApproved\r\n" + "A" * 300
    html = pages.consent(
        replace(CONSENT, client_origin="dynamic", client_name=name, destination_host="аpple.example")
    )
    heading = re.search(r"<h1[^>]*>(.*?)</h1>", html, re.DOTALL)
    assert heading
    shown = re.search(r"<bdi>“(.*?)”</bdi>", heading[1])
    assert shown and shown[1] == "Good\ufffdelgooG\ufffd Approved " + "A" * 58 + "…"
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]", html)
    assert "xn--pple-43d.example" in html and "аpple" not in html


@pytest.mark.attack("CONSENT-11")
@pytest.mark.parametrize("name", ["Desk App", "שולחן עבודה", "Büro-Helfer", "工单助手", "เดสก์"])
def test_an_honest_client_name_is_shown_as_it_is(name: str) -> None:
    assert display_name(name) == name
    assert f"<bdi>“{name}”</bdi>" in pages.consent(
        replace(CONSENT, client_origin="dynamic", client_name=name)
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\u2028c\x0bd", "a b c d"),
        ("a\x00b\x1bc\x7f", "a\ufffdb\ufffdc\ufffd"),
        ("zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd"),
        ("\u3164\u2800", "\ufffd\ufffd"),
        ("lone\ud800", "lone\ufffd"),
        ("e" + "\u0301" * 50, "e" + "\u0301" * 3),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 80 + "…"),
        ("  padded  ", "padded"),
    ],
)
def test_a_display_name_is_one_line_of_visible_characters(text: str, shown: str) -> None:
    assert display_name(text) == shown


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("Desk.Example:8443", "desk.example:8443"),
        ("[::1]:80", "[::1]:80"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("good.example。evil.example", "good.example.evil.example"),
        ("good.example@evil.example", "good.example%40evil.example"),
        ("a b\n<", "a%20b%0A%3C"),
        ("com.example.app", "com.example.app"),
    ],
)
def test_a_host_is_shown_in_ascii(host: str, shown: str) -> None:
    assert display_host(host) == shown


def test_a_uri_is_shown_in_ascii_with_its_host_in_punycode() -> None:
    assert display_uri("https://bücher.example/ü?a=1#b") == "https://xn--bcher-kva.example/%C3%BC?a=1#b"
    assert display_uri("http://127.0.0.1:9999/mcp") == "http://127.0.0.1:9999/mcp"
    assert display_uri("urn:example:\u202etickets") == "urn:example:%E2%80%AEtickets"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (90, "90 seconds"),
        (300, "5 minutes"),
        (3600, "1 hour"),
        (7776000, "90 days"),
    ],
)
def test_a_duration_is_said_in_the_largest_unit_that_divides_it(seconds: int, words: str) -> None:
    assert duration(seconds) == words


def test_an_unknown_language_falls_back_to_english_and_the_page_says_so() -> None:
    assert texts.choose("en-GB") == "en" and texts.choose("tlh") == "en"
    assert '<html lang="en">' in pages.sign_in(replace(SIGN_IN, lang='tlh"><script>'))


def test_every_text_is_used_and_every_text_that_is_used_is_there() -> None:
    web = Path(str(files("broker.web")))
    templates = "".join(file.read_text("utf-8") for file in sorted(web.joinpath("templates").iterdir()))
    modules = [file for file in web.parent.rglob("*.py") if file.parent.name != "english"]
    used = templates + "".join(file.read_text("utf-8") for file in modules)
    beginnings = set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)*\.)(?:" ~|\{)', used))
    assert {"problem.", "done.", "consent.adds."} <= beginnings
    unused = {
        key
        for key in texts.ENGLISH
        if f'"{key}"' not in used and not any(key.startswith(beginning) for beginning in beginnings)
    }
    assert unused == set()
    asked = set(re.findall(r't\("([a-z_.]*[a-z_])"[,)]', templates))
    assert asked <= set(texts.ENGLISH)


def test_the_static_version_names_the_bytes_of_the_static_files() -> None:
    assert re.fullmatch("[0-9a-f]{12}", STATIC_VERSION)
    assert f'href="/static/{STATIC_VERSION}/broker.css"' in PAGES["done"]
    assert 'href="/elsewhere/broker.css"' in pages.done(replace(DONE, static_base="/elsewhere"))


SHEET = Path(str(files("broker.web").joinpath("static/broker.css"))).read_text()
LIGHT = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", SHEET.split("@media")[0]))
DARK = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", SHEET.split("@media")[1]))


def luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TEXT_ON_GROUND = [
    *(
        (ink, ground)
        for ink in ("ink", "soft", "accent", "accent-strong")
        for ground in ("ground", "card", "well")
    ),
    *(("on-accent", ground) for ground in ("accent", "accent-strong")),
    *((kind, f"{kind}-ground") for kind in ("good", "caution", "bad")),
    ("ink", "caution-ground"),
    ("caution", "card"),
    ("good", "card"),
]
SHAPE_ON_GROUND = [("edge", "card"), ("accent", "card"), ("accent", "ground"), ("bad", "card")]


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_reaches_aa_contrast_and_controls_three_to_one(palette: dict[str, str]) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    weak = {p: contrast(palette[p[0]], palette[p[1]]) for p in TEXT_ON_GROUND}
    assert {p: c for p, c in weak.items() if c < 4.5} == {}
    shapes = {p: contrast(palette[p[0]], palette[p[1]]) for p in SHAPE_ON_GROUND}
    assert {p: c for p, c in shapes.items() if c < 3} == {}


def test_the_sheet_loads_nothing_and_uses_colours_only_by_name() -> None:
    assert not re.search(r"url\(|@import|@font-face", SHEET)
    rules = SHEET.split("*, *::before", 1)[1]
    assert not re.search(r"#[0-9a-f]{3,6}\b", rules)
    assert set(LIGHT) == set(DARK) and set(re.findall(r"var\(--([a-z-]+)\)", SHEET)) <= {*LIGHT, "shadow"}
