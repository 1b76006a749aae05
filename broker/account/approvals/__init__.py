"""The pages on which a person sees and answers the calls that wait for an approval, and those asked in their name.

Owns: /approvals and the pages below it. Offers: a blueprint for each door. Never: takes an answer from a program, or
shows anything to a person who neither may answer it nor has it asked in their name.
"""
