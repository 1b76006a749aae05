"""RFC 6749 section 3.2: endpoints that clients post to, below every door: who asks, and from which web page."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, abort, request

from broker.identity.clients.authentication.model import Attempt
from broker.identity.clients.clients import Clients
from broker.identity.tenants.model import Door
from broker.protocol.errors import OAuthError
from broker.protocol.origin import Origin
from broker.protocol.parameters import Parameters
from broker.web import cors, form, respond
from broker.web.certificate import Certificates
from broker.web.source import Sources

Verb = Callable[[Door, Attempt, Origin], Response]
Unreadable = Callable[[Door, OAuthError, Origin], None]


@dataclass(frozen=True, slots=True)
class Desk:
    """`door_at` finds the door of a path's tenant (None: the root door), or None where there is none."""

    door_at: Callable[[str | None], Door | None]
    clients: Clients
    sources: Sources
    certificates: Certificates

    def mount(
        self, routes: Blueprint, path: str, verb: Verb, unreadable: Unreadable, *, pages: bool = True
    ) -> None:
        """POST below the root door and below every tenant's; `pages`: web pages of clients may call it too.

        `unreadable` records a form that was refused before anybody could be recognized in it.
        """

        def view(tenant: str | None = None) -> Response:
            return self._answer(tenant, verb, unreadable)

        for prefix in ("", "/t/<tenant>"):
            rule = prefix + path
            routes.add_url_rule(rule, rule, view, methods=("POST",), provide_automatic_options=False)
            if pages:
                routes.add_url_rule(
                    rule,
                    f"{rule}-options",
                    self._preflight,
                    methods=("OPTIONS",),
                    provide_automatic_options=False,
                )

    def _answer(self, tenant: str | None, verb: Verb, unreadable: Unreadable) -> Response:
        door = self.door_at(tenant)
        if door is None:
            abort(404)
        origin = self.sources.origin(request, door.issuer)
        try:
            response = verb(door, self._attempt(door, origin, unreadable), origin)
        except OAuthError as error:
            response = respond.refusal(error, challenge="Authorization" in request.headers)
        asking = cors.asking()
        if asking is not None and self.clients.knows_origin(door, asking):
            cors.allow(response, asking)
        return response

    def _attempt(self, door: Door, origin: Origin, unreadable: Unreadable) -> Attempt:
        return Attempt(
            _authorization(),
            _read(door, origin, unreadable),
            door.url(request.path.removeprefix(door.path)),
            tuple(request.headers.getlist("DPoP")),
            self.certificates.of(request),
        )

    def _preflight(self, tenant: str | None = None) -> Response:
        door, asking = self.door_at(tenant), cors.asking()
        if door is None or asking is None or not self.clients.knows_origin(door, asking):
            return Response(status=204)
        return cors.preflight(asking, "POST")


def _read(door: Door, origin: Origin, unreadable: Unreadable) -> Parameters:
    try:
        return form.body(request)
    except OAuthError as error:
        unreadable(door, error, origin)
        raise


def _authorization() -> str | None:
    """The Authorization header; two of them are one too many."""
    found = request.headers.getlist("Authorization")
    return ", ".join(found) if found else None
