"""The attack matrix: what verification costs and lets through, measured against every cheat we could think of.

    python -m tests.attacks.matrix --short                          ten minutes on two cores
    python -m tests.attacks.matrix --resume out/matrix/long.jsonl   hours; goes on where it was stopped

Real is the requester's whole node: market, dispatch, draws, jury, audits, own runs, tallies, evidence, ledger, trust,
journal, on the fakes of ctorrent/testing with a mock clock; and the lookers-on of the rows about logs. Workers are
actors (actor.py): each frame, signature and commitment they send is real, but no node stands behind it, since a node a
worker costs ten times as much. Changed in the requester, and why:

    places      of sessions and of a job's auction: 1,024, so that all 200 workers are in at once
    policy      the manifest's verification policy, put in as it is signed
    dispatch    asks once a turn who else fits from 16 workers on, not from 50: the same answer, sooner
    baselines   votes are counted by baselines.py, replicas go out together, newcomers have no lesser share

The requester's own machine never errs here; an honest worker's does in 0.2 % of blocks. A copier's, a liar's and a
double run of the requester's own count as executions like anybody's.

    form.py      sizes                  crowd.py     the requester and its crowd   judge.py    what came of a run
    rows.py      attacks                actor.py     one worker                    cells.py    runs of one cell, stats.py
    policies.py  what is compared       attackers.py how workers cheat             targets.py  what must hold
    baselines.py others' policies       collusion.py what colluders share          table.py    markdown
    run.py       one run                ledgers.py   what hostile logs say         picture.py  SVG
"""
