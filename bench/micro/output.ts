/** What leaves through a link: packets appended to its buffer, and handed over when it is full or the turn ends. */
import { Counters } from "../../src/base/counters.ts";
import { Flusher } from "../../src/transport/flusher.ts";
import { Output, type OutputOwner, type Writer } from "../../src/transport/output.ts";
import { outputMemory } from "../../src/transport/output-buffers.ts";
import { type MicroCase, sink } from "./case.ts";

const OUTPUT_BYTES = 1024 * 1024;
const PER_TURN = 100;

/** A socket that takes all at once. */
class Swallow implements Writer, OutputOwner {
  readonly writableLength = 0;

  write(bytes: Buffer): void {
    sink.value += bytes.length;
  }

  onEmpty(): void {}

  onOverflow(): void {}
}

function append(bytes: number): MicroCase {
  const flusher = new Flusher(OUTPUT_BYTES, outputMemory(100), new Counters());
  const swallow = new Swallow();
  const output = new Output(flusher, swallow, swallow);
  const packet = Buffer.alloc(bytes, 1);
  return {
    name: `transport/output: append ${bytes} bytes, ${PER_TURN} a turn`,
    run: (times) => {
      for (let done = 0; done < times; done += PER_TURN) {
        for (let i = 0; i < PER_TURN; i++) output.append(packet, 0, bytes);
        flusher.endTurn();
      }
    },
  };
}

export const outputCases: readonly (() => MicroCase)[] = [() => append(20), () => append(100), () => append(1_000)];
