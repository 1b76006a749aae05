"""How much may happen: rates, calls at once and daily budgets, of everybody and everything that a call concerns.

Owns: budgets that administrators set, what was spent of them. Offers: `Budgets` (enter and back before a decision's
transaction, spend within it, left when the outcome comes). Never: lets more through when it cannot count together.
"""
