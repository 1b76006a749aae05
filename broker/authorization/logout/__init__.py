"""Signing out: a client sends its user here, and clients are told when a sign-in has ended.

Owns: /logout, notices on their way to clients. Offers: `Departures`, `LogoutNotices`, a blueprint. Never: sends a
browser to an address that its client did not register, or ends what a person allowed a client to keep.
"""
