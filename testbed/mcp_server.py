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
from mcp.types import Completion, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

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


def read(uri, name):
    record_run("read", uri=uri, name=name)
    return f"about {name}"


# The same resources, templates and prompts as in mcp-server.mjs.
@server.resource("weather://about")
def about() -> str:
    return read("weather://about", "about")


@server.resource("weather://towns/{name}")
def towns(name: str) -> str:
    return read("weather://towns/{name}", name)


@server.resource("weather://stations/{name}")
def stations(name: str) -> str:
    return read("weather://stations/{name}", name)


@server.prompt()
def greet(who: str) -> str:
    record_run("prompt", name="greet", who=who)
    return f"greet {who}"


@server.prompt()
def debrief(who: str) -> str:
    record_run("prompt", name="debrief", who=who)
    return f"debrief {who}"


@server.completion()
async def complete(ref, argument, context):
    record_run("complete", ref=getattr(ref, "uri", None) or ref.name, value=argument.value)
    return Completion(values=[f"{argument.value}-1"])


# MCPServer has no decorator for these two, which later revisions do not have.
async def subscribe(_context, params):
    record_run("subscribe", uri=str(params.uri))
    return EmptyResult()


async def unsubscribe(_context, params):
    record_run("unsubscribe", uri=str(params.uri))
    return EmptyResult()


server._lowlevel_server.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
server._lowlevel_server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)


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
