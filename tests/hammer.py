"""Many keep-alive clients at once, each a socket of its own. It runs as a process of its own:

    python hammer.py < plan.json > outcome.json

The plan names host, port, clients, rounds and the requests, each a raw text; every client sends
them in turn, ``rounds`` times, beginning at a place of its own. The outcome counts the answers by
``METHOD path status``. A connection that breaks counts as 0.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import Any

PATIENCE = 60


async def hammer(plan: dict[str, Any]) -> Counter[str]:
    """Send the whole plan; count what comes back."""
    statuses: Counter[str] = Counter()
    await asyncio.gather(*(client(number, plan, statuses) for number in range(plan["clients"])))
    return statuses


async def client(number: int, plan: dict[str, Any], statuses: Counter[str]) -> None:
    """One client; it connects again where the server closed."""
    requests = plan["requests"]
    connection = None
    for turn in range(number, number + plan["rounds"] * len(requests)):
        request: str = requests[turn % len(requests)]
        name = " ".join(request.split(" ", 2)[:2])
        try:
            if connection is None:
                connection = await asyncio.open_connection(plan["host"], plan["port"])
            status, stays, again = await asyncio.wait_for(
                exchange(*connection, request.encode()), PATIENCE
            )
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            status, stays, again = 0, False, False
        statuses[f"{name} {status}{' again' if again else ''}"] += 1
        if not stays and connection is not None:
            connection[1].close()
            connection = None


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bool, bool]:
    """Status, whether the connection stays open, whether the answer says when to come again."""
    writer.write(request)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = head.partition("content-length:")[2].partition("\r\n")[0].strip()
    await reader.readexactly(int(length or 0))
    return int(head.split(" ", 2)[1]), "connection: close" not in head, "retry-after:" in head


if __name__ == "__main__":
    print(json.dumps(asyncio.run(hammer(json.load(sys.stdin)))))
