"""What a person sees of their own, and takes back: connected apps, sessions, ways of signing in.

Owns: /account and the pages below it. Offers: a blueprint for each door. Never: shows or touches anything of somebody
else's, which is answered like what never was; gives a client anything.
"""
