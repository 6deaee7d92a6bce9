"""An HTTP/1.1 client (RFC 9110, 9112) on asyncio and httptools.

Beneath `clients/transport_asyncio.py`, its only caller. It makes calls and keeps
connections; what a failure means to us, and whether to repeat, is decided above.
Neither redirects nor cookies, proxies, compression, pipelining or upgrades.
"""
