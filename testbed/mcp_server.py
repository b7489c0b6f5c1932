"""A real MCP server on the official Python SDK: 2026-07-28, and 2025-11-25 with sessions (GET streams, DELETE).

    python mcp_server.py --port N [--record FILE]
"""

import argparse
import asyncio
import itertools
import json
import time

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--record")
options = parser.parse_args()
server = MCPServer("testbed-python")


def record_run(ran, **arguments):
    """The same line as record.mjs writes before a tool runs"""
    if options.record:
        with open(options.record, "a") as file:
            file.write(json.dumps({"ran": ran, "arguments": arguments}, separators=(",", ":")) + "\n")


@server.tool()
def echo(message: str) -> str:
    """Says the message back"""
    record_run("echo", message=message)
    return message


@server.tool()
async def slow(ctx: Context, steps: int, ms: int) -> str:
    """Reports progress, then answers"""
    record_run("slow", steps=steps, ms=ms)
    for progress in range(1, steps + 1):
        await asyncio.sleep(ms / 1000)
        await ctx.report_progress(progress, steps)
    return f"done {steps}"


def recorded(app, path):
    """The same record as record.mjs keeps: a line when a request arrives, a line when its answer begins."""
    ids = itertools.count(1)
    file = open(path, "a", buffering=1)

    def write(**entry):
        file.write(json.dumps(entry) + "\n")

    async def record(scope, receive, send):
        if scope["type"] != "http":
            return await app(scope, receive, send)
        number = next(ids)
        url = scope["raw_path"].decode("latin-1") + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        headers = [[name.decode("latin-1").lower(), value.decode("latin-1")] for name, value in scope["headers"]]
        write(id=number, at=time.time() * 1000, method=scope["method"], url=url, headers=headers)

        async def answer(message):
            if message["type"] == "http.response.start":
                write(id=number, status=message["status"])
            await send(message)

        await app(scope, receive, answer)

    return record


application = server.streamable_http_app()
if options.record:
    application = recorded(application, options.record)
# timeout_graceful_shutdown: open event streams must not keep a stopping server alive
uvicorn.run(application, host="127.0.0.1", port=options.port, log_level="warning", timeout_graceful_shutdown=1)
