"""What nodes say to each other, as bytes. Pure.

    pb/            generated from protos/ctorrent/v1/*.proto by protos/generate.py; only codec*.py import it
    codec          model <-> bytes: seal and open what is signed, encode and decode what is not; limits on every decode
    codec_*        the same by subject; codec_bounds has the limits and the checks that they share
    frame          frames and credit on a stream
    names          protocol ids, topics, versions, and the limits that both ends must share

Rooms of floor 3 and above import it. Signed bytes are Protocol Buffers (proto3, no maps, no float) in canonical form:
fields ascending, defaults left out, shortest varints. tests/wire/vectors/ holds one of each, recorded once.
"""
