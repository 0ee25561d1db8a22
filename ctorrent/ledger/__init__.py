"""The ledger, as decisions: who wrote what in which order, what it proves, and what to think of it. Pure; no I/O.

chain       heads, gaps and forks of every author's logs
own         where this node's own next entry goes
checkpoint  an author's log in short, and whether it is true
shares      who takes how much of the room for entries, and who gives way
summary     fingerprints over many logs
sync        the meeting of two nodes (machine); words: its messages as plain lists
tally       verdicts into votes
evidence    does what is shown carry the vote it stands behind? evidence_words: it and the questions for it as plain lists,
            paths: Merkle paths that say where they lead from
reputation  votes into what this node thinks of a worker; testimony: what it holds of them, weighing: what each counts,
            eigentrust: how far trust in signers flows, quarantine: who is held and the way back, beta: the mathematics
credit      receipts into balances between persons, and how far each may be in debt
rules       every limit; trust_rules: every number behind trust

Imports floor 0 only. Imported by node/, which opens and verifies entries before they come here and stores what is
accepted. Papers: Meyer, "Range-Based Set Reconciliation", 2023; Jøsang and Ismail, "The Beta Reputation System", 2002;
Kamvar, Schlosser, Garcia-Molina, "The EigenTrust Algorithm", WWW 2003; Page, "Continuous Inspection Schemes", 1954;
Li et al., "Secure Untrusted Data Repository (SUNDR)", OSDI 2004 (forks of signed histories).
"""
