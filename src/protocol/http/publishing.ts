/** From a request that may publish to the router, and back: shared by the paths that publish. */
import type { Counter } from "../../base/counters.ts";
import { fillPublication, PublishOptions, topicProblem } from "../../core/plain-publish.ts";
import { Publication } from "../../core/publication.ts";
import { STORED_LATER } from "../../core/router.ts";
import { refuse, refuseStored } from "./answer.ts";
import type { HttpExchange } from "./exchange.ts";
import type { HttpParts } from "./parts.ts";

export class Publishing {
  readonly options = new PublishOptions();
  readonly #parts: HttpParts;
  readonly #publication = new Publication();
  readonly #published: Counter;

  constructor(parts: HttpParts) {
    this.#parts = parts;
    this.#published = parts.counters.counter("http.published");
  }

  /** Options as they are when the request names none: a 2xx means stored. */
  resetOptions(): void {
    this.options.reset(1);
  }

  /** @returns whether the exchange may publish to its topic; otherwise it has been refused */
  mayPublish(exchange: HttpExchange): boolean {
    const problem = topicProblem(exchange.topic, this.#parts.limits);
    if (problem !== null) {
      refuse(exchange.response, 400, "topic-invalid", problem);
    } else if (!this.#parts.authority.mayPublish(exchange.principal, exchange.topic)) {
      refuse(exchange.response, 403, "not-allowed", "may not publish to this topic");
    } else {
      return true;
    }
    return false;
  }

  /** Publishes with `options`. @returns true when the message is settled already; the exchange waits or is refused otherwise */
  publish(exchange: HttpExchange, payload: Buffer, mediaType: string | null): boolean {
    this.#published.value++;
    fillPublication(this.#publication, exchange.topic, payload, this.options, mediaType);
    const outcome = this.#parts.router.publish(this.#publication, exchange, 0);
    if (outcome >= 0x80) refuseStored(exchange.response, outcome);
    return outcome !== STORED_LATER && outcome < 0x80;
  }
}
