/** `/health`: 2.05 while the gateway serves, 5.03 when it can store nothing any more. */
import type { Principal, StoreHealth } from "../../../core/ports.ts";
import {
  BAD_REQUEST,
  CONTENT,
  CONTENT_FORMAT,
  GET,
  MAX_AGE,
  NOT_ACCEPTABLE,
  SERVICE_UNAVAILABLE,
} from "../../../wire/coap/codes.ts";
import { NO_FORMAT, TEXT_PLAIN } from "../../../wire/coap/content-format.ts";
import { uintOption } from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";
import { methods, type Resource } from "./resource.ts";

const HEALTHY = Buffer.from("healthy");
const FULL = Buffer.from("degraded: the store is full");
const READ_ONLY = Buffer.from("degraded: the store is read-only");
const FAILED = Buffer.from("failed: the store cannot write");

export class HealthResource implements Resource {
  readonly methods = methods(GET);
  readonly guarded = false;
  readonly writable = false;
  readonly #health: () => StoreHealth;

  constructor(health: () => StoreHealth) {
    this.#health = health;
  }

  handle(request: RequestView, reply: Reply, _principal: Principal): void {
    if (request.accept !== NO_FORMAT && request.accept !== TEXT_PLAIN) {
      reply.refuse(NOT_ACCEPTABLE, "health is text");
      return;
    }
    if (request.block2Num > 0) {
      reply.refuse(BAD_REQUEST, "health is one block");
      return;
    }
    const health = this.#health();
    const options = [uintOption(CONTENT_FORMAT, TEXT_PLAIN), uintOption(MAX_AGE, 0)];
    if (health === "failed") reply.respond(SERVICE_UNAVAILABLE, options, FAILED);
    else reply.respond(CONTENT, options, health === "ok" ? HEALTHY : health === "full" ? FULL : READ_ONLY);
  }
}
