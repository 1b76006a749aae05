"""Every page and endpoint stands below every door: finding the door, one way of refusing, no effect of HEAD."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from flask import Blueprint, Response, abort, request

from broker.protocol.errors import OAuthError
from broker.protocol.origin import Origin
from broker.web import errors
from broker.web.source import Sources


class _Issuer(Protocol):
    @property
    def issuer(self) -> str: ...


D = TypeVar("D", bound=_Issuer)
D_contra = TypeVar("D_contra", bound=_Issuer, contravariant=True)


class TurnedAway(Protocol[D_contra]):
    """Records a refusal that no verb came to see."""

    def __call__(self, door: D_contra, error: OAuthError, origin: Origin) -> None: ...


class Doorway(Generic[D]):
    """`door_at` finds the door of a path's tenant (None: the root door), or None where there is none.

    `closed` says why nobody goes through a door for now.
    """

    def __init__(
        self,
        door_at: Callable[[str | None], D | None],
        sources: Sources,
        turned_away: TurnedAway[D],
        closed: Callable[[D], OAuthError | None] = lambda door: None,
    ) -> None:
        self._door_at, self._sources, self._turned_away = door_at, sources, turned_away
        self._closed = closed

    def at(self, tenant: str | None) -> tuple[D, Origin]:
        """The door that this request came through, and who is at the other end; 404 without one.

        So is a path with NUL in it: no database takes that.
        """
        named = (request.view_args or {}).values()
        door = None if any("\0" in str(name) for name in named) else self._door_at(tenant)
        if door is None:
            abort(404)
        return door, self._sources.origin(request, door.issuer)

    def open_at(self, tenant: str | None) -> tuple[D, Origin]:
        """As `at`, for pages that lead further in; OAuthError while the door is closed, recorded by then."""
        door, origin = self.at(tenant)
        error = self._closed(door)
        if error is not None:
            self._turned_away(door, error, origin)
            raise error
        return door, origin

    @contextmanager
    def recorded(self, door: D, origin: Origin) -> Iterator[None]:
        """What is refused before a verb sees it leaves its record too."""
        try:
            yield
        except OAuthError as error:
            self._turned_away(door, error, origin)
            raise

    def pages(self, name: str) -> Blueprint:
        """A blueprint of pages: HEAD, which nobody should be able to act by, is refused, and refusals are pages."""
        routes = Blueprint(name, name)

        @routes.before_request
        def head_has_no_effect() -> None:
            if request.method == "HEAD":
                abort(405)

        @routes.errorhandler(OAuthError)
        def refused(error: OAuthError) -> Response:
            return errors.refused(error)

        return routes


def everywhere(routes: Blueprint, path: str, view: Callable[..., Response], *methods: str) -> None:
    """Mount a view below the root door and below every tenant's."""
    for prefix in ("", "/t/<tenant>"):
        routes.add_url_rule(prefix + path, f"{prefix}{view.__name__}", view, methods=methods)
