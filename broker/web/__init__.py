"""Manners that all HTTP faces share, and the pages that people see.

Owns: forms, headers, CSRF, the session cookie, rendering of answers and errors, templates, static, texts.
Offers: views (frozen dataclasses), one function each that returns HTML; what others named passes `display`.
Never: decides anything, reads a store, needs JavaScript, or loads anything from another origin.
"""
