"""OWASP ASVS V10.7: what the pages of connections show, from the nouns that the verbs hand over."""

from collections.abc import Collection, Iterable, Iterator
from urllib.parse import quote, urlencode

from broker.account.connections.mine import Place
from broker.account.views import Around, Sending
from broker.estate import rules
from broker.estate.estate import Estate
from broker.estate.model import Edge, Resource
from broker.protocol import redirect_uri
from broker.vault import reach
from broker.vault.model import Connection, State
from broker.web import connection_pages
from broker.web.connection_pages import ChoiceLine, ConnectionLine, Health, ServerLine


def listed(
    around: Around, places: Iterable[Place], estate: Estate, *, choosing: bool = False, scope: str = ""
) -> str:
    """`scope`: what a server waits for, where the person has to choose a tenant first."""
    lines = tuple(_line(place, around["connections"], estate, scope) for place in places)
    return connection_pages.connections(
        connection_pages.ConnectionsView(lines=lines, choosing=choosing, **around)
    )


def one(
    around: Around,
    place: Place,
    estate: Estate,
    now: float,
    form: Sending,
    *,
    ticked: Collection[str],
    came: bool = False,
    fewer: bool = False,
    error: bool = False,
) -> str:
    connection = place.connection
    return connection_pages.connection(
        connection_pages.ConnectionView(
            line=_line(place, around["connections"], estate),
            host=host(place.resource),
            tenant=place.tenant,
            servers=tuple(_server(place.resource, *way) for way in _using(place, estate, now)),
            choices=_choices(place.resource, connection, ticked),
            wider=connection.wider if connection else (),
            came=came,
            fewer=fewer,
            error=error,
            action=form.action,
            csrf=form.csrf,
            **around,
        )
    )


def leaving(around: Around, place: Place, url: str) -> str:
    return connection_pages.leaving(
        connection_pages.LeavingView(name=_name(place), host=host(place.resource), url=url, **around)
    )


def ended(around: Around, place: Place) -> str:
    found = reach.of(place.resource)
    told = found is not None and found.revocation_endpoint is not None
    return connection_pages.ended(
        connection_pages.EndedView(
            name=_name(place), told=told, again=address(around["connections"], place), **around
        )
    )


def address(base: str, place: Place, scope: str = "") -> str:
    """Of the page of one system; `base`: of the list. `scope`: what is to be ticked there."""
    more = {"tenant": place.tenant} | ({"scope": scope} if scope else {})
    return f"{base}/{quote(place.resource_id)}?{urlencode(more)}"


def wanted(place: Place, asked: Collection[str]) -> list[str]:
    """What is ticked when the page opens: what a server asked for, else what was given, else what is usual.

    No more than that: what the other system gives cannot be narrowed for a server that may have less.
    """
    names = rules.offered(place.resource) if place.resource else ()
    held = place.connection.scopes if place.connection else ()
    usual = rules.defaults(place.resource) if place.resource else ()
    found = ([name for name in names if name in one] for one in (asked, held, usual))
    return next((ticked for ticked in found if ticked), [])


def host(resource: Resource | None) -> str:
    """Where a person is sent to connect it; empty where that cannot be."""
    found = reach.of(resource)
    return "" if found is None else redirect_uri.destination(found.authorization_endpoint).host


def _line(place: Place, base: str, estate: Estate, scope: str = "") -> ConnectionLine:
    connection, resource = place.connection, place.resource
    uri, tenant = resource.uri if resource else "", estate.doors.tenants[place.tenant].name
    url = address(base, place, scope)
    if connection is None:
        return ConnectionLine(_name(place), uri, tenant, "off", url)
    return ConnectionLine(
        _name(place),
        uri,
        tenant,
        _health(connection),
        url,
        account=connection.account.name,
        scopes=_words(resource, connection.scopes),
        since=connection.connected_at,
        last_used=connection.used_at,
        until=None if connection.refreshable else connection.expires_at,
    )


def _name(place: Place) -> str:
    return place.resource.name if place.resource else place.resource_id


def _health(connection: Connection) -> Health:
    if connection.state is not State.CONNECTED:
        return "broken"
    return "trouble" if connection.failures else "good"


def _words(resource: Resource | None, names: Iterable[str]) -> tuple[str, ...]:
    described = {scope.name: scope.description for scope in resource.scopes} if resource else {}
    return tuple(described.get(name) or name for name in names)


def _choices(
    resource: Resource | None, connection: Connection | None, ticked: Collection[str]
) -> tuple[ChoiceLine, ...]:
    held = connection.scopes if connection else ()
    return tuple(
        ChoiceLine(scope.name, scope.description or scope.name, scope.name in ticked, scope.name in held)
        for scope in (resource.scopes if resource else ())
        if resource and scope.name in rules.offered(resource)
    )


def _using(place: Place, estate: Estate, now: float) -> Iterator[tuple[Resource, Edge]]:
    """The servers that may get the token of this system in this tenant, and along which edges."""
    for edge in estate.edges.values():
        source = estate.resources.get(edge.source)
        way = edge.target == place.resource_id and edge.release and not edge.ended(now)
        if way and source is not None and source.serves(place.tenant):
            yield source, edge


def _server(resource: Resource | None, source: Resource, edge: Edge) -> ServerLine:
    given = dict.fromkeys(name for names in edge.scopes.values() for name in names)
    return ServerLine(source.name, source.uri, edge.purpose or "", _words(resource, given))
