"""A real `tidegate serve`, and grants made through its approval API."""

import json
import os
import re
import time
from collections import namedtuple

import http1
from client import Own
from identity import AUDIENCE, ISSUER
from machine import read

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CONFIGURATION = """
environment: development
deployment: bench
listeners:
  proxy:
    - {{ address: 127.0.0.1:0 }}
    - {{ address: 127.0.0.1:0, tls: {{ certificate: {certificate}, key: {key} }} }}
  api: {{ address: 127.0.0.1:0 }}
  admin: {{ address: 127.0.0.1:0 }}
store:
  {store}
  seal_keys: [{{ id: k1, file: {common}/seal.key }}]
issuers:
  - issuer: {issuer}
    jwks_file: {jwks}
    audiences: [{audience}]
    algorithms: [ES256, RS256, EdDSA]
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
      - {{ methods: [GET, HEAD, POST], path: "/**", action: read }}
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
  - name: many
    enabled: true
    title: Given at once, to as many as a benchmark needs
    accesses: ["tool1:viewer"]
    durations: [PT8H]
    requesters: { groups: [engineering] }
    steps: [{ approvers: { groups: [leads] } }]
    auto_approve: { when: "true" }
  - name: five
    enabled: true
    title: Five grants at once
    accesses: ["tool1:viewer", "tool1:role-1", "tool1:role-2", "tool1:role-3", "tool2:viewer"]
    durations: [PT8H]
    requesters: { groups: [engineering] }
    steps: [{ approvers: { groups: [leads] } }]
    auto_approve: { when: "true" }
"""


Api = namedtuple("Api", "port")


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
            store=store, common=folder, issuer=ISSUER, jwks=issuer.jwks_file, audience=AUDIENCE, tools=tools, root=ROOT,
            certificate=issuer.certificate_file, key=issuer.server_key_file,
        )  # fmt: skip
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
        ports = [int(port) for port in re.findall(r":(\d+)", ready[0])]
        self.proxy, self.proxy_tls, self.api, self.admin = ports

    def grant(self, subject):
        """A live grant for `tool1`, asked for and approved like any other; gives its id."""
        wish = {"template": "reader", "justification": "benchmark"}
        made = self.call("/requests", self.issuer.token(subject), wish, 201)
        decided = self.call(f"/requests/{made['id']}/approve", self.issuer.lead(), {}, 200)
        return decided["grants"][0]

    def grant_all(self, settings, template, tokens):
        """Grants that are given at once, to everybody in a file of tokens; gives the seconds it took."""
        wish = os.path.join(self.folder, "wish.json")
        with open(wish, "w") as file:
            json.dump({"template": template, "justification": "benchmark"}, file)
        client = Own(settings, connections=64, path="/api/v1/requests", warm_up=0, once=1, tokens=tokens, body=wish)
        begun, opened = time.monotonic(), client.open(Api(self.api), 600)
        try:
            cell = opened.run()
        finally:
            opened.close()
        if cell["refused"] or cell["broken"]:
            raise RuntimeError(f"{cell['refused']} requests for grants refused {cell['broken']}")
        self.deliver()
        return time.monotonic() - begun

    def deliver(self):
        """Until no sink owes an event: what is left to deliver must not be measured with the requests."""
        end = time.monotonic() + 300
        while time.monotonic() < end:
            connection = http1.Connection(self.admin)
            text = connection.exchange(http1.request("GET", "/metrics"))[1].decode()
            connection.close()
            ages = re.findall(r"^tidegate_outbox_oldest_event_age_seconds\{.*\} (\S+)", text, re.MULTILINE)
            if all(float(age) == 0 for age in ages):
                return
            time.sleep(0.2)
        raise RuntimeError("events were not delivered in time")

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
