"""MCP elicitation in URL mode: how a client is told that a person has to allow something first."""

import asyncio
import json

import pytest

from broker.guard.elicitation import KEY, URL_ELICITATION_REQUIRED, Interaction, offered
from broker.guard.exchange import ExchangeRefused

PAGE = "https://as.example/t/acme/connections/github"


def refused(url: str | None = PAGE) -> ExchangeRefused:
    return ExchangeRefused("interaction_required", "connect it", url)


@pytest.mark.requirement("ELICIT-03")
def test_the_error_names_one_page_to_open_and_nothing_of_the_user() -> None:
    interaction = Interaction.of(refused(), "Connect GitHub.")
    assert interaction is not None
    error = json.loads(json.dumps(interaction.error()))
    (asked,) = error["data"].pop("elicitations")
    assert error == {"code": URL_ELICITATION_REQUIRED, "message": "Connect GitHub.", "data": {}}
    assert len(asked.pop("elicitationId")) >= 16
    assert asked == {"mode": "url", "url": PAGE, "message": "Connect GitHub."}
    again = interaction.error()["data"]["elicitations"][0]["elicitationId"]
    assert again != interaction.error()["data"]["elicitations"][0]["elicitationId"]


@pytest.mark.requirement("ELICIT-02")
def test_the_result_asks_for_the_same_as_input() -> None:
    interaction = Interaction.of(refused())
    assert interaction is not None and json.loads(json.dumps(interaction.result())) == {
        "resultType": "input_required",
        "inputRequests": {
            KEY: {
                "method": "elicitation/create",
                "params": {"mode": "url", "url": PAGE, "message": interaction.message},
            }
        },
    }
    assert PAGE in interaction.words()


@pytest.mark.parametrize(
    "url", [PAGE, "http://127.0.0.1:8400/connections/github", "https://as.example/x?a=b"]
)
def test_a_page_over_https_or_on_this_machine_can_be_opened(url: str) -> None:
    assert Interaction.of(refused(url)) is not None


@pytest.mark.requirement("ELICIT-08")
@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://as.example/connections",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://user@as.example/",
        "https:///connections",
        "https://as.example/a b",
        "https://as.example/\n",
        "https://äs.example/",
        "https://[::1/",
        "https://as.example/" + "a" * 2048,
    ],
)
def test_anything_else_is_handed_to_nobody(url: str | None) -> None:
    assert Interaction.of(refused(url)) is None


@pytest.mark.requirement("ELICIT-01")
@pytest.mark.parametrize(
    ("capabilities", "offers"),
    [
        ({"elicitation": {"url": {}}}, True),
        ({"elicitation": {"form": {}, "url": {}}}, True),
        ({"elicitation": {"form": {}}}, False),
        ({"elicitation": {}}, False),  # means forms alone
        ({"elicitation": {"url": True}}, False),
        ({"elicitation": []}, False),
        ({}, False),
        (None, False),
    ],
)
def test_pages_are_offered_to_clients_that_say_that_they_open_them(
    capabilities: object, offers: bool
) -> None:
    assert offered(capabilities) is offers


class Desk:
    """An MCP server of the official SDK with one tool, whose exchange is refused until somebody connected."""

    def __init__(self, url: str | None = PAGE) -> None:
        pytest.importorskip("mcp", reason="the official MCP SDK is not installed")
        from mcp.server.mcpserver import Context, MCPServer
        from mcp_types import InputRequiredResult

        from broker.guard.mcp_sdk import ask_user

        self.connected, self.server = False, MCPServer("Desk")

        @self.server.tool()
        async def list_issues(text: str, context: Context) -> list[str] | InputRequiredResult:
            try:
                self.exchange(url)
            except ExchangeRefused as wanting:
                return ask_user(wanting, context, "Connect GitHub.")
            return [f"issue about {text}"]

    def exchange(self, url: str | None) -> None:
        if not self.connected:
            raise refused(url)

    def call(self, mode: str, answer: str | None = "accept") -> tuple[object, list[object]]:
        """What a client gets, and what its user was asked; `answer` None: the client cannot ask."""
        from mcp import Client
        from mcp_types import ElicitResult

        asked: list[object] = []

        async def person(_: object, wanted: object) -> ElicitResult:
            asked.append(wanted)
            self.connected = answer == "accept"
            return ElicitResult(action=answer)

        async def run() -> object:
            callback = person if answer else None
            async with Client(self.server, mode=mode, elicitation_callback=callback) as client:
                return await client.call_tool("list_issues", {"text": "x"})

        return asyncio.run(run()), asked


def test_a_client_of_today_asks_its_user_and_calls_again() -> None:
    desk = Desk()
    result, (asked,) = desk.call("2026-07-28")
    assert (asked.mode, asked.url, asked.message) == ("url", PAGE, "Connect GitHub.")
    assert not result.is_error and result.structured_content == {"result": ["issue about x"]}


@pytest.mark.requirement("ELICIT-04")
@pytest.mark.parametrize("answer", ["decline", "cancel"])
def test_a_user_who_says_no_is_not_asked_again(answer: str) -> None:
    result, asked = Desk().call("2026-07-28", answer)
    assert len(asked) == 1 and result.is_error and "did not allow" in result.content[0].text


def test_a_client_of_the_revision_before_gets_the_error() -> None:
    from mcp.shared.exceptions import UrlElicitationRequiredError

    desk = Desk()
    with pytest.raises(BaseExceptionGroup) as caught:
        desk.call("legacy")
    (error,) = _leaves(caught.value)
    (asked,) = UrlElicitationRequiredError.from_error(error.error).elicitations
    assert (asked.url, asked.message, bool(asked.elicitation_id)) == (PAGE, "Connect GitHub.", True)


@pytest.mark.requirement("ELICIT-01")
@pytest.mark.requirement("ELICIT-04")
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_a_client_that_opens_no_pages_is_told_in_words(mode: str) -> None:
    result, asked = Desk().call(mode, None)
    assert asked == [] and result.is_error and PAGE in result.content[0].text


@pytest.mark.parametrize("url", [None, "javascript:alert(1)"])
def test_what_no_user_can_help_with_stays_an_error(url: str | None) -> None:
    result, asked = Desk(url).call("2026-07-28")
    assert asked == [] and result.is_error and "javascript" not in result.content[0].text


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]
