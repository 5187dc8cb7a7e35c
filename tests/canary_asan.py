"""Read memory of a dead array: under AddressSanitizer this must not survive.

The checks run it first: if it ends normally, the sanitizer is not at work, and a green
run of the tests would say nothing.
"""

import ctypes

import wspace

ws = wspace.Workspace("canary", initial_size="1MiB")
with ws:
    array = ws.zeros(1000)
    address = array.ctypes.data
    del array
    ctypes.string_at(address, 8000)
