"""All that a guard must know of its resource, as one statement that a door signs.

Owns: /access/v1/catalogue. Offers: the statement to the own client of the resource, made once for each estate.
Never: tells anybody else that there is such a resource, or says what is off: that is the feed's.
"""
