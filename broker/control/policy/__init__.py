"""Cedar: whether a call may happen, whether somebody has to allow it first, and which scopes may be given at all.

Owns: policies that an estate has beside the built-in ones. Offers: a verdict on an act, a ceiling for a mint, both
explained. Never: asks anybody, spends anything, or looks at what the client says of its intent. A fault is a no.
"""
