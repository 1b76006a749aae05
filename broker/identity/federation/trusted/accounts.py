"""draft-ietf-oauth-identity-assertion-authz-grant section 6.3: whose account a trusted issuer speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from broker.denials import live
from broker.denials.model import Kind, Target
from broker.identity.federation import rules as federation_rules
from broker.identity.federation.arrival import Arrival
from broker.identity.federation.links import Links
from broker.identity.federation.model import Identity, Provider, Rule
from broker.identity.federation.refused import NotSignedIn
from broker.identity.federation.trusted import rules
from broker.identity.federation.trusted.believe import NotTrusted, Vouched
from broker.identity.federation.trusted.model import TrustedIssuer
from broker.identity.tenants.model import Tenant
from broker.identity.users.people import People
from broker.protocol import jws
from broker.protocol.errors import Reason
from broker.protocol.jws import InvalidToken
from broker.protocol.origin import Origin
from broker.runtime.database import Transaction
from broker.runtime.world import World

_SIGN_IN = ("auth_time", "acr", "amr")


@dataclass(frozen=True, slots=True)
class Account:
    """Who is meant. `acr` and `amr` are what a sign-in there is worth here; `signed_in`: whether one is spoken of."""

    user_id: str
    acr: str
    amr: tuple[str, ...]
    auth_time: float | None
    signed_in: bool

    def claims(self) -> dict[str, object]:
        """RFC 9068 section 2.2.1: how the person signed in, only where the issuer says that they did."""
        if not self.signed_in:
            return {}
        when = {} if self.auth_time is None else {"auth_time": int(self.auth_time)}
        return {**when, "acr": self.acr, "amr": list(self.amr)}


class Accounts:
    """By links of (issuer, subject), the same that sign-ins at that issuer make; by an address never."""

    def __init__(self, world: World, arrival: Arrival, links: Links, people: People) -> None:
        self._world, self._arrival, self._links, self._people = world, arrival, links, people

    def tenants(self, vouched: Vouched) -> tuple[str, ...] | None:
        """The tenants of whoever is linked, None where nobody is."""

        def read(tx: Transaction) -> tuple[str, ...] | None:
            link = self._links.find(tx, _provider(vouched.entry, ""), _identity(vouched, 0.0))
            user = None if link is None else self._people.within(tx, link.user_id)
            return None if user is None else tuple(user.tenants())

        return self._world.database.read(read)

    def of(self, tx: Transaction, vouched: Vouched, tenant: Tenant, now: float, origin: Origin) -> Account:
        """The account in this tenant, made where the issuer's entry lets it be; NotTrusted.

        Within `tx`, which stands before all walls, as links of the server's issuers do. `Conflict` when the same person
        arrives twice at once: the other one makes the account.
        """
        provider, identity = _provider(vouched.entry, tenant.id), _identity(vouched, now)
        issuer = Target(Kind.ISSUER, vouched.entry.id)
        if live.first_off(tx, [issuer], now) == issuer:
            raise NotTrusted(Reason.ISSUER_OFF, f"issuer {vouched.entry.id}")
        places = _accepting(provider, tenant)
        try:
            user_id = self._arrival.account(tx, provider, identity, places, tenant.id, origin, whole=False)
        except NotSignedIn as error:
            raise NotTrusted(error.reason, f"issuer {vouched.entry.id}") from None
        signed_in = any(name in vouched.claims for name in _SIGN_IN)
        return Account(user_id, identity.acr, identity.amr, identity.auth_time, signed_in)


def _provider(entry: TrustedIssuer, tenant: str) -> Provider:
    """The issuer as sign-ins know one: its word is for this tenant, and its mapping leads nowhere else."""
    places = (Rule(always=tenant),) if entry.tenant is None else ()
    return Provider(
        id=entry.id,
        name=entry.id,
        issuer=entry.issuer,
        client_id="",
        tenant=entry.tenant,
        accounts=entry.accounts,
        mapping=replace(entry.mapping, tenants=places),
        mfa=entry.mfa,
    )


def _accepting(provider: Provider, tenant: Tenant) -> Mapping[str, Tenant]:
    """The entry says for which tenants it counts: that is how this one accepts it."""
    return {tenant.id: replace(tenant, providers=(provider.id,))}


def _identity(vouched: Vouched, now: float) -> Identity:
    issuer, subject = rules.subject(vouched.claims)
    acr, amr = federation_rules.strength(_provider(vouched.entry, ""), vouched.claims)
    auth_time = None
    if vouched.claims.get("auth_time") is not None:
        try:
            auth_time = min(jws.numeric_date(vouched.claims["auth_time"]), now)
        except InvalidToken:
            raise NotTrusted(Reason.ASSERTION_INVALID, "auth_time") from None
    return Identity(issuer, subject, vouched.claims, acr, amr, auth_time)
