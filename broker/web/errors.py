"""Faults as answers: registered errors stay values, everything else is `server_error` with an id and no text."""

import traceback

from flask import Flask, Request, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from broker.protocol.errors import OAuthError, Reason
from broker.runtime.database import Unavailable
from broker.runtime.log import logger
from broker.web import pages, respond, texts
from broker.web.source import request_id

_log = logger("web")
_PROBLEMS: dict[Reason, pages.Problem] = {
    Reason.CLIENT_UNKNOWN: "unknown_client",
    Reason.CLIENT_OFF: "unknown_client",
    Reason.CLIENT_DOCUMENT_ADDRESS: "client_document",
    Reason.CLIENT_DOCUMENT_UNREACHABLE: "client_document",
    Reason.CLIENT_DOCUMENT_INVALID: "client_document",
    Reason.CLIENT_METHOD_MISMATCH: "client_document",
    Reason.CLIENT_DOCUMENT_DISTRUSTED: "client_distrusted",
    Reason.REDIRECT_URI_MISMATCH: "redirect_uri",
    Reason.RATE_LIMITED: "too_many",
    Reason.INTERACTION_UNKNOWN: "expired",
    Reason.USER_CODE_WRONG: "user_code",
    Reason.REQUEST_URI_EXPIRED: "expired",
    Reason.REQUEST_URI_USED: "expired",
    Reason.RESET_UNKNOWN: "reset",
    Reason.RESET_FOREIGN: "reset_foreign",
    Reason.CONNECTION_FOREIGN: "connection_other",
    Reason.APPROVER_NOT_ALLOWED: "approver",
    Reason.APPROVER_NO_PERSON: "approver_program",
    Reason.CSRF: "form",
    Reason.CROSS_SITE: "form",
    Reason.PROVIDER_UNKNOWN: "not_found",
    Reason.PROVIDER_UNAVAILABLE: "provider_down",
    Reason.PROVIDER_REFUSED: "provider_refused",
    Reason.PROVIDER_MISMATCH: "provider_answer",
    Reason.PROVIDER_ANSWER_INVALID: "provider_answer",
    Reason.PROVIDER_VISIT_UNKNOWN: "expired",
    Reason.IDENTITY_NOT_LINKED: "not_linked",
    Reason.IDENTITY_TAKEN: "linked_elsewhere",
    Reason.NOT_A_MEMBER: "no_access",
    Reason.TENANT_OFF: "no_access",
    Reason.USER_OFF: "no_access",
}
_CONNECTING: dict[Reason, pages.Problem] = {
    Reason.PROVIDER_UNKNOWN: "connection_off",
    Reason.PROVIDER_UNAVAILABLE: "connection_down",
    Reason.PROVIDER_REFUSED: "connection_refused",
    Reason.PROVIDER_MISMATCH: "connection_answer",
    Reason.PROVIDER_ANSWER_INVALID: "connection_answer",
    Reason.PROVIDER_VISIT_UNKNOWN: "connection_foreign",
    Reason.LOGIN_REQUIRED: "connection_foreign",
    Reason.NOT_A_MEMBER: "connection_off",
    Reason.EVERYTHING_OFF: "connection_off",
    Reason.TENANT_OFF: "connection_off",
    Reason.RESOURCE_OFF: "connection_off",
    Reason.RESOURCE_UNKNOWN: "connection_off",
    Reason.CONNECTION_UNREADABLE: "connection_down",
}
"""Where a refusal means something else for who connects an account than for who signs in."""
_KINDS: dict[int, pages.Problem] = {404: "not_found", 405: "not_found", 413: "malformed", 503: "unavailable"}
_JSON_ERRORS = {400: "invalid_request", 404: "not_found", 405: "method_not_allowed", 413: "invalid_request"}


def wants_page(request: Request) -> bool:
    """Browsers say that they take HTML; clients do not."""
    return "text/html" in request.headers.get("Accept", "")


def unavailable() -> OAuthError:
    return OAuthError(
        "temporarily_unavailable",
        "The server cannot record this now. Try again.",
        Reason.AUDIT_UNAVAILABLE,
        retry_after=1,
    )


def install(app: Flask) -> None:
    """Handlers for what the faces do not handle themselves."""

    @app.errorhandler(OAuthError)
    def refused(error: OAuthError) -> Response:
        return respond.refusal(error)

    @app.errorhandler(Unavailable)
    def down(error: Unavailable) -> Response:
        _log.error("database unavailable", request_id=request_id(), cause=str(error))
        if wants_page(request):
            return problem("unavailable", 503, headers={"Retry-After": "1"})
        return respond.refusal(unavailable())

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        headers = {"Allow": value} if (value := dict(error.get_headers()).get("Allow")) else {}
        if wants_page(request) and status != 400:
            return problem(_KINDS.get(status, "malformed"), status, headers=headers)
        if isinstance(error, RequestEntityTooLarge):
            return respond.refusal(
                OAuthError("invalid_request", "The request is too large.", Reason.TOO_LARGE, status=413)
            )
        return respond.json_body({"error": _JSON_ERRORS.get(status, "invalid_request")}, status, headers)

    @app.errorhandler(Exception)
    def fault(error: Exception) -> Response:
        _log.error(
            "fault",
            request_id=request_id(),
            route=request.url_rule.rule if request.url_rule else None,
            kind=type(error).__name__,
            where="".join(traceback.format_tb(error.__traceback__)[-4:]),
        )
        if wants_page(request):
            return problem("internal", 500)
        return respond.json_body({"error": "server_error", "request_id": request_id()}, 500)


def refused(error: OAuthError, back: str = "", back_to: pages.BackTo = "sign_in") -> Response:
    """A refusal as a page: what happened and who can do what, with the registered code among the details."""
    details = (
        ("error", error.error),
        ("error_description", error.description),
        ("reason", error.reason.value),
    )
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
    problems = _PROBLEMS | _CONNECTING if back_to == "connections" else _PROBLEMS
    kind = problems.get(error.reason, "malformed")
    return problem(kind, error.status, details, headers, back, back_to)


def problem(
    kind: pages.Problem,
    status: int,
    details: tuple[tuple[str, str], ...] = (),
    headers: dict[str, str] | None = None,
    back: str = "",
    back_to: pages.BackTo = "sign_in",
) -> Response:
    """The error page. `back`: the path of the page on which another way can be tried."""
    lang = language(request)
    view = pages.problem(
        kind, request_id=request_id(), details=details, back=back, back_to=back_to, lang=lang
    )
    response = respond.page(pages.error(view), status)
    response.headers.update(headers or {})
    return response


def language(request: Request, wished: str | None = None) -> str:
    """The language to speak: one of `wished` (`ui_locales`) if there is a catalogue, else what the browser asks for."""
    return texts.among(wished) or request.accept_languages.best or "en"
