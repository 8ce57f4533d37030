/** What a device says to people beside CoAP: published to a topic, or logged at `debug`. */
import type { Counter, Counters } from "../../base/counters.ts";
import type { Log } from "../../base/log.ts";
import type { Publisher } from "../../core/plain-publish.ts";
import type { Authority, Principal } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import { NO_WAITER } from "../../core/router.ts";
import type { DiagnosticSink } from "./slipmux-port.ts";

export interface DiagnosticParts {
  readonly principal: Principal;
  readonly router: Publisher;
  readonly authority: Pick<Authority, "mayPublish">;
  readonly log: Log;
  readonly counters: Counters;
}

const LF = 0x0a;
const CR = 0x0d;

/** A text is one message of QoS 0: it is for who looks on, and nothing waits for it. */
export class Diagnostics implements DiagnosticSink {
  readonly #parts: DiagnosticParts;
  readonly #topic: string | null;
  readonly #publication = new Publication();
  readonly #deniedTexts: Counter;
  #denied = false;

  /** @param topic null = it is logged */
  constructor(parts: DiagnosticParts, topic: string | null) {
    this.#parts = parts;
    this.#topic = topic;
    this.#deniedTexts = parts.counters.counter("slipmux.diagnostics_denied");
  }

  onDiagnostic(bytes: Buffer, from: number, end: number): void {
    if (end > from && bytes[end - 1] === LF) end--;
    if (end > from && bytes[end - 1] === CR) end--;
    if (end === from) return;
    const { authority, principal, router, log } = this.#parts;
    const topic = this.#topic;
    if (topic === null) {
      if (log.level === "debug")
        log.debug("serial-diagnostic", { name: principal.name, text: textOf(bytes, from, end) });
    } else if (!authority.mayPublish(principal, topic)) {
      this.#deny(topic);
    } else {
      this.#publication.setParts(topic, bytes.subarray(from, end), 0, false);
      router.publish(this.#publication, NO_WAITER, 0);
    }
  }

  #deny(topic: string): void {
    this.#deniedTexts.value++;
    if (this.#denied) return;
    this.#denied = true;
    this.#parts.log.warn("serial-publish-denied", { name: this.#parts.principal.name, topic });
  }
}

function textOf(bytes: Buffer, from: number, end: number): string {
  return bytes.toString("utf8", from, end);
}
