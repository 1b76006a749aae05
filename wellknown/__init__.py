"""What the server says of itself.

Owns: the documents of RFC 8414, OpenID discovery and RFC 9728, their addresses, and how they are served.
Offers: dataclasses of plain values that render to documents, `Document`, a Flask blueprint over a `Source`.
Never does: know a tenant, a key or a resource; read a database; import the broker.
"""
