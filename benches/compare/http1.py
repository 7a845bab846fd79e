"""HTTP/1.1 over one kept connection, with as little in between as possible."""

import json
import socket


class Connection:
    def __init__(self, port, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(self, request):
        """Status and body of the answer to these bytes."""
        self.socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.more()
        head, body = answer.split(b"\r\n\r\n", 1)
        fields = [line.partition(b":") for line in head.lower().split(b"\r\n")[1:]]
        fields = {name: value.strip() for name, _, value in fields}
        if fields.get(b"transfer-encoding") == b"chunked":
            while not body.endswith(b"0\r\n\r\n"):
                body += self.more()
        while len(body) < int(fields.get(b"content-length", 0)):
            body += self.more()
        return int(head.split(b" ", 2)[1]), body

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the connection was closed")
        return data

    def close(self):
        self.socket.close()


def request(method, path, headers=None, body=b"", host="127.0.0.1"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def once(port, path, headers=None):
    """The status of one request on a connection of its own."""
    connection = Connection(port)
    try:
        return connection.exchange(request("GET", path, headers))[0]
    except OSError as fault:
        return type(fault).__name__
    finally:
        connection.close()


def bearer(token, **more):
    return {"Authorization": f"Bearer {token}", **more}


def call(port, method, path, token, body):
    """One call with JSON; gives status and decoded answer."""
    connection = Connection(port)
    try:
        headers = bearer(token, **{"Content-Type": "application/json"})
        text = json.dumps(body).encode()
        status, answer = connection.exchange(request(method, path, headers, text))
        return status, json.loads(answer)
    finally:
        connection.close()
