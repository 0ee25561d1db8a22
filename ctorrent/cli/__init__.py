"""The `ctorrent` command, written on the library.

    main      the command tree, errors and exit codes
    options   options and connections that commands share
    show      numbers, names and tables for people; JSON for programs
    node      `ctorrent node`: the one command that starts a node in this process
    submit    `submit`, with follow (live progress) and report (how the answer came about)
    jobs      jobs status results logs cancel pause resume why, and job schema
    people    peers friend invite owner
    ledger    ledger reputation
    lend      share retry
    machine   doctor env image

Exit codes: 0 done; 2 something of this machine or this person (usage, settings, a job file); 3 a job that ended with
failed or disputed blocks, or paused itself; 1 all else.
"""
