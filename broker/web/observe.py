"""What is seen of every request: one log line and its counts. Never its query, body, headers or path as sent."""

import re

from flask import Flask, Response, g, request

from broker.runtime.clock import ticking
from broker.runtime.log import begin, logger, note, noted
from broker.runtime.metrics import Metrics
from broker.web.source import request_id

_log = logger("web")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_DOOR = re.compile(r"/t/<tenant>")
_PROBES = frozenset({"/healthz", "/readyz"})


def install(app: Flask, metrics: Metrics) -> None:
    """Before every other hook, so that nothing goes unseen."""

    @app.before_request
    def start() -> None:
        g.began = ticking()
        metrics.under_way.inc()
        begin()

    @app.teardown_request
    def done(_: BaseException | None) -> None:
        if "began" in g:
            metrics.under_way.dec()

    @app.after_request
    def finish(response: Response) -> Response:
        seconds = ticking() - g.began
        # A method that does not exist is the client's text, and so is the tenant of a door that does not.
        method = request.method if request.method in _METHODS else "other"
        route = request.url_rule.rule if request.url_rule else None
        endpoint = _DOOR.sub("", route) or "/" if route else "none"
        known = noted()
        reason, grant_type = known.get("reason"), known.get("grant_type")
        metrics.requests.labels(endpoint, method, f"{response.status_code // 100}xx").inc()
        metrics.seconds.labels(endpoint).observe(seconds)
        if reason is not None:
            metrics.refusals.labels(endpoint, str(reason)).inc()
        elif grant_type is not None:
            metrics.tokens.labels(str(grant_type)).inc()
        tenant = (request.view_args or {}).get("tenant")
        if tenant and response.status_code != 404:
            note(door=tenant)
        tell = _log.debug if endpoint in _PROBES and response.status_code < 500 else _log.info
        tell(
            "request",
            request_id=request_id(),
            method=method,
            route=route,
            status=response.status_code,
            ms=round(seconds * 1000, 2),
        )
        return response
