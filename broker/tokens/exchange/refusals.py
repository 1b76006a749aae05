"""RFC 8693 section 2.2.2: the closed list of reasons for which an exchange along edges is refused, by question."""

from collections.abc import Mapping
from enum import StrEnum

from broker.protocol.errors import Reason


class Question(StrEnum):
    """Whom a refusal is about. No reason answers two questions."""

    REQUEST = "the request"
    SUBJECT = "the subject"
    CALLER = "the caller"


REFUSALS: Mapping[Reason, tuple[Question, str]] = {
    Reason.PARAMETER_MISSING: (Question.REQUEST, "invalid_request"),
    Reason.SUBJECT_TOKEN_TYPE: (Question.REQUEST, "invalid_request"),
    Reason.ACTOR_TOKEN_TYPE: (Question.REQUEST, "invalid_request"),
    Reason.REQUESTED_TOKEN_TYPE: (Question.REQUEST, "invalid_request"),
    Reason.RESOURCE_MISSING: (Question.REQUEST, "invalid_target"),
    Reason.RESOURCE_REPEATED: (Question.REQUEST, "invalid_target"),
    Reason.RESOURCE_UNKNOWN: (Question.REQUEST, "invalid_target"),
    Reason.SCOPE_UNKNOWN: (Question.REQUEST, "invalid_scope"),
    Reason.RESOURCE_OFF: (Question.REQUEST, "invalid_target"),
    Reason.EVERYTHING_OFF: (Question.REQUEST, "invalid_target"),
    Reason.SUBJECT_TOKEN_INVALID: (Question.SUBJECT, "invalid_request"),
    Reason.SUBJECT_TOKEN_EXPIRED: (Question.SUBJECT, "invalid_request"),
    Reason.TENANT_OFF: (Question.SUBJECT, "invalid_target"),
    Reason.TENANT_NOT_SERVED: (Question.SUBJECT, "invalid_target"),
    Reason.USER_OFF: (Question.SUBJECT, "invalid_request"),
    Reason.USER_UNKNOWN: (Question.SUBJECT, "invalid_request"),
    Reason.NOT_A_MEMBER: (Question.SUBJECT, "invalid_request"),
    Reason.GRANT_OFF: (Question.SUBJECT, "invalid_request"),
    Reason.GRANT_EXPIRED: (Question.SUBJECT, "invalid_request"),
    Reason.SESSION_OVER: (Question.SUBJECT, "invalid_request"),
    Reason.TOKEN_OFF: (Question.SUBJECT, "invalid_request"),
    Reason.ISSUER_OFF: (Question.SUBJECT, "invalid_request"),
    Reason.ISSUER_UNAVAILABLE: (Question.SUBJECT, "temporarily_unavailable"),
    Reason.ACTOR_OFF: (Question.SUBJECT, "invalid_request"),
    Reason.RESOURCE_BEHIND_OFF: (Question.SUBJECT, "invalid_request"),
    Reason.EDGE_BEHIND_OFF: (Question.SUBJECT, "invalid_request"),
    Reason.CHAIN_TOO_DEEP: (Question.SUBJECT, "invalid_request"),
    Reason.CHAIN_TOO_LARGE: (Question.SUBJECT, "invalid_request"),
    Reason.SCOPE_WIDENED: (Question.SUBJECT, "invalid_scope"),
    Reason.SCOPE_EMPTY: (Question.SUBJECT, "invalid_scope"),
    Reason.DETAILS_LOST: (Question.SUBJECT, "invalid_target"),
    Reason.SUBJECT_IS_NO_USER: (Question.SUBJECT, "invalid_request"),
    Reason.EDGE_NOT_CONSENTED: (Question.SUBJECT, "interaction_required"),
    Reason.CONNECTION_MISSING: (Question.SUBJECT, "interaction_required"),
    Reason.CONNECTION_BROKEN: (Question.SUBJECT, "interaction_required"),
    Reason.CONNECTION_NARROW: (Question.SUBJECT, "interaction_required"),
    Reason.CONNECTION_WIDE: (Question.SUBJECT, "invalid_scope"),
    Reason.CONNECTION_UNREADABLE: (Question.SUBJECT, "temporarily_unavailable"),
    Reason.PROVIDER_UNAVAILABLE: (Question.SUBJECT, "temporarily_unavailable"),
    Reason.CLIENT_GRANT_TYPE: (Question.CALLER, "unauthorized_client"),
    Reason.CLIENT_OFF: (Question.CALLER, "invalid_client"),
    Reason.CLIENT_KEYS_UNAVAILABLE: (Question.CALLER, "temporarily_unavailable"),
    Reason.SUBJECT_TOKEN_FOREIGN: (Question.CALLER, "invalid_request"),
    Reason.CONSTRAINT_LOST: (Question.CALLER, "invalid_request"),
    Reason.MAY_ACT_OTHER: (Question.CALLER, "invalid_request"),
    Reason.ACTOR_TOKEN_INVALID: (Question.CALLER, "invalid_request"),
    Reason.ACTOR_TOKEN_EXPIRED: (Question.CALLER, "invalid_request"),
    Reason.ACTOR_TOKEN_FOREIGN: (Question.CALLER, "invalid_request"),
    Reason.ACTOR_TOKEN_REPLAYED: (Question.CALLER, "invalid_request"),
    Reason.ACTOR_TOKEN_OFF: (Question.CALLER, "invalid_request"),
    Reason.NO_EDGE: (Question.CALLER, "invalid_target"),
    Reason.RELEASE_NOT_ALLOWED: (Question.CALLER, "invalid_target"),
    Reason.EDGE_ENDED: (Question.CALLER, "invalid_target"),
    Reason.EDGE_OFF: (Question.CALLER, "invalid_target"),
}
"""Each with its question and the error that the client is told; documented in docs/tokens.md, checked by tests.

What every grant type may be refused for (the client's authentication, its proof of possession, the details and the
sign-in that scopes take, limits, the database) is not of this list.
"""
