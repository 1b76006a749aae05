"""What was handed out: which access token of a provider went to which server, and what became of it.

Owns: releases. Offers: `Releases` (note one within the mint's transaction; watch what was switched off or revoked).
Never: keeps a token, only the hash that the evidence has.
"""
