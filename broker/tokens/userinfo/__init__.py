"""Who the user is, told to a client that was allowed to know.

Owns: /userinfo. Offers: `UserInfo`, a blueprint. Never: takes a token that is for another place, or one whose sender
does not hold what it is bound to.
"""
