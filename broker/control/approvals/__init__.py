"""Approvals of one exact act: asked for, answered by people, used up once.

Owns: approvals and the votes for them. Offers: `offer` and `spend` to decisions, `ask` and `withdraw` to who waits,
`answer` to people. Never: judges whether an approval is needed, or lets a program answer.
"""
