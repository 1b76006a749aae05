"""OAuth 2.1 section 7, RFC 8252 section 8.6: when a person must be asked again, and what is asked; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from broker.authorization import details
from broker.authorization.model import AuthorizationRequest, Grant
from broker.estate import rules as estate_rules
from broker.estate.model import Resource
from broker.identity.clients.documents.rules import only_local
from broker.identity.clients.model import Client, Registered
from broker.identity.sessions.model import Demand, Session
from broker.identity.users.model import User
from broker.protocol import acr, redirect_uri


def demand(request: AuthorizationRequest) -> Demand:
    """What the sign-in behind an answer has to be: strong, fresh and of the person that the client asked for."""
    fresh = 0 if "login" in request.prompt or "select_account" in request.prompt else None
    ages = [age for age in (fresh, request.max_age, request.scope_age) if age is not None]
    since = request.begun_at - min(ages) if ages else None
    wanted = request.acr_values
    if request.scope_acr is not None:  # strong enough for the scopes, and for the client's weakest wish
        wanted = (acr.strongest((*wanted[:1], request.scope_acr)),)
    return Demand(wanted, since, request.user_hint)


def out_of_reach(demand: Demand, session: Session, reachable: str | None) -> bool:
    """Whether no further sign-in of this person could meet the demand. `reachable`: their strongest class."""
    right = demand.user in (None, session.user_id) and demand.fresh(session)
    classes = [held for held in (session.acr, reachable) if held is not None]
    return (
        right
        and bool(demand.acr)
        and not any(acr.at_least(held, wanted) for held in classes for wanted in demand.acr)
    )


def required(resource: Resource, asked: Sequence[str]) -> tuple[str, ...]:
    """The scopes that cannot be unticked: those marked default, or the only one asked for."""
    marked = tuple(scope.name for scope in resource.scopes if scope.default and scope.name in asked)
    return tuple(asked) if len(asked) == 1 else marked


def choices(user: User, client: Client, tenants: Iterable[str]) -> tuple[str, ...]:
    """The tenants, of those that the resource serves through this door, that both user and client are of."""
    mine = user.tenants()
    return tuple(tenant for tenant in tenants if tenant in mine and client.at_door(tenant))


def unchecked(client: Client, leads_to: str) -> bool:
    """RFC 9700 section 4.11.2: whether only the client itself says that this address of another host is its own.

    On the person's own machine an address leads nobody astray.
    """
    itself = client.registered in (Registered.DYNAMIC, Registered.DOCUMENT)
    return itself and redirect_uri.destination(leads_to).kind == "web"


def remembered(request: AuthorizationRequest, client: Client) -> bool:
    """Whether an earlier consent may answer for the person.

    Never for a public client on loopback or an app scheme: any program on that machine could be asking. Nor for any
    client known by a document that is nowhere else.
    """
    if (
        request.device
        or "consent" in request.prompt
        or "select_account" in request.prompt
        or only_local(client)
    ):
        return False
    return not client.public or redirect_uri.destination(request.redirect_uri).kind == "web"


def repeats(grant: Grant, earlier: Grant) -> bool:
    """Whether a new grant would be an earlier one again: of the same consent, sign-in and extent.

    A line of refresh tokens has a grant of its own, which ends with it.
    """
    same = replace(earlier, id=grant.id, created_at=grant.created_at, last_used_at=grant.last_used_at)
    return not grant.offline and same == grant


def covering(
    request: AuthorizationRequest,
    standing: Sequence[Grant],
    downstream: Mapping[str, Sequence[str]],
    tenant: str | None,
    resource: Resource,
) -> Grant | None:
    """The earlier consent that allows all that is asked in `tenant`; None while the tenant has to be chosen.

    A scope allows what it implies. `downstream` is by edge, as a grant's.
    """
    for grant in standing:
        if (
            (grant.tenant, grant.door) == (tenant, request.door)
            and (grant.offline or not request.offline)
            and set(request.scopes) <= {*grant.scopes, *estate_rules.expanded(resource, grant.scopes)}
            and set(request.identity) <= set(grant.identity)
            and details.covered(grant.details, request)
            and all(
                set(scopes) <= set(grant.downstream.get(along, ())) for along, scopes in downstream.items()
            )
        ):
            return grant
    return None
