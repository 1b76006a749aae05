"""NIST SP 800-63B: everything about signing in, built once and wired."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.audit.record import Recorder
from broker.audit.refusals import Refusals
from broker.identity.sessions.sessions import Sessions
from broker.identity.users.attempts import Attempts
from broker.identity.users.credentials.begun import Begun
from broker.identity.users.credentials.notices import Notices
from broker.identity.users.credentials.passkeys import Passkeys
from broker.identity.users.credentials.recovery import RecoveryCodes
from broker.identity.users.credentials.relying_party import RelyingParty
from broker.identity.users.credentials.totp import Totp
from broker.identity.users.custody import Custody
from broker.identity.users.familiar import Familiar
from broker.identity.users.new_password import NewPasswords
from broker.identity.users.own import OwnWaysIn
from broker.identity.users.password import Passwords
from broker.identity.users.sign_in import SignIn
from broker.identity.users.steps import Steps
from broker.identity.users.ways_in import WaysIn
from broker.runtime.database import Transaction
from broker.runtime.world import World
from keys.sealed import KeyEncryptionKey


@dataclass(frozen=True, slots=True)
class Limits:
    """Wrong attempts: of one source in a minute, at one account from it, and at one account by strangers an hour."""

    per_source: int
    per_account: int
    strangers: int


@dataclass(frozen=True, slots=True)
class SigningIn:
    sign_in: SignIn
    ways_in: WaysIn
    own: OwnWaysIn
    new_passwords: NewPasswords
    custody: Custody
    notices: Notices


def assembled(
    world: World,
    recorder: Recorder,
    refusals: Refusals,
    sessions: Sessions,
    passwords: Passwords,
    kek: KeyEncryptionKey,
    issuer: str,
    server_name: str,
    limits: Limits,
    notices: Notices,
    elsewhere: Callable[[Transaction, str], bool] = lambda tx, user_id: False,
    whole: Callable[[str | None], bool] = lambda provider: provider is None,
) -> SigningIn:
    """`elsewhere`: whether, in a transaction, an identity provider vouches for a person too. `whole`: see `WaysIn`."""
    begun = Begun(world)
    passkeys = Passkeys(world, begun, RelyingParty.of(issuer, server_name))
    totp = Totp(world, KeyEncryptionKey(kek.derive("totp")), server_name)
    recovery = RecoveryCodes(world, kek.derive("recovery"))
    attempts = Attempts(world, limits.per_source, limits.per_account, limits.strangers)
    ways_in = WaysIn(world, passkeys, totp, recovery, notices, whole)
    steps, familiar = Steps(world, begun, ways_in), Familiar(kek.derive("familiar"))
    return SigningIn(
        SignIn(world, recorder, refusals, sessions, passwords, ways_in, steps, attempts, familiar),
        ways_in,
        OwnWaysIn(
            world,
            refusals,
            sessions,
            ways_in,
            passkeys,
            totp,
            recovery,
            begun,
            notices,
            attempts,
            elsewhere,
        ),
        NewPasswords(
            world,
            refusals,
            sessions,
            passwords,
            ways_in,
            begun,
            notices,
            attempts,
            ("mcp token broker", server_name, issuer),
        ),
        Custody(world, sessions, passkeys, totp, recovery, notices),
        notices,
    )
