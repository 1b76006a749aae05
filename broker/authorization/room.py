"""OAuth 2.1 section 4.1, RFC 9126, RFC 8628: the front channel as a whole, its verbs wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.authorization.authorize import Authorize
from broker.authorization.choices.choices import Choices
from broker.authorization.consent import Consent
from broker.authorization.device.devices import Devices
from broker.authorization.device.entry import Entry
from broker.authorization.device.start import Start
from broker.authorization.device.user_codes import UserCodes
from broker.authorization.giving import Giving
from broker.authorization.grants import Grants
from broker.authorization.hints import Hints
from broker.authorization.interaction import Interactions
from broker.authorization.logout.departures import Departures
from broker.authorization.logout.notices import LogoutNotices
from broker.authorization.pushed.push import Push
from broker.authorization.pushed.requests import PushedRequests
from broker.authorization.question import Questions
from broker.estate.estate import Estate
from broker.identity.clients.room import Room as Clients
from broker.identity.federation.providers import Providers
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.keys import DoorKeys
from broker.identity.users.people import People
from broker.runtime.egress import Egress
from broker.runtime.world import World
from keys.sealed import KeyEncryptionKey


class Knobs(Protocol):
    """The settings that the room takes."""

    code_lifetime: int
    grant_lifetime: int
    interaction_lifetime: int
    interactions_per_minute: int
    pushed_request_lifetime: int
    pushed_requests_per_minute: int
    device_code_lifetime: int


@dataclass(frozen=True, slots=True)
class Room:
    """What other rooms and faces call."""

    grants: Grants
    hints: Hints
    choices: Choices
    questions: Questions
    interactions: Interactions
    authorize: Authorize
    pushed: PushedRequests
    push: Push
    consent: Consent
    devices: Devices
    device_start: Start
    device_entry: Entry
    departures: Departures
    logout_notices: LogoutNotices


def furnished(
    world: World,
    recorder: Recorder,
    refusals: Refusals,
    egress: Egress,
    kek: KeyEncryptionKey,
    keys: DoorKeys,
    estate: Callable[[], Estate],
    by: Clients,
    people: People,
    sessions: Sessions,
    providers: Providers,
    reachable: Callable[[str], str | None],
    knobs: Knobs,
) -> Room:
    """`by`: who asks; `reachable`: see `Consent`. From now on who signs out is told of at clients."""
    grants, user_codes, hints = Grants(world, recorder), UserCodes.under(kek), Hints(keys)
    logout_notices = LogoutNotices(world, recorder, by.clients, grants, keys, egress)
    sessions.on_sign_out(logout_notices.queue)
    devices, choices = (
        Devices(world, recorder, user_codes),
        Choices(world, recorder, knobs.grant_lifetime),
    )
    questions = Questions(world.clock, by.clients, people, grants, estate, providers.known, devices, choices)
    pushed = PushedRequests(world, knobs.pushed_request_lifetime, knobs.interaction_lifetime)
    interactions = Interactions(
        world, by.clients, grants, pushed, knobs.interaction_lifetime, knobs.interactions_per_minute
    )
    asking = (world, recorder, refusals, by.authenticator, by.clients, by.possession)
    giving = Giving(world, recorder, grants, estate, devices, knobs.code_lifetime, knobs.grant_lifetime)
    return Room(
        grants,
        hints,
        choices,
        questions,
        interactions,
        Authorize(world, refusals, by.clients, by.documents, interactions, pushed, hints, estate),
        pushed,
        Push(*asking, hints, pushed, estate, knobs.pushed_requests_per_minute),
        Consent(
            world, recorder, refusals, interactions, sessions, questions, giving, devices, choices, reachable
        ),
        devices,
        Start(*asking, interactions, user_codes, estate, knobs.device_code_lifetime),
        Entry(world, refusals, interactions, questions, user_codes),
        Departures(refusals, hints, by.clients, sessions),
        logout_notices,
    )
