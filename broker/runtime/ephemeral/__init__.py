"""Short-lived state that may be lost: how often something happened within a running window, for limits.

Owns: counters in fixed windows of the caller's clock, in this process (`memory`) or shared (`redis`).
Offers: `Ephemeral`, four verbs that both stand behind, and whether the shared store answers.
Never: decides single use, revocation or evidence; keeps anything longer than its window.
"""
