"""RFC 6749 section 4.1.1, RFC 7636 section 4.4.1, RFC 8707 section 2: an authorization request, checked step by step.

Each step takes the draft and returns it with one more thing known, or raises OAuthError. Steps never call each other.
"""

from dataclasses import replace

from broker.audit.unknown import unknown
from broker.authorization import details, scopes, wishes
from broker.authorization.draft import Draft, Step
from broker.protocol import dpop, pkce, redirect_uri
from broker.protocol.errors import OAuthError, Reason
from broker.protocol.names import AUTHORIZATION_CODE, REFRESH_TOKEN


def client_is_known(draft: Draft) -> Draft:
    client_id = None if "client_id" in draft.repeated else draft.parameters.get("client_id")
    client = draft.find_client(client_id) if client_id else None
    if client is None:
        raise OAuthError(
            "invalid_request", "The client is not known here.", Reason.CLIENT_UNKNOWN, redirectable=False
        )
    return replace(draft, client=client)


def redirect_uri_is_registered(draft: Draft) -> Draft:
    assert draft.client is not None
    presented = draft.parameters.get("redirect_uri")
    if "redirect_uri" in draft.repeated:
        found = None
    elif presented is None:
        found = draft.client.redirect_uris[0] if len(draft.client.redirect_uris) == 1 else None
    else:
        found = presented if redirect_uri.matches(draft.client.redirect_uris, presented) else None
    if found is None:
        raise OAuthError(
            "invalid_request",
            "The redirect URI is not registered for this client.",
            Reason.REDIRECT_URI_MISMATCH,
            redirectable=False,
            detail=unknown(presented) if presented else "",
        )
    return replace(draft, redirect_uri=found)


def nothing_is_repeated(draft: Draft) -> Draft:
    if draft.repeated:
        raise OAuthError("invalid_request", "A parameter is given more than once.", Reason.REPEATED_PARAMETER)
    return draft


def request_objects_are_not_offered(draft: Draft) -> Draft:
    for name, error in (("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")):
        if draft.parameters.get(name) is not None:
            raise OAuthError(
                error, f"The parameter {name} is not offered here.", Reason.PARAMETER_NOT_SUPPORTED
            )
    return draft


def client_may_ask_for_codes(draft: Draft) -> Draft:
    assert draft.client is not None
    if AUTHORIZATION_CODE not in draft.client.grant_types:
        raise OAuthError(
            "unauthorized_client",
            "The client is not registered for authorization_code.",
            Reason.CLIENT_GRANT_TYPE,
        )
    return draft


def response_is_a_code(draft: Draft) -> Draft:
    response_type = draft.parameters.require("response_type")
    if response_type != "code":
        raise OAuthError(
            "unsupported_response_type", "Only response_type=code is offered.", Reason.PARAMETER_NOT_SUPPORTED
        )
    return draft


def request_was_pushed_where_it_must_be(draft: Draft) -> Draft:
    """RFC 9126 section 6: the client says so of itself, or the tenant of whoever is asked for."""
    assert draft.client is not None
    if draft.pushed is None and (
        draft.client.pushed_only or draft.estate.doors.pushed_only(draft.client.tenant or draft.door.tenant)
    ):
        raise OAuthError(
            "invalid_request",
            "Push the request first: the pushed_authorization_request_endpoint of the server's metadata takes it.",
            Reason.NOT_PUSHED,
        )
    return draft


def challenge_is_s256(draft: Draft) -> Draft:
    challenge = draft.parameters.get("code_challenge")
    if challenge is None:
        raise OAuthError("invalid_request", "PKCE is needed: send code_challenge.", Reason.PKCE_MISSING)
    if draft.parameters.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "Send code_challenge_method=S256.", Reason.PKCE_METHOD)
    if not pkce.valid_challenge(challenge):
        raise OAuthError("invalid_request", "The code_challenge is not one of S256.", Reason.PKCE_METHOD)
    return replace(draft, challenge=challenge)


def key_is_a_thumbprint(draft: Draft) -> Draft:
    jkt = draft.parameters.get("dpop_jkt")
    if "dpop_jkt" in draft.parameters.blank or (jkt is not None and not dpop.is_thumbprint(jkt)):
        raise OAuthError(
            "invalid_request",
            "dpop_jkt is the SHA-256 thumbprint of a key, 43 characters of base64url.",
            Reason.MALFORMED,
        )
    return replace(draft, dpop_jkt=jkt)


def resource_is_served(draft: Draft) -> Draft:
    assert draft.client is not None
    asked = draft.parameters.all("resource")
    if "resource" in draft.parameters.blank:
        raise OAuthError("invalid_target", "The resource is empty.", Reason.RESOURCE_UNKNOWN)
    if len(asked) > 1:
        raise OAuthError(
            "invalid_request", "One token is for one resource: send one resource.", Reason.RESOURCE_REPEATED
        )
    if asked:
        resource = draft.estate.by_uri(asked[0])
    elif scopes.only_who(scopes.parse(draft.parameters.get("scope"))):
        resource = draft.estate.userinfo_at(draft.door)
    else:  # the client's only resource, else the one marked default
        resource = draft.estate.only_of(draft.client) or draft.estate.default_at(draft.door)
    if resource is None or not draft.estate.tenants_of(resource, draft.door):
        raise OAuthError("invalid_target", "The resource is not known here.", Reason.RESOURCE_UNKNOWN)
    if not resource.asked_by(draft.client.resources):
        raise OAuthError(
            "invalid_target", "The client may not ask for this resource.", Reason.RESOURCE_NOT_ALLOWED
        )
    return replace(draft, resource=resource)


def scopes_are_offered(draft: Draft) -> Draft:
    assert draft.client is not None and draft.resource is not None
    elsewhere = {name for other in draft.estate.at_door(draft.door) for name in other.scope_names}
    words = scopes.parse(draft.parameters.get("scope")) or details.reach(draft)
    asked = scopes.judged(draft.client, draft.resource, elsewhere, words)
    refreshes = REFRESH_TOKEN in draft.client.grant_types
    return replace(draft, scopes=asked.scopes, identity=asked.identity, offline=refreshes)


BEFORE_REDIRECT: tuple[Step, ...] = (client_is_known, redirect_uri_is_registered)
AFTER_REDIRECT: tuple[Step, ...] = (
    nothing_is_repeated,
    response_is_a_code,
    wishes.response_mode_is_offered,
    request_objects_are_not_offered,
    request_was_pushed_where_it_must_be,
    client_may_ask_for_codes,
    challenge_is_s256,
    key_is_a_thumbprint,
    resource_is_served,
    scopes_are_offered,
    details.details_can_be_asked_for,
    wishes.prompt_makes_sense,
    wishes.max_age_is_a_number,
    wishes.claims_are_an_object,
    wishes.acr_values_can_be_reached,
    wishes.hints_are_noted,
    wishes.id_token_hint_is_ours,
)
