"""The registered strings (IANA OAuth parameters, RFC 8693 section 3, RFC 9068), each spelled once."""

AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105  a grant type, not a secret
CLIENT_CREDENTIALS = "client_credentials"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  a grant type
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a token type
JWT_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105  a token type
ID_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105  a token type
REFRESH_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:refresh_token"  # noqa: S105  a token type
ID_JAG_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id-jag"  # noqa: S105  a token type
ID_JAG_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
TOKEN_TYPES = (ACCESS_TOKEN_TYPE, JWT_TOKEN_TYPE)

TYP_ACCESS_TOKEN = "at+jwt"  # noqa: S105  RFC 9068 section 2.1
TYP_RESOURCE_METADATA = "resource-metadata+jwt"
TYP_ID_TOKEN = "JWT"  # noqa: S105  OpenID Connect Core section 2 names none; RFC 7519 section 5.1
TYP_INTROSPECTION = "token-introspection+jwt"  # RFC 9701 section 5
TYP_CATALOGUE = "catalogue+jwt"
TYP_ID_JAG = "oauth-id-jag+jwt"
TYP_LOGOUT_TOKEN = "logout+jwt"  # noqa: S105  OpenID Connect Back-Channel Logout section 2.4

OFFLINE_ACCESS = "offline_access"
OPENID = "openid"
PROFILE = "profile"
EMAIL = "email"
IDENTITY_SCOPES = (OPENID, PROFILE, EMAIL)
"""OpenID Connect Core section 5.4: what a client may learn of the user; never a resource's scopes."""

NONE = "none"
CLIENT_SECRET_BASIC = "client_secret_basic"  # noqa: S105  a method
CLIENT_SECRET_POST = "client_secret_post"  # noqa: S105  a method
PRIVATE_KEY_JWT = "private_key_jwt"
TLS_CLIENT_AUTH = "tls_client_auth"
WORKLOAD_JWT = "workload_jwt"
"""Not registered anywhere, and never advertised: a token of the client's platform says who it is."""
JWT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

SIGNING_ALGORITHMS = ("ES256", "EdDSA", "RS256", "PS256")
DEFAULT_ALGORITHM = "ES256"
