"""Browser sessions: who signed in where, how and when.

Owns: session rows, found by the hash of their cookie. Offers: `start`, `current`, `end`; a new id at every change
of privilege. Never: knows passwords or what a session is used for.
"""
