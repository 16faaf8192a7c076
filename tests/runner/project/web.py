import http.server
import sys


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


http.server.HTTPServer((sys.argv[2], int(sys.argv[1])), Healthy).serve_forever()
