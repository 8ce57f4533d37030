/** Packet ids of QoS 1 messages on their way: taken, and given back by PUBACK, with a window as clients have it. */
import { Inflight } from "../../src/core/inflight.ts";
import { LiveWindow } from "../../src/core/live-window.ts";
import { packetIdOf } from "../../src/core/packet-ids.ts";
import { type MicroCase, sink } from "./case.ts";

const WINDOW = 64;
const BYTES = 100;

function windowed(name: string, idAt: (i: number) => number): MicroCase {
  const inflight = new Inflight();
  inflight.windowMax = WINDOW;
  let seq = 0;
  return {
    name: `core/inflight: push and finish, ${name}`,
    run: (times) => {
      for (let done = 0; done < times; done += WINDOW) {
        const first = inflight.next;
        for (let i = 0; i < WINDOW; i++) inflight.push(++seq, 1, BYTES, null);
        for (let i = 0; i < WINDOW; i++) {
          if (!inflight.finish(packetIdOf(first + idAt(i)))) throw new Error("it is in flight");
        }
        sink.value += inflight.answeredSeq;
      }
    },
  };
}

function live(name: string, idAt: (i: number) => number): MicroCase {
  const inflight = new LiveWindow();
  inflight.windowMax = WINDOW;
  return {
    name: `core/live-window: push and finish, ${name}`,
    run: (times) => {
      for (let done = 0; done < times; done += WINDOW) {
        const first = inflight.next;
        for (let i = 0; i < WINDOW; i++) sink.value += inflight.push(1);
        for (let i = 0; i < WINDOW; i++) {
          if (!inflight.finish(packetIdOf(first + idAt(i)))) throw new Error("it is in flight");
        }
      }
    },
  };
}

export const inflightCases: readonly (() => MicroCase)[] = [
  () => windowed(`${WINDOW} in order`, (i) => i),
  () => windowed(`${WINDOW} out of order`, (i) => (i * 37) % WINDOW),
  () => live(`${WINDOW} in order`, (i) => i),
  () => live(`${WINDOW} out of order`, (i) => (i * 37) % WINDOW),
];
