"""Whether one exact call may happen: from the catalogue where that is enough, else by a decision of the broker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.guard import elicitation
from broker.guard.catalogue import READ, Catalogue, CatalogueUnavailable, Fetched, Source, Tool
from broker.guard.clock import Clock, unique
from broker.guard.decision import Decisions, Denial, Permit, Question, Unanswered, key_of
from broker.guard.isolation import Slots
from broker.guard.jsonrpc import Message
from broker.guard.outcome import Outcomes
from broker.guard.running import Running
from broker.guard.verifier import VerifiedToken
from broker.protocol import definition, details
from broker.protocol import scope as scope_rules

_LOOKED_AT = frozenset({"name", "arguments", "_meta", "task", "inputResponses"})
"""What a call may consist of, where nothing else than what was decided is called. Answers: to the guard's own page."""


@dataclass(frozen=True, slots=True)
class Way:
    """A call that goes ahead. `running` None: nobody is told of it. `free` is called when it is over."""

    running: Running | None
    timeout: float | None
    free: Callable[[], None] = field(repr=False)


class Control:
    """`decisions` and `outcomes` None: the catalogue is all there is. `hide`: what lacks scope is not listed."""

    def __init__(
        self,
        source: Source,
        clock: Clock,
        decisions: Decisions | None = None,
        outcomes: Outcomes | None = None,
        *,
        hide: bool = True,
    ) -> None:
        self._source, self._clock, self._hide = source, clock, hide
        self._decisions, self._outcomes = decisions, outcomes
        self._slots = Slots()
        self._served: dict[str, str | None] = {}

    @property
    def decides(self) -> bool:
        return self._decisions is not None

    @property
    def catalogue(self) -> Catalogue:
        """That of now; CatalogueUnavailable. May wait for a fetch unless it is `at_hand`."""
        return self._source()

    @property
    def at_hand(self) -> bool:
        return not isinstance(self._source, Fetched) or self._source.at_hand

    @property
    def kept(self) -> Catalogue:
        """As `catalogue`, without waiting for a newer one."""
        return self._source.kept() if isinstance(self._source, Fetched) else self._source()

    def now(self) -> float:
        """In epoch seconds."""
        return self._clock()

    def redacts(self) -> bool:
        """Whether answers of any tool are redacted, as far as is known."""
        try:
            tools = self.catalogue.tools or {}
        except CatalogueUnavailable:
            return True
        return any(tool.obligations.redact for tool in tools.values())

    def flush(self) -> bool:
        """Tell the broker now what became of calls; whether it has it all. Otherwise that is done in the background."""
        return self._outcomes is None or self._outcomes.flush()

    def scopes_for(self, message: Message) -> Sequence[str] | None:
        """The scopes that a message needs; None for a tool that this resource does not list."""
        tools = self.catalogue.tools
        if message.method != "tools/call" or tools is None:
            return ()
        found = tools.get(message.tool) if message.tool is not None else None
        if found is None:
            return None
        # No token can have them above the stage; the decision says so, and records what it would have taken.
        return found.scopes if found.open or not self.decides else ()

    def serves(self, tool: Mapping[str, object]) -> str | None:
        """Note a tool as the server defines it; its digest, None where it has none."""
        name, said, schema = (tool.get(member) for member in ("name", "description", "inputSchema"))
        if not isinstance(name, str) or not isinstance(schema, Mapping):
            return None
        try:
            found = definition.schema_digest(name, said if isinstance(said, str) else None, schema)
        except ValueError:
            found = None
        self._served[name] = found
        return found

    def lists(self, token: VerifiedToken, served: Mapping[str, object]) -> bool:
        """Whether the token may call a tool of the server's list."""
        digest = self.serves(served)
        try:
            catalogue = self.kept
        except CatalogueUnavailable:
            return False
        if catalogue.tools is None:
            return True
        tool = catalogue.tools.get(str(served.get("name")))
        if (
            tool is None
            or tool.changed
            or not tool.open
            or (tool.digest is not None and digest != tool.digest)
        ):
            return False
        if token.details is not None and tool.name not in details.tools(token.details):
            return False
        lacking = scope_rules.missing(token.scopes, tool.scopes, catalogue.implies)
        return not (self._hide and lacking)

    def decide(self, token: VerifiedToken, text: str, message: Message, session: str | None) -> Way | Denial:
        """Whether the call may happen; waits for the broker. Whoever gets a `Way` frees it."""
        try:
            catalogue = self.catalogue
        except CatalogueUnavailable:
            return Denial("unavailable")
        isolation = catalogue.isolation
        if not self._slots.take(isolation.concurrent):
            return Denial("too_many_at_once", {"retry_after": 1})
        try:
            decided = self._decided(catalogue, token, text, message, session)
        except BaseException:
            self._slots.free()
            raise
        if isinstance(decided, Denial):
            self._slots.free()
            return decided
        return Way(decided, isolation.timeout, self._slots.free)

    def _decided(
        self, catalogue: Catalogue, token: VerifiedToken, text: str, message: Message, session: str | None
    ) -> Running | Denial | None:
        if self._decisions is None or self._outcomes is None:
            return None
        tool = (catalogue.tools or {}).get(message.tool or "")
        wrong = unlooked(message, exact=tool is not None and tool.exact)
        if wrong is not None:
            return wrong
        digest = self._served.get(message.tool or "")
        key = key_of(token, message, session, keyed=tool is not None and tool.keyed)
        question = Question(token, text, message, unique(), digest, key)
        after = catalogue.record_after and details.approval(token.details) is None
        if tool is not None and after and tool.by_catalogue and tool.impact == READ:
            answer = _by_catalogue(tool, question)
        else:
            try:
                answer = self._decisions.ask(question)
            except Unanswered:
                return Denial("unavailable")
        if isinstance(answer, Permit):
            return Running(question, answer, self._outcomes.ended, self._clock())
        return answer


def unlooked(message: Message, *, exact: bool) -> Denial | None:
    """Why a call asks for something that no decision can be about. `exact`: what is looked at is all there may be."""
    arguments, responses = message.params.get("arguments"), message.params.get("inputResponses")
    if arguments is not None and not isinstance(arguments, Mapping):
        return Denial("invalid_arguments", {"errors": [{"keyword": "type"}]})
    if message.method != "tools/call" or not exact:
        return None
    beyond = {name for name in message.params if name not in _LOOKED_AT}
    if responses is not None and not (isinstance(responses, Mapping) and set(responses) <= {elicitation.KEY}):
        beyond.add("inputResponses")
    return Denial("beyond", {"members": sorted(beyond)}) if beyond else None


def _by_catalogue(tool: Tool, question: Question) -> Permit | Denial:
    """What the broker would say of a call of a reading tool, whose scopes were looked at before."""
    if not tool.open:
        return Denial("stage")
    if tool.changed or (tool.digest is not None and question.schema_digest not in (None, tool.digest)):
        return Denial("tool_changed")
    return Permit(None, tool.obligations)
