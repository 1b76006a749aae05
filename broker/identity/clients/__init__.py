"""Clients: who asks for tokens, registered beforehand or by themselves.

Owns: client rows and the hashes of their secrets. Offers: `Clients` (look up), `Registration` (RFC 7591), `Management`
(RFC 7592), `authentication` (one file per method). Never: a secret in clear, a decision about scope.
"""
