"""OAuth 2.1 section 3.2: the token endpoint and what stands beside it, wired to each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.authorization.room import Room as Front
from broker.control.approvals.asking import Asking
from broker.control.budgets.budgets import Budgets
from broker.control.policy.policies import Policies
from broker.estate.estate import Estate
from broker.identity.clients.room import Room as Clients
from broker.identity.federation.trusted.room import TrustedRoom
from broker.identity.sessions.sessions import Sessions
from broker.identity.tenants.keys import DoorKeys
from broker.identity.users.people import People
from broker.runtime.world import World
from broker.tokens.assembly import grant_types
from broker.tokens.caps import Caps
from broker.tokens.carried import Carried
from broker.tokens.ceiling import Ceiling
from broker.tokens.families import Families
from broker.tokens.introspect import Introspection
from broker.tokens.pipeline import Pipeline
from broker.tokens.revoke import Revocation
from broker.tokens.standing import Standings
from broker.tokens.userinfo.tell import UserInfo
from broker.tokens.verified import OwnTokens
from broker.vault.room import Room as Vault
from keys.sealed import KeyEncryptionKey


class Knobs(Protocol):
    """The settings that the room takes."""

    refresh_grace: int
    refresh_lifetime: int
    refresh_rotation_confidential: bool
    inactive_introspections_per_minute: int
    dpop_nonces: bool
    tokens_per_grant_per_minute: int
    exchanges_per_txn: int


@dataclass(frozen=True, slots=True)
class Room:
    """What other rooms and faces call."""

    families: Families
    pipeline: Pipeline
    introspection: Introspection
    revocation: Revocation
    userinfo: UserInfo
    own: OwnTokens
    standings: Standings


def furnished(
    world: World,
    recorder: Recorder,
    refusals: Refusals,
    kek: KeyEncryptionKey,
    keys: DoorKeys,
    estate: Callable[[], Estate],
    by: Clients,
    people: People,
    sessions: Sessions,
    trusted: TrustedRoom,
    front: Front,
    vault: Vault,
    policies: Policies,
    budgets: Budgets,
    approvals: Asking,
    knobs: Knobs,
) -> Room:
    """`by`: who asks; `front`: what people allowed."""
    grants = front.grants
    families = Families(
        kek.derive("refresh"),
        world.entropy,
        knobs.refresh_grace,
        knobs.refresh_lifetime,
        knobs.refresh_rotation_confidential,
    )
    own_tokens = OwnTokens(world, keys, estate)
    standings = Standings(grants, people, sessions)
    pipeline = Pipeline(
        world,
        recorder,
        refusals,
        estate,
        by.authenticator,
        by.clients,
        grants,
        families,
        keys,
        by.possession,
        vault,
        Ceiling(policies, people),
        Caps(world.ephemeral, budgets, knobs.tokens_per_grant_per_minute, knobs.exchanges_per_txn),
        Carried(approvals),
        grant_types(
            world, own_tokens, front.hints, by.keys, grants, people, families, sessions, trusted, standings
        ),
    )
    nonces = by.nonces if knobs.dpop_nonces else None
    return Room(
        families,
        pipeline,
        Introspection(
            world,
            refusals,
            estate,
            by.authenticator,
            own_tokens,
            standings,
            keys,
            knobs.inactive_introspections_per_minute,
        ),
        Revocation(world, recorder, refusals, by.authenticator, own_tokens, grants, families),
        UserInfo(world, recorder, refusals, estate, own_tokens, standings, people, nonces),
        own_tokens,
        standings,
    )
