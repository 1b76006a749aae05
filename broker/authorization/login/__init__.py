"""Signing in, on the way to somewhere: the pages on which a person proves who they are.

Owns: /login. Offers: a blueprint. Never: says what the person then may do, or goes to an address that a request names:
it leads on to what waits in this browser, or to a page of a fixed list.
"""
