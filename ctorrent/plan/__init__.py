"""From a person's job file to what is signed. Pure: text in, models out; files are read through `Folder`.

    tree      YAML text -> spots: values that know their line and field, so that every error can name both
    kinds     what a field may hold: sizes, seconds, choices …; each kind reads, and describes itself
    values    what travels to the program as it is
    ranges    {from, to, steps} -> values
    block_fields   `blocks:` -> where blocks come from
    fields    the table of all fields
    jobfile   the table of fields -> JobFile
    blocks    JobFile -> drafts of blocks, lazily, in order
    recorded  a file of blocks that the library wrote
    code      which files travel with the job: the program's, what it imports beside it, and `files`
    codemap   their list, whose digest is signed: small ones inside, large ones by digest and size
    outputs   every block's file has a name, and no two the same
    manifest  JobFile -> Manifest
    schema    the same table as a JSON schema

The node imports it; nothing else does.
"""
