// Writes down every request that Node.js reads: a line of fields apart by tabs. Anything that it
// cannot read is a line, too.
const fs = require("node:fs");
const http = require("node:http");

const [port, log] = process.argv.slice(2);
const file = fs.openSync(log, "a");
const note = (fields) => fs.writeSync(file, fields.map(escaped).join("\t") + "\n");
const escaped = (text) =>
  Array.from(Buffer.from(text ?? "-", "latin1"), (byte) =>
    byte < 0x20 || byte > 0x7e || byte === 0x5c
      ? "\\x" + byte.toString(16).padStart(2, "0")
      : String.fromCharCode(byte)).join("");

const server = http.createServer((request, answer) => {
  const path = new URL("http://name" + request.url).pathname;
  const bytes = path.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
  const field = (name) => request.headers[name];
  note([request.method, request.url, bytes, field("host"), field("tidegate-subject"),
    field("tidegate-grants"), field("traceparent"), field("x-request-id"), "200"]);
  request.resume();
  request.on("end", () => answer.end("ok"));
});
server.keepAliveTimeout = 60000;
server.on("clientError", (error, socket) => {
  // The gateway going away in the middle of a body is no request.
  if (error.code !== "ECONNRESET" && error.code !== "HPE_INVALID_EOF_STATE") note([error.code ?? String(error)]);
  socket.destroy();
});
server.listen(Number(port), "127.0.0.1");
