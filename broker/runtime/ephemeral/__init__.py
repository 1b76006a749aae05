"""Short-lived state that may be lost: how often something happened, how fast, and how much of it at once, for limits.

Owns: counters in fixed windows of the caller's clock, rates and leased places, in this process (`memory`) or shared
(`redis`). Offers: `Ephemeral`, the verbs that both stand behind, and whether the shared store answers.
Never: decides single use, revocation or evidence; keeps anything longer than it runs.
"""
