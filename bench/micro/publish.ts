import { MQTT_3_1_1, MQTT_5, OK } from "../../src/wire/mqtt/codes.ts";
import { FrameHeader, readFrameHeader } from "../../src/wire/mqtt/frame.ts";
import { decodePublish, PublishView } from "../../src/wire/mqtt/publish.ts";
import { type MicroCase, sink } from "./case.ts";

const TOPIC = "sensors/building-7/floor-3/temperature";
const PAYLOAD_BYTES = 64;

/** Many packets in one buffer, as they come out of a socket. */
function chunkOf(version: number, qos: number, packets: number): Buffer {
  const body = [
    Buffer.from([0, TOPIC.length]),
    Buffer.from(TOPIC),
    ...(qos > 0 ? [Buffer.from([0, 1])] : []),
    ...(version === MQTT_5 ? [Buffer.from([5, 0x02, 0, 0, 0, 60])] : []), // Message Expiry Interval of a minute
    Buffer.alloc(PAYLOAD_BYTES),
  ];
  const length = body.reduce((sum, part) => sum + part.length, 0);
  const packet = Buffer.concat([Buffer.from([0x30 | (qos << 1), length]), ...body]);
  return Buffer.concat(Array<Buffer>(packets).fill(packet));
}

function decodeCase(name: string, version: number, qos: number): MicroCase {
  const chunk = chunkOf(version, qos, 500);
  const header = new FrameHeader();
  const view = new PublishView();
  let at = 0;
  return {
    name,
    run: (times) => {
      for (let i = 0; i < times; i++) {
        if (at === chunk.length) at = 0;
        if (readFrameHeader(chunk, at, chunk.length, header) !== OK) throw new Error("not a frame");
        if (decodePublish(chunk, header.flags, header.bodyAt, header.end, version, view) !== OK) throw new Error("no");
        sink.value += view.payloadAt;
        at = header.end;
      }
    },
  };
}

export const publishCases: readonly (() => MicroCase)[] = [
  () => decodeCase("wire/mqtt/publish: decode, 3.1.1 QoS 0", MQTT_3_1_1, 0),
  () => decodeCase("wire/mqtt/publish: decode, 3.1.1 QoS 1", MQTT_3_1_1, 1),
  () => decodeCase("wire/mqtt/publish: decode, 5.0 QoS 1, expiry", MQTT_5, 1),
];
