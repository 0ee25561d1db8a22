"""dispatch: which replica of which block goes to which engaged worker, and when it is taken back. Pure; floor 0 only.

    words.py    events and effects, the states of a block, rules and terms
    blocks.py   every block in a few bytes, and the queues of replicas that wait, by the owners they must avoid
    workers.py  one engaged worker: credit, speed, how large its next unit is, strikes
    units.py    assignments in flight: leases, late returns
    shares.py   how much of a job one owner and the newcomers may take
    handout.py  which worker gets what, now; copies for stragglers; replicas nobody may take
    steps.py    what happened lately, for people
    machine.py  the machine: events in, effects out

Papers: Polychronopoulos & Kuck, "Guided self-scheduling", IEEE Trans. Computers 1987 (shrinking units near the end);
Dean & Ghemawat, "MapReduce", OSDI 2004 (copies for stragglers); Gray & Cheriton, "Leases", SOSP 1989.
May be imported by node/ and testing/.
"""
