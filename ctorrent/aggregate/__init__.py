"""From blocks' values to the answer. Pure.

    reduce   the built-in reducers: sum, mean, concat, table, best-by FIELD; fed one block at a time, in index order
    fold     adding values of any accepted shape: numbers, arrays, maps of them

The node imports it. A reduce function of the user's runs in the sandbox, never here.
"""
