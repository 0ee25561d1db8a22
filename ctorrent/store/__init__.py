"""What a node keeps on its own disk: the journal, blobs by hash, and the keys.

    folder.py    files that appear whole or not at all; the lock that keeps two nodes off one folder
    schema.py    the journal's file: created, checked, migrated
    batches.py   commits that wait together become one batch: one transaction and one fsync
    writer.py    the process that writes batches down (why not a thread: see there)
    journal.py   ports.Journal on SQLite: `open_journal(path)`
    shelf.py     which blobs are here, how old, who holds them; what must go when room is needed
    blobs.py     ports.BlobStore on a folder: `open_blobs(folder, rules)`
    keyfile.py   one secret in one text file, 0600, refused when anything about it is wrong
    keys.py      ports.Keys: `load_or_create(data_dir, owner_dir)`, and an owner key's way to a second machine

Real room, floor 3: imports floors 0 and 2 only; node/ and the tests import it. The order at a node's start is keys, then
journal (which takes the folder's lock), then blobs: a journal without keys is refused, keys without a journal are not.
Sources: SQLite "Write-Ahead Logging" (sqlite.org/wal.html); group commit: DeWitt et al., SIGMOD 1984.
"""
