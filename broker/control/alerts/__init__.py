"""What somebody has to look at: that a tenant is refused unusually often, or that calls ran whose outcome nobody knows.

Owns: the thresholds. Offers: `Spikes` (a background duty; once an hour for each tenant and kind).
Never: decides anything, or says more than numbers; who spends too much is told of by `budgets`.
"""
