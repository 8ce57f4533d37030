// The least that a broker on Node can do, so that it is seen what Node allows: QoS 0 and 1, topic names and filters that
// end in "#" taken as "everything", clean sessions only. It checks nothing and stores nothing. What a client gets in one
// turn of the event loop leaves in one write. Prints its port.
// Plain JavaScript: the type stripper would add 18 MB to what is measured.
import { createServer } from "node:net";

const OUTPUT_BYTES = 65_536;
/** With less room left, the next turn begins in a new buffer. */
const OUTPUT_ROOM_MIN = 4_096;
/** Up to here a loop over bytes is faster than a view and a copy. */
const LOOP_BYTES_MAX = 128;
const CONNACK = Buffer.from([0x20, 2, 0, 0]);

const byTopic = new Map(); // topic name -> clients
const everything = []; // clients
const routes = new Map(); // topic name -> clients, both of the above; forgotten when either changes
const unwritten = []; // clients with something in their output
const answer = Buffer.alloc(5);

class Client {
  constructor(socket) {
    this.socket = socket;
    this.output = Buffer.allocUnsafe(OUTPUT_BYTES); // output[from..end) is not written yet
    this.from = 0;
    this.end = 0;
    this.begun = null; // bytes of a packet that has not arrived whole
    this.packetId = 0;
  }

  take(chunk) {
    const bytes = this.begun === null ? chunk : Buffer.concat([this.begun, chunk]);
    const taken = this.packets(bytes);
    this.begun = taken === bytes.length ? null : bytes.subarray(taken);
  }

  /** Handles every whole packet; returns where the first incomplete one begins. */
  packets(bytes) {
    const { length } = bytes;
    let at = 0;
    for (;;) {
      let bodyAt = at + 1;
      let bodyBytes = 0;
      let last = false;
      for (let shift = 0; bodyAt < length && !last; shift += 7) {
        const byte = bytes[bodyAt++];
        bodyBytes |= (byte & 127) << shift;
        last = byte < 128;
      }
      const end = bodyAt + bodyBytes;
      if (!last || end > length) return at;
      this.packet(bytes, at, bodyAt, end);
      at = end;
    }
  }

  packet(bytes, at, bodyAt, end) {
    const header = bytes[at];
    if (header >> 4 === 3) publish(this, bytes, at, bodyAt, end);
    else if (header >> 4 === 8) subscribe(this, bytes, bodyAt);
    else if (header >> 4 === 1) this.append(CONNACK, 0, CONNACK.length);
  }

  append(bytes, at, end) {
    const count = end - at;
    if (this.end + count > this.output.length) {
      this.write();
      this.renew(count);
    }
    if (this.from === this.end && unwritten.push(this) === 1) setImmediate(writeAll);
    const { output } = this;
    if (count < LOOP_BYTES_MAX) for (let i = at, to = this.end; i < end; ) output[to++] = bytes[i++];
    else output.set(bytes.subarray(at, end), this.end);
    this.end += count;
  }

  write() {
    if (this.from === this.end) return;
    this.socket.write(this.output.subarray(this.from, this.end));
    this.from = this.end;
    if (this.output.length - this.end < OUTPUT_ROOM_MIN) this.renew(OUTPUT_BYTES);
  }

  renew(bytesMin) {
    this.output = Buffer.allocUnsafe(Math.max(OUTPUT_BYTES, bytesMin));
    this.from = 0;
    this.end = 0;
  }
}

function publish(publisher, bytes, at, bodyAt, end) {
  const topicEnd = bodyAt + 2 + (bytes[bodyAt] << 8) + bytes[bodyAt + 1];
  const topic = bytes.latin1Slice(bodyAt + 2, topicEnd);
  let receivers = routes.get(topic);
  if (receivers === undefined) {
    receivers = [...(byTopic.get(topic) ?? []), ...everything];
    routes.set(topic, receivers);
  }
  if ((bytes[at] & 6) === 0) {
    for (let i = 0; i < receivers.length; i++) receivers[i].append(bytes, at, end);
    return;
  }
  answer[0] = 0x40;
  answer[1] = 2;
  answer[2] = bytes[topicEnd];
  answer[3] = bytes[topicEnd + 1];
  for (let i = 0; i < receivers.length; i++) {
    const receiver = receivers[i];
    receiver.packetId = (receiver.packetId % 65_535) + 1;
    bytes[topicEnd] = receiver.packetId >> 8;
    bytes[topicEnd + 1] = receiver.packetId;
    receiver.append(bytes, at, end);
  }
  publisher.append(answer, 0, 4);
}

function subscribe(client, bytes, bodyAt) {
  const filterEnd = bodyAt + 4 + (bytes[bodyAt + 2] << 8) + bytes[bodyAt + 3];
  const filter = bytes.latin1Slice(bodyAt + 4, filterEnd);
  if (filter.endsWith("#")) everything.push(client);
  else byTopic.set(filter, [...(byTopic.get(filter) ?? []), client]);
  routes.clear();
  answer.set([0x90, 3, bytes[bodyAt], bytes[bodyAt + 1], bytes[filterEnd]]);
  client.append(answer, 0, 5);
}

function forget(client) {
  for (const [topic, clients] of byTopic) {
    if (!clients.includes(client)) continue;
    const others = clients.filter((other) => other !== client);
    if (others.length > 0) byTopic.set(topic, others);
    else byTopic.delete(topic);
  }
  const at = everything.indexOf(client);
  if (at >= 0) everything.splice(at, 1);
  routes.clear();
}

function writeAll() {
  for (let i = 0; i < unwritten.length; i++) unwritten[i].write();
  unwritten.length = 0;
}

const server = createServer({ noDelay: true }, (socket) => {
  const client = new Client(socket);
  socket.on("data", (chunk) => client.take(chunk));
  socket.on("close", () => forget(client));
  socket.on("error", () => {}); // the close that follows says it all
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`port ${server.address().port}\n`));
