"""The official MCP Python client: logs in by itself, lists the tools, calls some; prints what happened as JSON.

    python client.py URL [--mode legacy|auto|2026-07-28] [--call NAME ARGUMENTS]... [--header NAME VALUE]... [--may-fail]

With --may-fail the report tells the error of a call that fails; otherwise that is the end.
"""

import argparse
import asyncio
import http.cookiejar
import json
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--mode", default="auto")
parser.add_argument("--call", nargs=2, action="append", default=[])
parser.add_argument("--header", nargs=2, action="append", default=[])
parser.add_argument("--may-fail", action="store_true")
options = parser.parse_args()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


CALLBACK = f"http://127.0.0.1:{free_port()}/callback"


class Storage:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class StopAtCallback(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, fp, code, msg, headers, url):
        if url.startswith(CALLBACK):
            raise Arrived(url)
        return super().redirect_request(request, fp, code, msg, headers, url)


class Arrived(Exception):
    pass


class Browser:
    """The browser and its user: follows redirects with cookies and stops at the redirect_uri."""

    async def open(self, url):
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        direct = urllib.request.ProxyHandler({})
        try:
            await asyncio.to_thread(urllib.request.build_opener(direct, cookies, StopAtCallback).open, url, timeout=20)
        except Arrived as arrived:
            self.answer = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(str(arrived)).query))
        else:
            raise RuntimeError("the authorization server did not redirect to the client")

    async def result(self):
        if "error" in self.answer:
            raise RuntimeError(f"the authorization server said {self.answer}")
        return AuthorizationCodeResult(code=self.answer["code"], state=self.answer.get("state"), iss=self.answer.get("iss"))


async def main():
    browser, storage, report = Browser(), Storage(), {"calls": [], "exchanges": []}
    metadata = OAuthClientMetadata(
        client_name="testbed", redirect_uris=[CALLBACK], token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"], response_types=["code"],
    )
    auth = OAuthClientProvider(
        server_url=options.url, client_metadata=metadata, storage=storage,
        redirect_handler=browser.open, callback_handler=browser.result,
    )

    async def exchanged(response):
        request = response.request
        session = response.headers.get("mcp-session-id")
        report["exchanges"].append({"method": request.method, "url": str(request.url), "status": response.status_code, "session": session})

    hooks = {"response": [exchanged]}
    async with httpx2.AsyncClient(auth=auth, timeout=30, headers=dict(options.header), event_hooks=hooks) as web:
        async with Client(streamable_http_client(options.url, http_client=web), mode=options.mode) as client:
            report |= {"protocolVersion": client.protocol_version, "serverName": client.server_info.name}
            report["tools"] = [tool.name for tool in (await client.list_tools()).tools]
            for name, arguments in options.call:
                call = {"name": name, "progressAt": []}

                async def on_progress(progress, total, message, call=call):
                    call["progressAt"].append(time.time() * 1000)

                try:
                    answer = await client.call_tool(name, json.loads(arguments), progress_callback=on_progress)
                except Exception as failure:
                    if not options.may_fail:
                        raise
                    report["calls"].append(call | {"error": str(failure)})
                    continue
                call |= {"at": time.time() * 1000, "text": " ".join(part.text for part in answer.content), "isError": answer.is_error}
                report["calls"].append(call)
    report["scope"] = storage.tokens.scope if storage.tokens else None
    report["clientId"] = storage.client.client_id if storage.client else None
    print(json.dumps(report))


try:
    asyncio.run(main())
except Exception as failure:
    while getattr(failure, "exceptions", None):  # task groups wrap what went wrong
        failure = failure.exceptions[0]
    sys.exit(f"failed: {type(failure).__name__}: {failure}")
