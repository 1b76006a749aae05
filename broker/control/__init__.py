"""WHETHER: policy, approvals, budgets and idempotency: what one exact call takes before it may happen.

Owns: policies, approval requests, spent budgets, idempotency keys. Offers: one verb each, asked in a fixed order by
decisions and, where authority is given, by tokens. Never: mints, or decides alone.
"""
