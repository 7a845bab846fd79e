"""Configurations of nginx: the shared upstream, the plain proxy, and the proxy with Lua."""

import glob
import os
import resource

from identity import AUDIENCE, ISSUER, KEY_ID

KEEP = "keepalive_requests 100000000; keepalive_timeout 1h; keepalive_time 24h;"
LUA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lua")


def command(tools, folder, name, text):
    path = os.path.join(folder, f"{name}.conf")
    with open(path, "w") as file:
        file.write(text)
    return [f"{tools}/root/usr/sbin/nginx", "-c", path, "-p", folder, "-e", f"{folder}/{name}.errors"]


def frame(folder, name, workers, http, main=""):
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "\n".join(f"  {kind}_temp_path {folder}/{name}-{kind};" for kind in kinds)
    return f"""
daemon off;
worker_processes {workers};
worker_rlimit_nofile {files()};
pid {folder}/{name}.pid;
{main}
events {{ worker_connections {files() // 2 - 100}; multi_accept on; }}
http {{
  access_log off;
  tcp_nodelay on;
  {KEEP}
{scratch}
{http}
}}
"""


def files():
    """Open files that a process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def upstream(tools, folder, port):
    """Says hello as fast as nginx can, sends a KiB or a MiB, and reads what it is sent to the end before it
    answers (`return` alone would not)."""
    for name, size in (("1kib", 2**10), ("1mib", 2**20)):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"x" * size)
    server = f"""
  client_max_body_size 0;
  open_file_cache max=10;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 "hello, world!"; }}
    location ~ /(1kib|1mib)$ {{ root {folder}; try_files /$1 =404; }}
    location ~ /upload$ {{
      client_body_buffer_size 2m;
      content_by_lua_block {{ ngx.req.read_body() ngx.header["Content-Length"] = 2 ngx.print("ok") }}
    }}
  }}"""
    return frame(folder, "upstream", 1, lua_paths(tools) + server, lua_modules(tools))


def proxying(port, upstream_port, before="", tls=None, more=""):
    """Keep-alive on both sides, as anybody who cares for speed has it; bodies pass without a file.
    `tls`: a port, a certificate and a key."""
    secure = ""
    if tls:
        tls_port, certificate, key = tls
        secure = f"listen 127.0.0.1:{tls_port} ssl http2 reuseport; ssl_certificate {certificate}; ssl_certificate_key {key};"
    return f"""
  upstream tool {{ server 127.0.0.1:{upstream_port}; keepalive 512; {KEEP} }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    {secure}
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    {more}
    location / {{
      {before}
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_pass http://tool;
    }}
  }}"""


def plain(folder, port, upstream_port, tls):
    return frame(folder, "nginx", 2, proxying(port, upstream_port, tls=tls))


def with_auth_request(folder, port, upstream_port, helper_port):
    """Every request is asked about at the helper, which gets the path from nginx alone."""
    helper = f"upstream helper {{ server 127.0.0.1:{helper_port}; keepalive 256; {KEEP} }}"
    location = """location = /_authorize {
      internal;
      proxy_http_version 1.1;
      proxy_pass_request_body off;
      proxy_set_header Connection "";
      proxy_set_header Content-Length "";
      proxy_set_header X-Original-URI $request_uri;
      proxy_pass http://helper;
    }"""
    return frame(
        folder, "nginx-auth", 2, helper + proxying(port, upstream_port, "auth_request /_authorize;", more=location)
    )


def with_lua(tools, folder, port, upstream_port):
    names = ("ISSUER", "AUDIENCE", "KEY_ID", "ISSUER_PEM", "REDIS_PORT")
    main = "".join(f"env BENCH_{name};\n" for name in names) + lua_modules(tools)
    paths = lua_paths(tools) + 'init_by_lua_block { access = require "access" }'
    before = "access_by_lua_block { access.check() }"
    return frame(folder, "nginx-lua", 2, paths + proxying(port, upstream_port, before), main)


def lua_modules(tools):
    modules = ("ndk_http", "ngx_http_lua")
    return "".join(f"load_module {tools}/root/usr/lib/nginx/modules/{module}_module.so;\n" for module in modules)


def lua_paths(tools):
    root = f"{tools}/root/usr"
    compiled = os.path.dirname(glob.glob(f"{root}/lib/*/lua/5.1/cjson.so")[0])
    return f"""
  lua_package_path '{LUA}/?.lua;{root}/share/lua/5.1/?.lua;;';
  lua_package_cpath '{compiled}/?.so;;';
  """


def lua_environment(issuer, redis_port):
    told = {
        "ISSUER": ISSUER, "AUDIENCE": AUDIENCE, "KEY_ID": KEY_ID,
        "ISSUER_PEM": issuer.pem_file, "REDIS_PORT": str(redis_port),
    }
    return {f"BENCH_{name}": value for name, value in told.items()}
