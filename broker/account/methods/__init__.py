"""A person's own ways of signing in: looked at, added, taken away.

Owns: /account/sign-in and the pages below it. Offers: a blueprint. Never: changes anything without a fresh sign-in as
strong as the person can; shows a secret twice.
"""
