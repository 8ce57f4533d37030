/** `/.well-known/core`: the resources in link format (RFC 6690), for clients that look around. */
import type { Principal } from "../../../core/ports.ts";
import { GET } from "../../../wire/coap/codes.ts";
import { LINK_FORMAT } from "../../../wire/coap/content-format.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";
import { respondContent } from "./content.ts";
import { methods, type Resource } from "./resource.ts";

const LINKS = Buffer.from(
  '</ps>;rt="core.ps";title="publish and read topics: /ps/{topic}",' +
    '</mqtt/publish>;title="publish: /mqtt/publish/{topic}",' +
    "</health>;ct=0",
);

/** The list is the program's: another one comes with another version of it. */
const LINKS_TAG = Buffer.from([1]);

export class CoreResource implements Resource {
  readonly methods = methods(GET);
  readonly guarded = false;

  handle(request: RequestView, reply: Reply, _principal: Principal): void {
    respondContent(reply, request, {
      format: LINK_FORMAT,
      entityTag: LINKS_TAG,
      maxAgeSeconds: Number.POSITIVE_INFINITY,
      payload: LINKS,
    });
  }
}
