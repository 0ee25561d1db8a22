"""verify: are two results the same, and which of several is the block's? Pure; imports floor 0 only.

    words.py        events and effects of both machines, and the quorum's rules

Are two outputs the same?

    compare.py      same(left, right, policy): exact, or numeric for floats inside any value; a difference in words
    walk.py         two values side by side, up to the first difference
    measures.py     floats taken together: by length, by the largest, as samples of a distribution
    calibrate.py    by how much results of different hardware may differ: measured, fitted, frozen
    freivalds.py    a product of matrices checked with random probes; sandboxes find it too
    rulings.py      what a function of the job's own said of an output, or of two

What an answer passes before it has a vote

    screen.py       the way through all of these, to quorum or jury
    checks.py       the job's own check judges each output by itself
    comparer.py     comparing by a script in a sandbox; what is known is kept
    doubt.py        a script that gave nothing but faults: it, or outputs made for it to stumble over?
    calibrating.py  which blocks are run for calibration, on whom, and when it is over

Among friends: settled at once

    quorum.py       the machine of one job: re-run alone, self-check, more replicas; majority, dispute, votes
    ballot.py       one block's replicas: which class of equal outputs has a strict majority of owners
    batch.py        what one event settled, gathered into few effects; the jury's too
    blame.py        when a negative vote may be cast, and when the program is to blame instead
    waver.py        who contradicted itself: the program, or one machine

Among strangers: provisional, audited, settled

    jury.py         the machine of one job: voices one after the other, audits, windows, expulsion
    audit.py        whom it believes, and how far: checks passed and failed, what is drawn, who is expelled
    draw.py         what is left to chance, by a secret that the job reveals when it closes
    odds.py         how likely an honest worker is to have been wrong so often
    case.py         one block: its answers by equality, what is outstanding, what was agreed
    docket.py       the blocks that are not final, and whose voices they hold
    windows.py      when a worker's answers become final
    reckoning.py    checks passed and failed, counted as blocks are agreed on
    ownruns.py      blocks that the requester runs itself
    steady.py       does the program give the same when run again, and elsewhere?
    apart.py        is it the worker, or running blocks together?
    record.py       what is known beyond the blocks, over a restart

Papers: Anderson, "BOINC: A Platform for Volunteer Computing", 2019 (replication and validation hooks); Sarmenta,
"Sabotage-tolerance mechanisms for volunteer computing systems", FGCS 2002. May be imported by node/ and testing/.
"""
