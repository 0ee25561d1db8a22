"""A node's Door over HTTP: an API for programs, and the page for people. In the node's own process, on its own trio.

    place        where it listens, and how that is refused or changed         (light: no web library)
    tokens       who may call: the bearer token, the page's cookie, the one-time link         (light)
    ended        the cookies that were given back                                             (light)
    certificate  TLS for an address that others reach
    serving      Hypercorn's trio worker on our sockets: limits of connections and of slowness
    guard        what every request passes before a route sees it: host, origin, token, rates, sizes
    problems     our errors as problem+json
    jsonable     canonical values as JSON
    uploads      what is sent in, by way of a file in the data folder
    *_routes     the paths, by subject; app puts them together

Imports door, model, errors and canon of ours, and is handed a Door: it knows no node. docs/http.md is its page.
"""
