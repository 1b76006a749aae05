"""Setting a new password with a link that an administrator made: for who forgot the old one.

Owns: /login/reset. Offers: a blueprint. Never: signs anybody in, sends mail, or takes a factor away: what else the
person uses to sign in is asked for afterwards as before.
"""
