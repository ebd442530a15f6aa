"""The smallest role there can be: it answers 200 at the port that the settings give it, until it is told to end.

python role.py VARIABLE        VARIABLE names the port's environment variable
"""

from __future__ import annotations

import os
import signal
import socket
import sys


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with socket.create_server(("127.0.0.1", int(os.environ[sys.argv[1]]))) as server:
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


if __name__ == "__main__":
    main()
