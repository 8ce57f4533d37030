/** From the router's publication to bytes for the port, without a port: what writes cost beside the system calls. */
import { ManualClock } from "../../src/base/clock.ts";
import { Counters } from "../../src/base/counters.ts";
import { Log } from "../../src/base/log.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import type { SerialWriteConfig } from "../../src/config/serial-write.ts";
import { Ledger } from "../../src/core/ledger.ts";
import { encodeProperties } from "../../src/core/message-properties.ts";
import { Publication } from "../../src/core/publication.ts";
import type { Receiver } from "../../src/core/receiver.ts";
import type { SerialDeviceHandler } from "../../src/protocol/serial/parts.ts";
import { type SerialDoor, SerialLine } from "../../src/protocol/serial/serial-line.ts";
import { type MicroCase, sink } from "./case.ts";

const TOPIC = "plant/pump/set";
/** As many as find room in what waits for the wire. */
const BURST = 32;

class Door implements SerialDoor {
  handler: SerialDeviceHandler | null = null;
  readonly isOpen = true;
  start(): void {}
  pause(): void {}
  resume(): void {}
  awaitTurn(): void {}
  write(bytes: Buffer): void {
    sink.value += bytes.length;
  }
  async close(): Promise<void> {}
}

function lineOf(write: Partial<SerialWriteConfig>): {
  handler: SerialDeviceHandler;
  receiver: Receiver;
  pass: () => void;
} {
  const clock = new ManualClock();
  const counters = new Counters();
  const wheel = new TimerWheel(clock, 50);
  const device = new Door();
  let receiver: Receiver | null = null;
  const line = new SerialLine(
    device,
    {
      name: "pump",
      publish: { topic: "pump/says", qos: 0 },
      write: [{ topic: "plant/+/set", qos: 0, format: "raw", template: null, gapMs: 0, request: null, ...write }],
      framing: { type: "line", delimiter: Buffer.from("\n"), frameBytesMax: 8192 },
      check: null,
      errors: null,
    },
    {
      router: {
        publish: (publication) => {
          sink.value += publication.payloadEnd;
          return 0;
        },
        join: (joined) => {
          receiver = joined;
          joined.slot = 1;
        },
        leave: () => {},
        subscribe: () => true,
        unsubscribe: () => true,
      },
      authority: { mayPublish: () => true },
      ledger: new Ledger(counters),
      clock,
      wheel,
      busWheel: () => wheel,
      log: new Log({ level: "error", format: "text", write: () => {} }),
      counters,
      limits: { refusalHoldMs: 10_000, maxPacketBytes: 256 * 1024, topicBytes: 1024, topicLevels: 200 },
    },
    null,
  );
  line.start();
  line.onOpen();
  return { handler: line, receiver: receiver as unknown as Receiver, pass: () => clock.advance(1) };
}

function publicationOf(properties = {}): Publication {
  const publication = new Publication();
  publication.setParts(TOPIC, Buffer.alloc(64, "x"), 0, false, encodeProperties(properties));
  return publication;
}

function writing(name: string, write: Partial<SerialWriteConfig>): MicroCase {
  const { handler, receiver } = lineOf(write);
  const publication = publicationOf();
  return {
    name: `protocol/serial: ${name}`,
    run: (times) => {
      for (let done = 0; done < times; done += BURST) {
        for (let i = 0; i < BURST; i++) receiver.deliver(publication, 0, null);
        handler.onWritten(); // the first
        handler.onWritten(); // the others together
      }
    },
  };
}

/** The clock is moved by hand: the gap is over when the next one is to be written. */
function pacing(): MicroCase {
  const { handler, receiver, pass } = lineOf({ gapMs: 1 });
  const publication = publicationOf();
  return {
    name: "protocol/serial: message to line, paced",
    run: (times) => {
      for (let i = 0; i < times; i++) {
        receiver.deliver(publication, 0, null);
        handler.onWritten();
        pass();
      }
    },
  };
}

function asking(): MicroCase {
  const request = { timeoutMs: 1000, retries: 0, match: "R*", reply: null, failure: "" };
  const { handler, receiver } = lineOf({ request });
  const publication = publicationOf({ responseTopic: "answers/7", correlationData: Buffer.from("12345678") });
  const answer = Buffer.from(`R${"x".repeat(63)}\n`);
  return {
    name: "protocol/serial: request and response",
    run: (times) => {
      for (let i = 0; i < times; i++) {
        receiver.deliver(publication, 0, null);
        handler.onWritten();
        handler.onData(answer);
      }
    },
  };
}

export const serialWriteCases: readonly (() => MicroCase)[] = [
  () => writing("message to line, 32 together", {}),
  () => writing("message to line by a template", { template: "SET {1} {payload}" }),
  () => pacing(),
  asking,
];
