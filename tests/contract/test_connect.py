"""Connections, against a server of a few lines that remembers what it was told in which order."""

from __future__ import annotations

import asyncio

from ops import connect

INFO = b'INFO {"server_id":"s","version":"2.12.0","max_payload":1048576,"proto":1}\r\n'


async def test_flush_returns_behind_the_answer_for_all_that_was_sent() -> None:
    """A subscription stands when it returns, although nats-py's PING passes it on its way."""
    told: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        while line := await reader.readline():
            told.append(line.decode().split()[0])
            if told[-1] == "PING":
                writer.write(b"PONG\r\n")
        writer.close()

    async def ignore(_message: object) -> None:
        """Nothing comes."""

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = await connect.connect_nats(f"nats://127.0.0.1:{port}", None, "t", patient=False)
    told.clear()
    await connection.subscribe("a", cb=ignore)
    await connect.flush(connection)
    assert told.index("SUB") < len(told) - 1
    assert told[-1] == "PING"
    await connect.close_quietly(connection)
    server.close()
