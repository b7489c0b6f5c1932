"""An authorization server over TLS, as far as keys go: what `--ca` is for.

    python tls.py DIRECTORY

has the certificate in DIRECTORY/server.pem, gives out DIRECTORY/jwks.json, and says its port. It ends with its standard input.
"""

import http.server
import json
import pathlib
import ssl
import sys
import threading

directory = pathlib.Path(sys.argv[1])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        base = f"https://127.0.0.1:{self.server.server_port}"
        keys = (directory / "jwks.json").read_bytes()
        metadata = json.dumps({"issuer": base, "jwks_uri": f"{base}/jwks"}).encode()
        body = keys if self.path == "/jwks" else metadata
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """A client that does not trust the certificate goes away, which is what is tested."""


server = Server(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(directory / "server.pem", directory / "server.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
