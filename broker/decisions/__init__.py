"""The question that a resource's server asks before each call: may this happen? (AuthZEN 1.0)

Owns: the order in which controls are asked, and the record of every answer. Offers: decisions, advice that consumes
nothing, and the reports of what became of calls. Never: a rule of its own about who may do what.
"""
