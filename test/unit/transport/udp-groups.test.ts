/** Multicast on loopback: what goes to a group comes to its receiver, once, and to nobody else. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { listenUdp, type UdpPort } from "../../../src/transport/udp.ts";
import { UdpGroups } from "../../../src/transport/udp-groups.ts";
import { eventually } from "../../support/eventually.ts";
import { Namespace } from "../../support/namespace.ts";
import { requirePeer, requireRoot } from "../../support/peers.ts";
import { bench } from "./fixture.ts";

const GROUP = "224.0.1.187";
const GROUPS = [GROUP, "ff02::fd", "ff05::fd"];

async function opened(t: TestContext, host: string) {
  const made = bench(t);
  const port = await listenUdp({ transport: made.transport, index: 0, type: "coap", host, port: 0, groups: true });
  made.listeners.push(port.listener);
  const unicast: string[] = [];
  const multicast: string[] = [];
  port.handler = { onDatagram: (bytes) => unicast.push(String(bytes)) };
  const groups = new UdpGroups({
    transport: made.transport,
    port,
    host,
    groups: GROUPS,
    receiver: {
      onDatagram: (bytes, address, from) => {
        multicast.push(String(bytes));
        port.send(Buffer.from(`re: ${bytes}`), 0, 4 + bytes.length, address, from);
      },
    },
  });
  t.after(() => groups.close());
  await groups.open();
  return { ...made, port, groups, unicast, multicast };
}

async function client(t: TestContext): Promise<Socket> {
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  socket.setMulticastInterface("127.0.0.1");
  return socket;
}

/** To the group and to the port itself, in that order; what comes back, by who sent it. */
async function exchange(socket: Socket, port: UdpPort): Promise<[string, number]> {
  const answer = once(socket, "message");
  socket.send("to all", port.port, GROUP);
  socket.send("to you", port.port, "127.0.0.1");
  const [bytes, from] = await answer;
  return [String(bytes), from.port];
}

for (const host of ["127.0.0.1", "0.0.0.0", "::"]) {
  test(`what goes to the group beside a port at ${host} comes once, to the receiver; the answer leaves by the port`, async (t) => {
    const { port, groups, unicast, multicast } = await opened(t, host);
    assert.ok(groups.memberships >= 1);
    const [answer, from] = await exchange(await client(t), port);
    assert.deepEqual([answer, from], ["re: to all", port.port]);
    await eventually("the datagram to the port", () => unicast.includes("to you"));
    assert.deepEqual([unicast, multicast], [["to you"], ["to all"]]);
  });
}

test("two ports of one machine are both members, and each gets a copy", async (t) => {
  const first = await opened(t, "127.0.0.1");
  const second = bench(t);
  const other = await listenUdp({
    transport: second.transport,
    index: 0,
    type: "coap",
    host: "127.0.0.2",
    port: first.port.port,
  });
  second.listeners.push(other.listener);
  const heard: string[] = [];
  const groups = new UdpGroups({
    transport: second.transport,
    port: other,
    host: "0.0.0.0",
    groups: [GROUP],
    receiver: { onDatagram: (bytes) => heard.push(String(bytes)) },
  });
  t.after(() => groups.close());
  await groups.open();
  await exchange(await client(t), first.port);
  await eventually("both copies", () => heard.length === 1 && first.multicast.length === 1);
});

test("a port that may be shared for groups is not shared with another listener", async (t) => {
  const { port, transport } = await opened(t, "0.0.0.0");
  const again = listenUdp({ transport, index: 1, type: "coap", host: "0.0.0.0", port: port.port, groups: true });
  await assert.rejects(again, { name: "ListenerError", message: /listener 1 .*address in use/ });
});

test("a closed port's groups are left, and a look at the interfaces changes nothing that is as it was", async (t) => {
  const { groups, wheel } = await opened(t, "0.0.0.0");
  const { memberships } = groups;
  await groups.refresh();
  assert.equal(groups.memberships, memberships);
  groups.close();
  assert.deepEqual([groups.memberships, wheel.armed], [0, 0]);
});

test("a group that cannot be joined is said once, and the port goes on without it", async (t) => {
  const made = bench(t);
  const port = await listenUdp({ transport: made.transport, index: 0, type: "coap", host: "127.0.0.1", port: 0 });
  made.listeners.push(port.listener);
  const receiver = { onDatagram: () => {} };
  const groups = new UdpGroups({ transport: made.transport, port, host: "127.0.0.1", groups: ["192.0.2.1"], receiver });
  t.after(() => groups.close());
  await groups.open();
  await groups.refresh();
  assert.equal(groups.memberships, 0);
  assert.equal(made.logged.filter((line) => line.includes("group-not-joined")).length, 1);
});

test("an interface that comes is joined, one that goes is left, and one that comes back is joined again", {
  skip: requirePeer("ip") || requireRoot(),
}, async (t) => {
  const { port, groups, multicast } = await opened(t, "::");
  const before = groups.memberships;
  using far = new Namespace("u");
  far.addIpv6();
  await eventually("the cable is plugged in", () => far.isReady());
  const send = (text: string): void => {
    const program = `const s = require("dgram").createSocket("udp4"); s.send("${text}", ${port.port}, "${GROUP}", () => s.close())`;
    const [command = "", ...words] = [...far.command, process.execPath, "-e", program];
    execFileSync(command, words);
  };
  await groups.refresh();
  assert.equal(groups.memberships, before + 3, "each group on the new interface");
  send("first");
  await eventually("the first", () => multicast.includes("first"));
  far.setLink(false);
  await eventually("the interface has gone", async () => {
    await groups.refresh();
    return groups.memberships === before;
  });
  far.setLink(true);
  far.addOwnIpv6(); // the kernel takes it from an interface that goes down
  await eventually("the interface is back", async () => {
    await groups.refresh();
    return groups.memberships === before + 3;
  });
  send("second");
  await eventually("the second", () => multicast.includes("second"));
  assert.deepEqual(multicast, ["first", "second"]);
});
