"""A provider that takes 100 ms for everything and says yes, in PayWizard's words.

It keeps nothing, so that what is measured is the asking and not the answering.
"""

import asyncio
import itertools
import sys

SECONDS = 0.1
_numbers = itertools.count(933358163137200000)


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].split(b"\r\n")[0].strip()
            await reader.readexactly(int(length or 0))
            await asyncio.sleep(SECONDS)
            body = b'{"code":200,"msg":"success","data":{"result":0,"checkoutId":"%d"}}' % next(_numbers)
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(_talk, "127.0.0.1", port, backlog=500)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
