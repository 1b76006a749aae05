"""AuthZEN 1.0: decisions and what stands beside them, wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.control.approvals.approvals import Approvals
from broker.control.budgets.budgets import Budgets
from broker.control.idempotency.keys import Keys
from broker.control.policy.policies import Policies
from broker.decisions.advise import Advice
from broker.decisions.callers import Callers
from broker.decisions.catalogue.catalogues import Catalogues
from broker.decisions.decide import Decisions
from broker.decisions.judge import Judge
from broker.decisions.outcomes import Outcomes
from broker.decisions.reports import Reports
from broker.estate.estate import Estate
from broker.identity.clients.room import Room as Clients
from broker.identity.tenants.keys import DoorKeys
from broker.identity.users.people import People
from broker.runtime.world import World
from broker.tokens.room import Room as Tokens


class Knobs(Protocol):
    """The settings that the room takes."""

    idempotency_lifetime: int


@dataclass(frozen=True, slots=True)
class Room:
    """What faces and duties call."""

    callers: Callers
    decisions: Decisions
    advice: Advice
    outcomes: Outcomes
    reports: Reports
    keys: Keys
    catalogues: Catalogues


def furnished(
    world: World,
    recorder: Recorder,
    refusals: Refusals,
    estate: Callable[[], Estate],
    by: Clients,
    people: People,
    tokens: Tokens,
    door_keys: DoorKeys,
    policies: Policies,
    budgets: Budgets,
    approvals: Approvals,
    knobs: Knobs,
) -> Room:
    keys = Keys(knobs.idempotency_lifetime)
    judge = Judge(world, estate, tokens.own, tokens.standings, people, policies)
    advice = Advice(world, judge)
    callers = Callers(world, refusals, estate, by.authenticator, by.clients, tokens.own, tokens.standings)
    return Room(
        callers,
        Decisions(world, recorder, judge, advice, keys, budgets, approvals),
        advice,
        Outcomes(world, recorder, keys, budgets),
        Reports(world, recorder, policies),
        keys,
        Catalogues(estate, policies, door_keys, world.clock, callers),
    )
