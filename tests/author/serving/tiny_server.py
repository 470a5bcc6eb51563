"""A model server for faults: `tiny_server.py PORT [STATUS] [LIVES]` answers every request with STATUS, and dies after LIVES of them."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT, STATUS, LIVES = (int(word) for word in (sys.argv[1:] + ["200", "1000000"][len(sys.argv) - 2 :])[:3])
answered = 0


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        global answered  # noqa: PLW0603
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"choices": []} if STATUS == 200 else {"error": {"message": "no chat template"}}).encode()
        self.send_response(STATUS)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        answered += 1
        if answered == LIVES:
            self.connection.close()
            os._exit(9)


HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
