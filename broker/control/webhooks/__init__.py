"""What an administrator's own systems are told: signed webhooks, by the Standard Webhooks specification.

Owns: the notices that wait, the signature. Offers: `Webhooks` (queue within the act's transaction; deliver afterwards,
with growing pauses). Never: holds up what a notice tells of, follows a redirect, reaches a private address, or says
more than ids and numbers.
"""
