/** What a path of the listener offers. */
import type { Principal } from "../../../core/ports.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";

export interface Resource {
  /** Bit n is set when it has the method of code n. */
  readonly methods: number;
  /** Whether who asks must be known; the others are answered to anybody. */
  readonly guarded: boolean;
  /** Whether it honours Block1, If-Match and If-None-Match; where it does not, a request with one of them is refused. */
  readonly writable: boolean;
  /**
   * Answers now, or later through `reply`.
   * @param request valid until return
   */
  handle(request: RequestView, reply: Reply, principal: Principal): void;
}

export function methods(...codes: number[]): number {
  return codes.reduce((bits, code) => bits | (1 << code), 0);
}
