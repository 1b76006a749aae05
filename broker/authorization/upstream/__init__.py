"""Signing in at an identity provider, on the way to somewhere: out to it, and back.

Owns: /login/upstream. Offers: a blueprint, and what the sign-in page offers (`offers`). Never: judges what a provider
says (identity/federation does), or sends a browser anywhere but to a provider of the estate and back into its own way.
"""
