"""Who is told that a call waits for their answer, by mail and by webhook.

Owns: the mails that wait. Offers: `Notices` (queue within the request's transaction, deliver afterwards). Never: says
more than an id, a tool and a link that needs signing in: no argument, no secret, and no way to answer.
"""
