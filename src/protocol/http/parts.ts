/** What the HTTP listener needs from the rest of the gateway. */
import type { Clock } from "../../base/clock.ts";
import type { Counters } from "../../base/counters.ts";
import type { PlainLimits, Publisher, RetainedValues } from "../../core/plain-publish.ts";
import type { Authority, LoginRequest, StoreHealth } from "../../core/ports.ts";

export interface HttpParts {
  readonly router: Publisher;
  readonly retained: RetainedValues;
  readonly authority: Pick<Authority, "authenticate" | "mayPublish" | "mayRead">;
  readonly health: () => StoreHealth;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly limits: PlainLimits;
  /** `limits.handshakes_per_second`: whether a login that costs may begin now. */
  readonly admitLogin: () => boolean;
}

/** What a listener sets for itself. */
export interface HttpListenerOptions {
  readonly anonymous: LoginRequest["anonymous"];
}
