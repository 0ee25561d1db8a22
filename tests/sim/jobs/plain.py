"""A program that asks for no seed. In simulations it is ctorrent/testing/fake_sandbox.py that says what it gives."""


def plain(item):
    return item
