"""Checks a server that only sends with Python's `websockets`: push_python.py ws://ADDR/"""

import asyncio
import sys
import time

from websockets.asyncio.client import connect

SECONDS = 10
# A server that reads nothing would let the client wait for 10 s.
AT_ONCE = 1


async def main(url: str) -> None:
    async with connect(url, proxy=None, ping_interval=None) as socket:
        for number in range(2):
            got = await socket.recv()
            assert got == str(number), f"got {got!r}, wanted {number}"
        # Data is discarded, and is no reason to stop.
        await socket.send("is anybody there?")
        begun = time.monotonic()
        await (await socket.ping(b"still there?"))
        took = time.monotonic() - begun
        assert took < AT_ONCE, f"the pong took {took:.3f} s"
        assert await socket.recv() == "2"
        begun = time.monotonic()
        await socket.close(4000, "enough")
        took = time.monotonic() - begun
        assert took < AT_ONCE, f"closing took {took:.3f} s"
        assert socket.close_code == 4000, f"closed with {socket.close_code}"
    print(f"ok: pings are answered, and closing took {took * 1000:.1f} ms")


if len(sys.argv) != 2:
    sys.exit("usage: push_python.py ws://ADDR/")
asyncio.run(asyncio.wait_for(main(sys.argv[1]), SECONDS))
