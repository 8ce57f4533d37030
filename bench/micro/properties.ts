/** Property blocks of 5.0: of a CONNECT, and of a PUBLISH with all that a message may carry. */
import { CONNECT, OK, PUBLISH } from "../../src/wire/mqtt/codes.ts";
import { decodeProperties, PropertiesView } from "../../src/wire/mqtt/properties.ts";
import { field } from "../../test/support/mqtt-packets.ts";
import { type MicroCase, sink } from "./case.ts";

const EXPIRY = [0x11, 0, 0, 1, 0];
const RECEIVE_MAXIMUM = [0x21, 0, 20];
const PACKET_SIZE = [0x27, 0, 1, 0, 0];
const ALIAS_MAXIMUM = [0x22, 0, 10];

function decode(name: string, packet: number, block: Buffer): MicroCase {
  const view = new PropertiesView();
  return {
    name: `wire/mqtt/properties: decode, ${name}`,
    run: (times) => {
      for (let i = 0; i < times; i++) {
        if (decodeProperties(block, 0, block.length, packet, view) !== OK) throw new Error("not a block");
        sink.value += view.receiveMaximum;
      }
    },
  };
}

const CONNECT_BLOCK = Buffer.from([...EXPIRY, ...RECEIVE_MAXIMUM, ...PACKET_SIZE, ...ALIAS_MAXIMUM]);
const MESSAGE_BLOCK = Buffer.concat([
  Buffer.from([0x01, 1, 0x02, 0, 0, 0, 60, 0x03]),
  field("application/json"),
  Buffer.from([0x08]),
  field("reply/to/me"),
  Buffer.from([0x26]),
  field("unit"),
  field("degrees"),
]);

export const propertyCases: readonly (() => MicroCase)[] = [
  () => decode("CONNECT with 4", CONNECT, CONNECT_BLOCK),
  () => decode("PUBLISH with 5", PUBLISH, MESSAGE_BLOCK),
];
