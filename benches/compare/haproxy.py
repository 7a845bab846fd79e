"""HAProxy that does nothing but proxy, with connections kept and shared."""

import os


def command(tools, folder, text):
    path = os.path.join(folder, "haproxy.cfg")
    with open(path, "w") as file:
        file.write(text)
    return [f"{tools}/root/usr/sbin/haproxy", "-db", "-f", path]


def plain(port, tls, upstream_port):
    """`tls`: a port and a file with certificate and key."""
    tls_port, pem = tls
    return f"""
global
  nbthread 2
  maxconn 8000
defaults
  mode http
  timeout connect 1s
  timeout client 1h
  timeout server 60s
  timeout http-keep-alive 1h
  option http-keep-alive
  http-reuse always
frontend proxy
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{tls_port} ssl crt {pem} alpn h2,http/1.1
  default_backend tool
backend tool
  server tool 127.0.0.1:{upstream_port} pool-max-conn 512 pool-purge-delay 1h
"""
