/** What the HTTP listener needs from the rest of the gateway. */
import type { Clock } from "../../base/clock.ts";
import type { Counters } from "../../base/counters.ts";
import type { Message } from "../../core/message.ts";
import type { TopicLimits } from "../../core/plain-publish.ts";
import type { Authority, StoreHealth, StoreWaiter } from "../../core/ports.ts";
import type { Publication } from "../../core/publication.ts";

export interface HttpLimits extends TopicLimits {
  /** Of a body, and so of a payload. */
  readonly maxPacketBytes: number;
}

export interface HttpParts {
  readonly router: { publish(publication: Publication, waiter: StoreWaiter, token: number): number };
  readonly retained: { get(topic: string): Message | undefined };
  readonly authority: Pick<Authority, "authenticate" | "mayPublish" | "mayRead">;
  readonly health: () => StoreHealth;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly limits: HttpLimits;
}

/** What a listener sets for itself. */
export interface HttpListenerOptions {
  readonly anonymous: "never" | "loopback" | "always" | null;
}
