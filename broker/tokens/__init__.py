"""The token endpoint: the one way through which authority becomes a token.

Owns: the pipeline, grants/ (one file per grant type), mint/ (one file per kind of token), refresh families,
introspection, revocation. Offers: `Pipeline.issue`. Never: lets anybody else mint.
"""
