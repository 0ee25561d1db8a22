"""The limits of the HTTP side, each with why it is that number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebRules:
    """Sizes in bytes, times in seconds."""

    connections_max: int = 256  # at once; a browser opens six to a host, and a process has 1,024 descriptors
    streams_max: int = 64  # event streams and WebSockets at once: each is a task and a reader of the node's events
    head_s: float = 20.0  # from a connection's (or its last answer's) end to a whole request head; also the rest between calls
    stall_s: float = 30.0  # with no byte of a body coming, or none of an answer being taken: then the connection ends
    body_bytes_max: int = 4 << 20  # of a call's body; a job file is as long at most
    job_bytes_max: int = 1 << 30  # of a job's files, unpacked; larger inputs are uploaded as blobs
    job_files_max: int = 10_000  # of a job sent as a folder: what the planner packs from a folder, too
    upload_bytes_max: int = 100 * 10**9  # of one upload to the blob store; the setting http_upload_bytes
    disk_kept_bytes: int = 1 << 30  # of the data folder's disk that uploads leave free: the journal must go on
    calls_burst: int = 2000  # of one credential at once, such as a page that opens
    calls_s: float = 300.0  # afterwards; a node answers a few hundred simple calls a second
    failures_burst: int = 10  # wrong tokens of one address before it is told to wait
    failures_s: float = 0.2  # afterwards: 256 bits are guessed by nobody, so this is against the noise
    clients_max: int = 1024  # credentials and addresses remembered for their rates; the oldest are forgotten
    links_max: int = 16  # one-time links that wait; more end the oldest
    link_s: float = 60.0  # a link's life: long enough for a slow browser to start
    session_s: float = 7 * 86400.0  # a cookie's; a week without `ctorrent open`
    ended_max: int = 256  # cookies given back before their time and known one by one: each took a link or the token to make
    page_rows: int = 100  # of a list, unless asked otherwise
    page_rows_max: int = 1000
    ping_s: float = 15.0  # silence on an event stream before a comment: proxies and browsers take longer silence for an end
