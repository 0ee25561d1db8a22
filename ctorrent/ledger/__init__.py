"""The ledger, as decisions: who wrote what in which order, what it proves, and what to think of it. Pure; no I/O.

chain       heads, gaps and forks of every author's logs
own         where this node's own next entry goes
summary     fingerprints over many logs
sync        the meeting of two nodes (machine); words: its messages as plain lists
tally       verdicts into votes
reputation  votes into what this node thinks of a worker; beta: the mathematics
rules       every limit

Imports floor 0 only. Imported by node/, which opens and verifies entries before they come here and stores what is
accepted. Papers: Meyer, "Range-Based Set Reconciliation", 2023; Jøsang and Ismail, "The Beta Reputation System", 2002;
Li et al., "Secure Untrusted Data Repository (SUNDR)", OSDI 2004 (forks of signed histories).
"""
