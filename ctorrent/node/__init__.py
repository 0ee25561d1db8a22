"""The node: where pure rooms meet real ones. Nothing above imports anything below but through here.

    settings    what a person chose, read once from file, environment and flags
    records     spaces of the journal and the shape of each record
    people      owners, friends, swarms, invites: who a peer is and which rings it is in
    loopback    a channel from this node to itself
    session     messages over a channel, introductions
    seeder      blobs to and from peers
    scribe      this node's entries, what it hears of others', reputation
    ledgerbook  the logs in the journal, and who learns from which kind of entry
    meetings    two nodes compare their logs
    worker      answers announcements, runs units, returns results
    bench       the cells a worker keeps warm, and what is allotted to them
    requester   jobs of this node: from file to answer
    coordinate  one job: feeds its machines, performs their effects
    plain       models -> the plain maps that cross the door
    doorway     the Door
    control     the Door on a local socket
    node        the wiring diagram

Everything here touches the world only through ports.py, so that a simulation runs this very code.
"""
