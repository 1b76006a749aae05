"""OWASP ASVS V13.4: /healthz and /readyz, which say what is well and neither versions nor addresses."""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask, Response

from broker.web import respond

BLUEPRINT = "health"
PATHS = frozenset({"/healthz", "/readyz"})


class State(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


def whole(parts: Mapping[str, State]) -> State:
    """The state of what is made of these parts: the worst of them."""
    states = set(parts.values())
    return next((state for state in (State.DOWN, State.DEGRADED) if state in states), State.OK)


def install(app: Flask, host: str, look: Callable[[], Mapping[str, State]]) -> None:
    """Mount both on `app`. A load balancer calls by address: to these paths every Host is `host`."""

    @app.get("/healthz", endpoint=f"{BLUEPRINT}.live")
    def live() -> Response:
        return respond.json_body({"status": State.OK})

    @app.get("/readyz", endpoint=f"{BLUEPRINT}.ready")
    def ready() -> Response:
        parts = look()
        state = whole(parts)
        return respond.json_body({"status": state, "parts": parts}, 503 if state is State.DOWN else 200)

    inner = app.wsgi_app

    def by_any_name(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in PATHS:
            environ["HTTP_HOST"] = host
        return inner(environ, start)

    app.wsgi_app = by_any_name  # type: ignore[assignment,method-assign]  # Flask's own way to wrap it
