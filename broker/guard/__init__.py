"""The SDK that an MCP server runs in front of its tools.

Owns: verifying access tokens and proofs, the sources of keys and catalogue, enforcing scopes, challenges, filtering
lists, asking decisions and doing what they oblige to, reports of what became of calls, bounds of a server, exchange.
Offers: `Guard`, adapters (ASGI, WSGI, the official MCP SDK), and `Verifier`, which the authorization server uses too.
Never does: keep a database, import another room than `protocol`, trust what it has not verified.
"""
