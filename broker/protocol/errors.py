"""RFC 6749 sections 4.1.2.1 and 5.2, RFC 8693 section 2.2.2, RFC 8707 section 2: refusals as values.

A refusal says one thing to the client (`error`, `description`) and another to the evidence
(`reason` from a closed list, `detail`). Internal faults are never refusals.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

STATUS = {
    "invalid_request": 400,
    "invalid_client": 401,
    "invalid_grant": 400,
    "unauthorized_client": 400,
    "unsupported_grant_type": 400,
    "unsupported_response_type": 400,
    "invalid_scope": 400,
    "invalid_target": 400,
    "invalid_authorization_details": 400,
    "access_denied": 403,
    "interaction_required": 400,
    "login_required": 400,
    "consent_required": 400,
    "request_not_supported": 400,
    "request_uri_not_supported": 400,
    "invalid_request_uri": 400,
    "unmet_authentication_requirements": 400,
    "insufficient_user_authentication": 400,
    "invalid_redirect_uri": 400,
    "invalid_client_metadata": 400,
    "invalid_software_statement": 400,
    "invalid_token": 401,
    "insufficient_scope": 403,
    "invalid_dpop_proof": 400,
    "use_dpop_nonce": 400,
    "authorization_pending": 400,
    "slow_down": 400,
    "expired_token": 400,
    "temporarily_unavailable": 503,
    "server_error": 500,
}
"""Every error code that the server can answer, with its usual status."""


class Reason(StrEnum):
    """Why something was refused: the closed list that audit records use."""

    MALFORMED = "malformed"
    REPEATED_PARAMETER = "repeated_parameter"
    PARAMETER_MISSING = "parameter_missing"
    PARAMETER_NOT_SUPPORTED = "parameter_not_supported"
    TOO_LARGE = "too_large"
    CLIENT_UNKNOWN = "client_unknown"
    CLIENT_AUTHENTICATION_FAILED = "client_authentication_failed"
    CLIENT_AUTHENTICATION_REPEATED = "client_authentication_repeated"
    CLIENT_METHOD_MISMATCH = "client_method_mismatch"
    CLIENT_ASSERTION_INVALID = "client_assertion_invalid"
    CLIENT_ASSERTION_REPLAYED = "client_assertion_replayed"
    CLIENT_KEYS_UNAVAILABLE = "client_keys_unavailable"
    CLIENT_CERTIFICATE_INVALID = "client_certificate_invalid"
    CLIENT_DOCUMENT_ADDRESS = "client_document_address"
    CLIENT_DOCUMENT_UNREACHABLE = "client_document_unreachable"
    CLIENT_DOCUMENT_INVALID = "client_document_invalid"
    CLIENT_DOCUMENT_DISTRUSTED = "client_document_distrusted"
    CLIENT_OFF = "client_off"
    CLIENT_GRANT_TYPE = "client_grant_type"
    GRANT_TYPE_UNKNOWN = "grant_type_unknown"
    REDIRECT_URI_MISMATCH = "redirect_uri_mismatch"
    REDIRECT_URI_REFUSED = "redirect_uri_refused"
    METADATA_REFUSED = "metadata_refused"
    SOFTWARE_STATEMENT_REFUSED = "software_statement_refused"
    REGISTRATION_TOKEN_WRONG = "registration_token_wrong"
    DPOP_MISSING = "dpop_missing"
    DPOP_INVALID = "dpop_invalid"
    DPOP_REPLAYED = "dpop_replayed"
    DPOP_NONCE = "dpop_nonce"
    DPOP_KEY_MISMATCH = "dpop_key_mismatch"
    CERTIFICATE_MISSING = "certificate_missing"
    CERTIFICATE_MISMATCH = "certificate_mismatch"
    CONSTRAINT_LOST = "constraint_lost"
    PKCE_MISSING = "pkce_missing"
    PKCE_METHOD = "pkce_method"
    PKCE_MISMATCH = "pkce_mismatch"
    CODE_UNKNOWN = "code_unknown"
    CODE_EXPIRED = "code_expired"
    CODE_FOREIGN = "code_foreign"
    CODE_REPLAYED = "code_replayed"
    DEVICE_PENDING = "device_pending"
    DEVICE_TOO_FAST = "device_too_fast"
    DEVICE_NOT_ALLOWED = "device_not_allowed"
    DEVICE_CODE_UNKNOWN = "device_code_unknown"
    DEVICE_CODE_EXPIRED = "device_code_expired"
    DEVICE_CODE_FOREIGN = "device_code_foreign"
    DEVICE_CODE_REPLAYED = "device_code_replayed"
    USER_CODE_WRONG = "user_code_wrong"
    REFRESH_UNKNOWN = "refresh_unknown"
    REFRESH_EXPIRED = "refresh_expired"
    REFRESH_FOREIGN = "refresh_foreign"
    REFRESH_REPLAYED = "refresh_replayed"
    REFRESH_SUPERSEDED = "refresh_superseded"
    RESOURCE_UNKNOWN = "resource_unknown"
    RESOURCE_MISSING = "resource_missing"
    RESOURCE_REPEATED = "resource_repeated"
    RESOURCE_MISMATCH = "resource_mismatch"
    RESOURCE_NOT_ALLOWED = "resource_not_allowed"
    RESOURCE_OFF = "resource_off"
    SCOPE_UNKNOWN = "scope_unknown"
    SCOPE_WIDENED = "scope_widened"
    SCOPE_EMPTY = "scope_empty"
    DETAILS_MALFORMED = "details_malformed"
    DETAILS_TYPE_UNKNOWN = "details_type_unknown"
    DETAILS_TYPE_NOT_REGISTERED = "details_type_not_registered"
    DETAILS_RESOURCE = "details_resource"
    DETAILS_TOOL_UNKNOWN = "details_tool_unknown"
    DETAILS_WIDENED = "details_widened"
    DETAILS_EMPTY = "details_empty"
    DETAILS_LOST = "details_lost"
    TENANT_UNKNOWN = "tenant_unknown"
    TENANT_OFF = "tenant_off"
    TENANT_NOT_SERVED = "tenant_not_served"
    USER_OFF = "user_off"
    USER_UNKNOWN = "user_unknown"
    NOT_A_MEMBER = "not_a_member"
    GRANT_OFF = "grant_off"
    GRANT_EXPIRED = "grant_expired"
    TOKEN_OFF = "token_off"
    EVERYTHING_OFF = "everything_off"
    SUBJECT_TOKEN_INVALID = "subject_token_invalid"
    SUBJECT_TOKEN_EXPIRED = "subject_token_expired"
    SUBJECT_TOKEN_FOREIGN = "subject_token_foreign"
    SUBJECT_TOKEN_TYPE = "subject_token_type"
    REQUESTED_TOKEN_TYPE = "requested_token_type"
    ACTOR_TOKEN_TYPE = "actor_token_type"
    ACTOR_TOKEN_INVALID = "actor_token_invalid"
    ACTOR_TOKEN_EXPIRED = "actor_token_expired"
    ACTOR_TOKEN_FOREIGN = "actor_token_foreign"
    ACTOR_TOKEN_REPLAYED = "actor_token_replayed"
    ACTOR_TOKEN_OFF = "actor_token_off"
    ACTOR_OFF = "actor_off"
    MAY_ACT_OTHER = "may_act_other"
    SESSION_OVER = "session_over"
    NO_EDGE = "no_edge"
    EDGE_ENDED = "edge_ended"
    EDGE_OFF = "edge_off"
    RESOURCE_BEHIND_OFF = "resource_behind_off"
    EDGE_BEHIND_OFF = "edge_behind_off"
    EDGE_NOT_CONSENTED = "edge_not_consented"
    SUBJECT_IS_NO_USER = "subject_is_no_user"
    CHAIN_TOO_DEEP = "chain_too_deep"
    CHAIN_TOO_LARGE = "chain_too_large"
    RELEASE_NOT_ALLOWED = "release_not_allowed"
    CONNECTION_MISSING = "connection_missing"
    CONNECTION_BROKEN = "connection_broken"
    CONNECTION_NARROW = "connection_narrow"
    CONNECTION_WIDE = "connection_wide"
    CONNECTION_UNREADABLE = "connection_unreadable"
    CONNECTION_FOREIGN = "connection_foreign"
    PROVIDER_UNKNOWN = "provider_unknown"
    PROVIDER_NOT_ACCEPTED = "provider_not_accepted"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_REFUSED = "provider_refused"
    PROVIDER_MISMATCH = "provider_mismatch"
    PROVIDER_ANSWER_INVALID = "provider_answer_invalid"
    PROVIDER_VISIT_UNKNOWN = "provider_visit_unknown"
    ISSUER_UNTRUSTED = "issuer_untrusted"
    ISSUER_UNAVAILABLE = "issuer_unavailable"
    ISSUER_OFF = "issuer_off"
    ASSERTION_INVALID = "assertion_invalid"
    ASSERTION_EXPIRED = "assertion_expired"
    ASSERTION_REPLAYED = "assertion_replayed"
    ASSERTION_FOREIGN = "assertion_foreign"
    WORKLOAD_UNKNOWN = "workload_unknown"
    RECIPIENT_UNKNOWN = "recipient_unknown"
    IDENTITY_NOT_LINKED = "identity_not_linked"
    IDENTITY_TAKEN = "identity_taken"
    PASSWORD_WRONG = "password_wrong"
    PASSWORD_UNFIT = "password_unfit"
    OTP_WRONG = "otp_wrong"
    OTP_REPLAYED = "otp_replayed"
    STEP_UNKNOWN = "step_unknown"
    CHALLENGE_UNKNOWN = "challenge_unknown"
    PASSKEY_UNKNOWN = "passkey_unknown"
    PASSKEY_INVALID = "passkey_invalid"
    PASSKEY_COUNTER = "passkey_counter"
    PASSKEY_FOREIGN = "passkey_foreign"
    CREDENTIAL_UNKNOWN = "credential_unknown"
    CREDENTIAL_TAKEN = "credential_taken"
    CREDENTIALS_TOO_MANY = "credentials_too_many"
    LAST_WAY_IN = "last_way_in"
    SIGN_IN_STALE = "sign_in_stale"
    RESET_UNKNOWN = "reset_unknown"
    RESET_FOREIGN = "reset_foreign"
    CSRF = "csrf"
    CROSS_SITE = "cross_site"
    INTERACTION_UNKNOWN = "interaction_unknown"
    USER_DENIED = "user_denied"
    LOGIN_REQUIRED = "login_required"
    CONSENT_REQUIRED = "consent_required"
    AUTHENTICATION_UNMET = "authentication_unmet"
    POLICY_DENIED = "policy_denied"
    AUTHENTICATION_TOO_WEAK = "authentication_too_weak"
    HINT_INVALID = "hint_invalid"
    NOT_PUSHED = "not_pushed"
    REQUEST_URI_UNKNOWN = "request_uri_unknown"
    REQUEST_URI_USED = "request_uri_used"
    REQUEST_URI_EXPIRED = "request_uri_expired"
    RATE_LIMITED = "rate_limited"
    BUDGET_EXHAUSTED = "budget_exhausted"
    FAN_OUT = "fan_out"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    NOT_THE_CALLERS = "not_the_callers"
    LOGOUT_UNDELIVERED = "logout_undelivered"
    WEBHOOK_UNDELIVERED = "webhook_undelivered"
    DECISION_UNKNOWN = "decision_unknown"
    OUTCOME_DIFFERS = "outcome_differs"
    NOT_ASKED = "not_asked"
    APPROVAL_UNKNOWN = "approval_unknown"
    APPROVAL_OVER = "approval_over"
    APPROVER_NOT_ALLOWED = "approver_not_allowed"
    APPROVER_NO_PERSON = "approver_no_person"
    APPROVER_NOT_VERIFIED = "approver_not_verified"
    BINDING_INVALID = "binding_invalid"
    NOTICE_UNDELIVERED = "notice_undelivered"
    PROOF_UNREACHABLE = "proof_unreachable"
    PROOF_MISSING = "proof_missing"
    PROOF_OF_ANOTHER = "proof_of_another"
    PROOF_WITHOUT_DOOR = "proof_without_door"


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a refusal brings with it, done in the refusal's own transaction: the grant that ends."""

    grant_id: str
    tenant: str


@dataclass(frozen=True, slots=True)
class About:
    """What something was asked for with: the token's story, or that of its grant, leads to the refusal."""

    tenant: str
    subject: str | None
    jti: str | None
    txn: str | None
    grant_id: str | None


class OAuthError(Exception):
    """A refusal. `description` is shown to the client; `detail` goes to the log and the evidence only.

    `redirectable` is false while neither client nor redirect URI is trusted (RFC 6749 section 4.1.2.1). `client` is
    one that is known here and did not prove itself. `more` are further members of the answer.
    `about` is a token that it was refused with.
    """

    def __init__(
        self,
        error: str,
        description: str,
        reason: Reason,
        *,
        status: int | None = None,
        detail: str = "",
        redirectable: bool = True,
        retry_after: int | None = None,
        interaction_uri: str | None = None,
        dpop_nonce: str | None = None,
        consequence: Consequence | None = None,
        client: str | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(error)
        self.error = error
        self.status = STATUS[error] if status is None else status
        self.description = description
        self.reason = reason
        self.detail = detail
        self.redirectable = redirectable
        self.retry_after = retry_after
        self.interaction_uri = interaction_uri
        self.dpop_nonce = dpop_nonce
        self.consequence = consequence
        self.client = client
        self.more = more or {}
        self.about: About | None = None

    def body(self) -> dict[str, object]:
        """The JSON members of the answer."""
        members: dict[str, object] = {"error": self.error, "error_description": self.description}
        if self.interaction_uri:
            members["interaction_uri"] = self.interaction_uri
        return members | dict(self.more)


@contextmanager
def concerning(token: About | None) -> Iterator[None]:
    """A refusal inside is about this token."""
    try:
        yield
    except OAuthError as error:
        error.about = error.about or token
        raise


def too_many(description: str, ends_in: float) -> OAuthError:
    """RFC 6585 section 4: a limit was reached, for so many seconds; what is wrong with the request is not said."""
    return OAuthError(
        "temporarily_unavailable",
        description,
        Reason.RATE_LIMITED,
        status=429,
        retry_after=int(ends_in) + 1,
        redirectable=False,
    )
