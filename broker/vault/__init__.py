"""Tokens of downstream systems that are not ours, sealed: whoever connected an account there lets servers use it.

Owns: the table of providers, connections and their tokens, visits to a provider under way, what was released to whom,
what a provider still has to be told. Offers: `Visits` (begin, finish), `Connections`, `Refreshing`, `Releases`,
`Farewells`. Never: gives a refresh token to anybody but its provider, talks to a provider inside a transaction, takes
an address from what a provider says, or loses a token because a provider is in trouble.
"""
