"""The SDK that an MCP server runs in front of its tools.

Owns: verifying access tokens and proofs, the source of keys, enforcing scopes, challenges, the resource's own metadata,
exchange for downstream tokens, asking a person through their client, adapters (ASGI, the official MCP SDK).
Offers: `Guard`, and `Verifier`, which the authorization server uses for its own tokens too.
Never does: keep a database, import another room than `protocol`, trust what it has not verified.
"""
