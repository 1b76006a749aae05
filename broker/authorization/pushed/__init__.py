"""Requests that clients push before they send a browser (RFC 9126): kept for a minute, spent by one answer.

Owns: pushed requests. Offers: `PushedRequests` (kept, found, spent), `Push` (the verb behind /par). Never: asks a
person anything; whoever comes with a request_uri goes through every step of an authorization request again.
"""
