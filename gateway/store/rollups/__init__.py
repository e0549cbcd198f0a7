"""Roll-ups: which cover a time, and the sums that are condensed of them.

A month of many keys is some hundred thousand roll-ups, which take a second to add up; by model, by
provider, by key and in all it is a few thousand sums. Writers know nothing of those. One process
makes them when an hour or a day is over, and again if its roll-ups change: records that come late
from a journal, costs that are computed again, what is deleted with age. Readers take them only
where they agree with the roll-ups, and the roll-ups elsewhere. In reading order:

    spans       the fewest roll-ups that cover a time
    stamps      what tells whether condensed sums agree with their roll-ups
    agreement   for which part of a time they do
    statements  the queries that add up, each made once
    condensing  which are to be made, and how
    task        does it in the running gateway, by one of all processes
"""
