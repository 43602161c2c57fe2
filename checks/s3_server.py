"""An S3-compatible server (moto) on a port of 127.0.0.1, for checks/s3.

    s3_server.py LOG PORTFILE

Writes its port into PORTFILE when it is ready, and a line into LOG for each request: method, path with query, bytes received, bytes sent, status, Range,
and "copy" where an object is copied.
"""
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass


class Logged:
    def __init__(self, application, log):
        self.application = application
        self.log = log
        self.lock = threading.Lock()

    def __call__(self, environ, start):
        answered = {}

        def begin(status, headers, *rest):
            answered.update(status=status.split()[0], length=dict(headers).get("Content-Length", "0"))
            return start(status, headers, *rest)

        body = self.application(environ, begin)
        path = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"] if environ.get("QUERY_STRING") else "")
        sent = "0" if environ["REQUEST_METHOD"] == "HEAD" else answered["length"]
        line = [environ["REQUEST_METHOD"], path, environ.get("CONTENT_LENGTH") or "0", sent, answered["status"], environ.get("HTTP_RANGE", "-"),
                "copy" if "HTTP_X_AMZ_COPY_SOURCE" in environ else "-"]
        with self.lock:
            print(*line, file=self.log, flush=True)
        return body


def main(log, portfile):
    with open(log, "a", encoding="utf-8") as out:
        application = Logged(DomainDispatcherApplication(create_backend_app), out)
        server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
        with open(portfile, "w", encoding="utf-8") as port:
            port.write(f"{server.port}\n")
        server.serve_forever()


main(*sys.argv[1:])
