"""OpenID Connect Core section 3.1.2.1, RFC 9470 section 4: what a request wishes of sign-in, pages and the way back.

Steps like those of `steps`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from broker.authorization.draft import Draft
from broker.protocol import acr, redirect_uri, strict_json
from broker.protocol.errors import OAuthError, Reason

PROMPTS = ("none", "login", "consent", "select_account")
QUERY, FORM_POST = "query", "form_post"
RESPONSE_MODES = (QUERY, FORM_POST)
LONGEST_HINT = 320
_AGE = re.compile(r"[0-9]{1,9}", re.ASCII)


def response_mode_is_offered(draft: Draft) -> Draft:
    """OAuth 2.0 Form Post Response Mode: no app's own scheme can receive a form."""
    assert draft.redirect_uri is not None
    mode = draft.parameters.get("response_mode") or QUERY
    if mode not in RESPONSE_MODES:
        raise OAuthError(
            "invalid_request",
            f"Use one of these for response_mode: {', '.join(RESPONSE_MODES)}.",
            Reason.PARAMETER_NOT_SUPPORTED,
        )
    if mode == FORM_POST and redirect_uri.destination(draft.redirect_uri).kind == "app":
        raise OAuthError(
            "invalid_request",
            "response_mode=form_post needs an http or https redirect URI.",
            Reason.PARAMETER_NOT_SUPPORTED,
        )
    return replace(draft, response_mode=mode)


def prompt_makes_sense(draft: Draft) -> Draft:
    prompt = tuple(dict.fromkeys((draft.parameters.get("prompt") or "").split()))
    if any(word not in PROMPTS for word in prompt) or ("none" in prompt and len(prompt) > 1):
        raise OAuthError(
            "invalid_request", "The prompt is not one of the known.", Reason.PARAMETER_NOT_SUPPORTED
        )
    return replace(draft, prompt=prompt)


def max_age_is_a_number(draft: Draft) -> Draft:
    given = draft.parameters.get("max_age")
    if given is None:
        return draft
    if _AGE.fullmatch(given) is None:
        raise OAuthError("invalid_request", "max_age is a number of seconds, from 0 on.", Reason.MALFORMED)
    return replace(draft, max_age=int(given))


def claims_are_an_object(draft: Draft) -> Draft:
    """OpenID Connect Core section 5.5.1.1: of what is claimed, an essential `acr` is honoured."""
    given = draft.parameters.get("claims")
    if given is None:
        return draft
    try:
        value = strict_json.read(given.encode("utf-8"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise OAuthError("invalid_request", "claims is a JSON object.", Reason.MALFORMED)
    essential = _essential_acr(value.get("id_token"))
    return replace(draft, acr_values=essential) if essential else draft


def acr_values_can_be_reached(draft: Draft) -> Draft:
    """The known classes, weakest first; where none of those asked for is known, nobody could ever sign in so."""
    asked = draft.acr_values or tuple((draft.parameters.get("acr_values") or "").split())
    known = acr.known(asked)
    if asked and not known:
        raise unmet("No sign-in here is of a class in acr_values.")
    return replace(draft, acr_values=known)


def hints_are_noted(draft: Draft) -> Draft:
    """What is only a hint is dropped, not refused, when it cannot be one."""
    login_hint, locales = draft.parameters.get("login_hint"), draft.parameters.get("ui_locales")
    return replace(draft, login_hint=_hint(login_hint), ui_locales=_hint(locales))


def id_token_hint_is_ours(draft: Draft) -> Draft:
    """Whose answer is wanted: the user in an id_token that this door once signed for this client."""
    assert draft.client is not None
    given = draft.parameters.get("id_token_hint")
    if given is None:
        return draft
    user = draft.hinted(given, draft.client.client_id)
    if user is None:
        raise OAuthError(
            "invalid_request",
            "The id_token_hint is not an id_token that this issuer gave this client.",
            Reason.HINT_INVALID,
        )
    return replace(draft, user_hint=user)


def unmet(description: str) -> OAuthError:
    """OpenID Connect Core Unmet Authentication Requirements 1.0, RFC 9470 section 5."""
    return OAuthError("unmet_authentication_requirements", description, Reason.AUTHENTICATION_UNMET)


def _hint(given: str | None) -> str | None:
    return given if given and len(given) <= LONGEST_HINT and given.isprintable() else None


def _essential_acr(id_token: object) -> tuple[str, ...]:
    claim = id_token.get("acr") if isinstance(id_token, Mapping) else None
    if not isinstance(claim, Mapping) or claim.get("essential") is not True:
        return ()
    values = claim.get("values", [claim.get("value")])
    return tuple(v for v in values if isinstance(v, str)) if isinstance(values, list) else ()
