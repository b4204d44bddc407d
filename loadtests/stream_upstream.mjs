// A fake engine that streams fixed events as fast as it can: `node stream_upstream.mjs PORT SCRIPT.json`.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [port, path] = process.argv.slice(2);
const script = JSON.parse(readFileSync(path, "utf8"));
const plain = script.plain.map((event) => Buffer.from(event));
const counted = script.counted.map((event) => Buffer.from(event));
const usage = Buffer.from(script.usage);
const done = Buffer.from("data: [DONE]\n\n");

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => answer(parts, response));
}).listen(Number(port), "127.0.0.1");

function answer(parts, response) {
  const body = parts.length ? JSON.parse(Buffer.concat(parts)) : {};
  if (!body.stream) {
    response.writeHead(200, { "content-type": "application/json" }).end(script.probe);
    return;
  }
  const options = body.stream_options ?? {};
  const events = options.continuous_usage_stats ? counted : plain;
  response.writeHead(200, { "content-type": "text/event-stream" });
  write(response, options.include_usage ? [...events, usage] : events, 0);
}

// One event per turn of the loop, so that events leave as separate writes, as an engine's tokens do.
function write(response, events, next) {
  if (response.destroyed) return;
  if (next === events.length) {
    response.end(done);
    return;
  }
  response.write(events[next]);
  setImmediate(write, response, events, next + 1);
}
