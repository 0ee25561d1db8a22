"""Functions on the network: what a notebook or a script calls. A part of the client face.

    function   pack(fn): a function, made ready to travel
    imports    what it needs where it runs: packages by name, modules of one's own as source
    inside     what opens it in a worker's sandbox; travels with the job, opener with it
    items      one item of a map -> the arguments of one call
    sending    a function and its items -> a job in a folder of its own, and to the node
    mapping    net.map, and the MapResult that it gives
    pickles    results that are none: from one's own machines alone, where one says so
    values     results as data; register(type, encode, decode)
    failures   a failed call as an exception here
    interrupt  Ctrl-C as one sentence
    progress   the bar, in a terminal and in a notebook; lines: what a pipe gets instead
    table      rows as a DataFrame or a dict of columns
    rows       net.jobs, net.peers, net.offers
    job        one job and its rows; jobtext: a job file's text
    trio_net   the same, awaited
    arrays     large ones among arguments, once for all calls that have them
    executor, future, open_job, task, joblib_backend: calls one by one, as blocks of a job that stays open
"""
