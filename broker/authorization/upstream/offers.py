"""RFC 9700 section 4.4: the addresses at which a visit to a provider begins, for the pages that offer it."""

from collections.abc import Callable, Iterable
from urllib.parse import urlencode

from broker.authorization.login.way import Way
from broker.identity.federation.model import Link, Provider
from broker.identity.federation.visits import Visits
from broker.identity.tenants.model import Door

Token = Callable[[str], str]
"""The CSRF token of this browser for what a form or an address is about."""


def to_sign_in(visits: Visits, door: Door, way: Way, token: Token) -> tuple[tuple[str, str], ...]:
    """(name, address) of each provider with which a person may sign in here."""
    return tuple(
        (provider.name, door.url(f"{path(provider.id)}?{urlencode(_signed(way, provider, token))}"))
        for provider in visits.offered(door)
    )


def signing_in_with(visits: Visits) -> Callable[[Door, Way, Token], tuple[tuple[str, str], ...]]:
    """The same, of these visits."""
    return lambda door, way, token: to_sign_in(visits, door, way, token)


def to_link(
    visits: Visits, door: Door, links: Iterable[Link], token: Token
) -> tuple[tuple[Provider, str], ...]:
    """Each provider that an account with these links may be linked to here, and the address that begins it."""
    return tuple(
        (provider, door.url(f"{path(provider.id)}/link?{urlencode({'csrf': token(linking(provider.id))})}"))
        for provider in visits.linkable(door, links)
    )


def path(provider_id: str) -> str:
    return f"/login/upstream/{provider_id}"


def signing_in(provider_id: str, way: Way) -> str:
    """What such an address is about."""
    return f"upstream {provider_id} {way.key()}"


def linking(provider_id: str) -> str:
    return f"link {provider_id}"


def _signed(way: Way, provider: Provider, token: Token) -> tuple[tuple[str, str], ...]:
    return (*way.fields(), ("csrf", token(signing_in(provider.id, way))))
