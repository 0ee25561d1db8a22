"""verify: are two results the same, and which of several is the block's? Pure; imports floor 0 only.

    words.py    events and effects of the quorum machine, and its rules
    compare.py  same(left, right, policy): exact, or numeric for floats inside any value; a difference in words
    ballot.py   one block's replicas: which class of equal outputs has a strict majority of owners
    batch.py    what one event settled, gathered into few effects
    blame.py    when a negative vote may be cast, and when the program is to blame instead
    waver.py    who contradicted itself: the program, or one machine
    quorum.py   the machine of one job: re-run alone, self-check, more replicas; majority, dispute, votes

Papers: Anderson, "BOINC: A Platform for Volunteer Computing", 2019 (replication and validation hooks); Sarmenta,
"Sabotage-tolerance mechanisms for volunteer computing systems", FGCS 2002. May be imported by node/ and testing/.
"""
