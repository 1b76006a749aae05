"""Devices without a browser of their own: connected by a person who types a short code in theirs (RFC 8628).

Owns: device codes, /device_authorization, /device. Offers: `Start`, `Entry`, `Devices` (approve, deny), `codes`
(poll, redeem). Never: asks a second time: what a code leads to is a request like any other, with the same consent.
"""
