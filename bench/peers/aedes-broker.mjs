// npm's aedes as its own documentation starts it: in memory, one TCP listener. Prints its port.
// Plain JavaScript: the type stripper would add 18 MB to what is measured.
import { createServer } from "node:net";
import { Aedes } from "aedes";

const broker = await Aedes.createBroker();
const server = createServer(broker.handle);
server.listen(0, "127.0.0.1", () => process.stdout.write(`port ${server.address().port}\n`));
