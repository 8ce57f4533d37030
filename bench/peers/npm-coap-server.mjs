// npm's coap as its own documentation starts a server: it answers each request. Prints its port.
// Argument: `cacheSize` in bytes; without, the package's default.
// Plain JavaScript: the type stripper would add 18 MB to what is measured.
import { createServer } from "coap";

const [cacheSize] = process.argv.slice(2);
const server = createServer(cacheSize === undefined ? {} : { cacheSize: Number(cacheSize) }, (request, response) => {
  response.code = request.method === "GET" ? "2.05" : "2.04";
  response.end(request.method === "GET" ? "0123456789abcdef" : undefined);
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`port ${server._port ?? server._sock.address().port}\n`));
