"""A real `tidegate serve`, and grants made through its approval API."""

import os
import re

import http1
from identity import AUDIENCE, ISSUER
from machine import read

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CONFIGURATION = """
environment: development
deployment: bench
listeners:
  proxy: [{{ address: 127.0.0.1:0 }}]
  api: {{ address: 127.0.0.1:0 }}
  admin: {{ address: 127.0.0.1:0 }}
store:
  {store}
  seal_keys: [{{ id: k1, file: {common}/seal.key }}]
issuers:
  - issuer: {issuer}
    jwks_file: {jwks}
    audiences: [{audience}]
    algorithms: [ES256]
tools:
{tools}
policy: {{ directory: {root}/policies }}
catalog: {{ directory: {common}/catalog }}
limits: {{ drain_timeout: 2s }}
audit: {{ sinks: [{{ file: {{ path: ./audit.jsonl }} }}] }}
"""

TOOL = """
  - name: {name}
    path_prefix: /{name}/
    upstreams: ["http://127.0.0.1:{upstream}"]
    rules:
      - {{ methods: [GET], path: "/public", access: public }}
      - {{ methods: [GET, HEAD], path: "/**", action: read }}
"""

CATALOG = """
templates:
  - name: reader
    enabled: true
    title: Look into the first tool
    accesses: ["tool1:viewer"]
    durations: [PT8H]
    requesters: { groups: [engineering] }
    steps: [{ approvers: { groups: [leads] } }]
"""


class Gateway:
    """`store`: the line of the configuration that names it."""

    def __init__(self, processes, binary, folder, store, issuer, upstream_port, name="tidegate"):
        self.issuer = issuer
        self.folder = os.path.join(folder, name)
        self.audit_file = os.path.join(self.folder, "audit.jsonl")
        os.makedirs(self.folder)
        write_common(folder)
        tools = "".join(TOOL.format(name=tool, upstream=upstream_port) for tool in ("tool1", "tool2"))
        text = CONFIGURATION.format(
            store=store, common=folder, issuer=ISSUER, jwks=issuer.jwks_file, audience=AUDIENCE, tools=tools, root=ROOT
        )
        path = os.path.join(self.folder, "tidegate.yaml")
        with open(path, "w") as file:
            file.write(text)
        command = [binary, "serve", "--config", path]
        self.process = processes.start(name, command, environment={"RUST_LOG": "warn"})
        ready = processes.wait(
            self.process,
            lambda: re.search(r"^ready .*$", read(self.process.log), re.MULTILINE),
            "its line `ready`",
            60,
        )
        ports = {key: int(port) for key, port in re.findall(r"(\w+)=\S+:(\d+)", ready[0])}
        self.proxy, self.api, self.admin = ports["proxy"], ports["api"], ports["admin"]

    def grant(self, subject):
        """A live grant for `tool1`, asked for and approved like any other; gives its id."""
        wish = {"template": "reader", "justification": "benchmark"}
        made = self.call("/requests", self.issuer.token(subject), wish, 201)
        decided = self.call(f"/requests/{made['id']}/approve", self.issuer.lead(), {}, 200)
        return decided["grants"][0]

    def call(self, path, token, body, expected):
        status, answer = http1.call(self.api, "POST", f"/api/v1{path}", token, body)
        if status != expected:
            raise RuntimeError(f"POST {path}: {status} {answer}\n{read(self.process.log)[-2000:]}")
        return answer

    def forget_decisions(self):
        """The log of decisions is written in full and may grow by gigabytes."""
        os.truncate(self.audit_file, 0)


def write_common(folder):
    """What gateways of one store have in common."""
    os.makedirs(f"{folder}/catalog", exist_ok=True)
    with open(f"{folder}/catalog/catalog.yaml", "w") as file:
        file.write(CATALOG)
    with open(os.open(f"{folder}/seal.key", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(b"\7" * 32)
