"""What was permitted, under which idempotency key, and what came of it.

Owns: permits, each with its key while that lasts, and its outcome. Offers: `Keys`: begin once, finish once, and the
list of what is open. Never: judges whether a call may happen.
"""
