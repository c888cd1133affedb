// Stands between a client and Belvedere and writes down what the client sends, with the key taken out:
//   record.mjs TARGET KEY FILE COMMAND...   The word URL in the command becomes the address to send to.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { gunzipSync } from "node:zlib";

const [target, key, file, ...command] = process.argv.slice(2);
const hidden = "0".repeat(32);
const requests = [];

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces);
  const headers = { ...request.headers };
  for (const name of ["host", "connection", "content-length", "transfer-encoding"]) delete headers[name];
  const answer = await fetch(target + request.url, {
    method: request.method, headers, body: request.method === "POST" ? body : undefined,
  });
  const compressed = body[0] === 0x1f && body[1] === 0x8b;
  const text = (compressed ? gunzipSync(body) : body).toString().replaceAll(key, hidden);
  const authorization = headers.authorization && Buffer.from(headers.authorization.split(" ")[1] ?? "", "base64");
  requests.push({
    method: request.method,
    path: request.url.replaceAll(key, hidden),
    content_type: headers["content-type"],
    content_encoding: headers["content-encoding"],
    compressed,
    basic: authorization ? authorization.toString().replaceAll(key, hidden) : undefined,
    write_key: headers["x-write-key"]?.replaceAll(key, hidden),
    status: answer.status,
    body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text || undefined,
  });
  response.writeHead(answer.status, {
    "content-type": answer.headers.get("content-type") ?? "text/plain", "access-control-allow-origin": "*",
  });
  response.end(Buffer.from(await answer.arrayBuffer()));
});

server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const [program, ...words] = command.map((word) => (word === "URL" ? url : word));
  const child = spawn(program, words, { stdio: "inherit" });
  child.on("exit", (code) => {
    // What the client sent as it ended is still being answered.
    setTimeout(() => {
      writeFileSync(file, JSON.stringify(requests, null, 1).replaceAll(url, "http://belvedere.example") + "\n");
      const posted = requests.map((request) => `${request.method} ${request.path} ${request.status}`);
      console.log(`${file}: ${posted.join(", ")}`);
      process.exit(code ?? 1);
    }, 300);
  });
});
