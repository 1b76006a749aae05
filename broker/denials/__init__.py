"""What is off or revoked.

Owns: denials (switches and revocations), numbered in the order they were thrown. Offers: throw, lift, and
`off`, read inside the transaction that mints or decides. Never: knows why something was thrown.
"""
