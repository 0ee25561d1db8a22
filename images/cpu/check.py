"""Run while the image is built: an image that cannot run blocks must not come to be."""

import ctypes
import socket
import ssl
import sys

assert sys.version_info >= (3, 9), "blocks need Python 3.9 or later"
assert ctypes.CDLL(None) and ssl.OPENSSL_VERSION and socket.AF_UNIX, "the sandbox locks itself through ctypes"
print("python", sys.version)
