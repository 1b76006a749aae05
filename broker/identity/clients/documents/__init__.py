"""Clients that publish their own metadata: a `client_id` that is the URL of a document.

Owns: which URLs are one, what a document may say, how fresh it is. Offers: `Documents.freshen`, which makes the row of
such a client as good as its document; rules about trust and about what a consent rests on. Never: believes a document
over an administrator, fetches inside a transaction, reaches what `egress` does not.
"""
