"""The verbs of the room: a verdict on an act, a ceiling for a mint, the reasons of both; and the texts kept."""

from collections.abc import Iterable
from dataclasses import dataclass

from broker.control import classes
from broker.control.model import Act, Actor, Demand, Person, Verdict
from broker.control.policy import question, reading, store
from broker.control.policy.arguments import Unsayable
from broker.control.policy.model import CALL, OBTAIN, SERVER, Policy, PolicyText, Weighed
from broker.control.policy.question import Asker
from broker.control.policy.rules import Rules, both
from broker.control.policy.schema import tool_id
from broker.estate import rules as estate_rules
from broker.estate.model import ApprovalRule, Resource
from broker.runtime.database import Database, Transaction, bump
from broker.runtime.world import World

STAMP = "policies"
_ANYBODY = ApprovalRule((classes.APPROVER,))


@dataclass(frozen=True, slots=True)
class Explained:
    """A verdict with every policy that had a part in it."""

    verdict: Verdict
    weighed: Weighed
    policies: tuple[Policy, ...]


class Sets:
    """The rules of each tenant, made of these texts when they are first asked for.

    A text that nobody can read permits nothing to whom it is for.
    """

    def __init__(self, texts: Iterable[PolicyText]) -> None:
        self._texts = {text.tenant: text.text for text in texts}
        self._made: dict[str, Rules] = {}

    def of(self, tenant: str) -> Rules:
        whose = tenant if tenant in self._texts else SERVER
        made = self._made.get(whose)
        if made is None:
            made = self._made[whose] = self._make(dict.fromkeys((SERVER, whose)))
        return made

    def serving(self, resource: Resource) -> list[Rules]:
        """Those of every tenant that it works for, as far as it has a text of its own, and of all others."""
        return [self.of(name) for name in {SERVER, *filter(resource.serves, self._texts)}]

    def _make(self, names: Iterable[str]) -> Rules:
        try:
            own = [policy for name in names for policy in reading.read(self._texts.get(name, ""), name)]
            return Rules([*reading.built_in(), *own])
        except ValueError:
            return Rules(reading.built_in(), "the policies cannot be read")


class Policies:
    def __init__(self, world: World) -> None:
        self._world = world
        self._sets = world.snapshots.of(STAMP, lambda tx: Sets(store.every(tx)))

    def judge(self, act: Act, now: float, action: str = CALL) -> Verdict:
        """What policy says of `act`, asked by the method `action`; what it asks for is not looked for here."""
        return verdict(act, weighed(self.rules(act.tenant), act, now, action))

    def rules(self, tenant: str) -> Rules:
        """What acts within this tenant are judged by."""
        return self._sets.get().of(tenant)

    def unspoken(self, resource: Resource) -> frozenset[str]:
        """The names of its tools about whose calls no policy but the built-in ones says anything, for any tenant."""
        rules = self._sets.get().serving(resource)
        return frozenset(
            tool.name
            for tool in resource.tools
            if not any(one.own(CALL, tool_id(resource, tool)) for one in rules)
        )

    def on_mint(self, tenant: str) -> bool:
        """Whether any policy is about mints: where none is, nobody need ask for the ceiling."""
        return self.rules(tenant).on_mint

    def ceiling(
        self,
        subject: Person,
        client_id: str,
        tenant: str,
        resource: Resource,
        scopes: tuple[str, ...],
        actor: Actor | None,
        now: float,
        *,
        acr: str | None = None,
        auth_time: float | None = None,
    ) -> tuple[str, ...]:
        """Those of `scopes`, and of what they imply, that a token may carry: `scopes` itself where all of them are."""
        rules = self.rules(tenant)
        asker = Asker(subject, client_id, tenant, resource, actor, acr, auth_time)
        wanted = tuple(dict.fromkeys((*scopes, *estate_rules.expanded(resource, scopes))))
        good = {scope for scope in wanted if _obtains(rules, asker, scope, now)}
        if good.issuperset(wanted):
            return scopes
        return tuple(
            scope
            for scope in wanted
            if scope in good and good.issuperset(estate_rules.expanded(resource, [scope]))
        )

    def texts(self, tx: Transaction) -> list[PolicyText]:
        """What is kept, behind the wall of `tx`."""
        return store.every(tx)

    def put(self, tx: Transaction, text: PolicyText) -> None:
        """Keep it in place of what there was; every process reads it anew once `tx` commits."""
        store.put(tx, text.tenant, text.text, self._world.clock.now())
        bump(tx, STAMP)

    def remove(self, tx: Transaction, tenant: str) -> bool:
        removed = store.remove(tx, tenant)
        bump(tx, STAMP)
        return removed


def weighed(rules: Rules, act: Act, now: float, action: str = CALL) -> Weighed:
    """What these rules say of an act; where the catalogue has an entry for the method `action`, of it as a call too."""
    found = _weighed(rules, act, now, action)
    if action == CALL or all(tool is not act.tool for tool in act.resource.tools):
        return found
    called = _weighed(rules, act, now, CALL)
    return (
        both(called, found) if called.permitted and found.permitted else found if called.permitted else called
    )


def _weighed(rules: Rules, act: Act, now: float, action: str) -> Weighed:
    looks = rules.looks(*((CALL, tool_id(act.resource, act.tool)) if action == CALL else (action,)))
    try:
        return rules.weigh(question.of_act(act, action, now, looks), now)
    except Unsayable as error:
        return Weighed(error=str(error))
    except (ValueError, LookupError):
        return Weighed(error="the question cannot be asked")


def verdict(act: Act, weighed: Weighed) -> Verdict:
    """What comes of that: no, yes, or yes once somebody allowed it."""
    if not weighed.permitted:
        return Verdict(False, weighed.forbids, error=weighed.error)
    because = (*weighed.permits, *weighed.relaxed)
    if not weighed.asks:
        return Verdict(True, because)
    rule = classes.rule(act.tool, user=act.subject.attended) or _ANYBODY
    return Verdict(True, because, Demand(rule, weighed.asks))


def explained(rules: Rules, act: Act, now: float, action: str = CALL) -> Explained:
    """The verdict, with the policies that said so."""
    found = weighed(rules, act, now, action)
    named = (*found.permits, *found.forbids, *found.asks, *found.relaxed)
    return Explained(verdict(act, found), found, tuple(rules.policies[name] for name in dict.fromkeys(named)))


def every(database: Database) -> list[PolicyText]:
    """All texts, for whoever has a database and no rooms."""
    return database.read(store.every)


def _obtains(rules: Rules, asker: Asker, scope: str, now: float) -> bool:
    try:
        return rules.weigh(question.of_mint(asker, OBTAIN, scope, now, rules.looks(OBTAIN)), now).permitted
    except ValueError:
        return False
