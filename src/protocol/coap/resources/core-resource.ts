/**
 * `/.well-known/core`: the resources in link format, for clients that look around.
 *
 * Topics are not in the list, as there may be thousands of them: `/ps` is the collection that lists those with a
 * retained value.
 *
 * @see RFC 6690
 */
import type { Principal } from "../../../core/ports.ts";
import { GET } from "../../../wire/coap/codes.ts";
import { LINK_FORMAT } from "../../../wire/coap/content-format.ts";
import { type Link, linkMatches, linkText } from "../../../wire/coap/link-format.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";
import { respondContent } from "./content.ts";
import { methods, type Resource } from "./resource.ts";

/** None is larger than a datagram, which is what `sz` would be for. */
export const LINKS: readonly Link[] = [
  {
    href: "/ps",
    attributes: [
      ["rt", "core.ps"],
      ["if", "core.ll"],
      ["ct", "40"],
      ["obs", null],
      ["title", "topics: publish, read and observe /ps/{topic}"],
    ],
  },
  {
    href: "/mqtt/publish",
    attributes: [
      ["rt", "mqtt.publish"],
      ["title", "publish: /mqtt/publish/{topic}"],
    ],
  },
  {
    href: "/mqtt/connection",
    attributes: [
      ["rt", "mqtt.connection"],
      ["ct", "0"],
      ["title", "a token for clientid, username and password"],
    ],
  },
  {
    href: "/health",
    attributes: [
      ["rt", "health"],
      ["ct", "0"],
    ],
  },
];

export class CoreResource implements Resource {
  readonly methods = methods(GET);
  readonly guarded = false;
  readonly writable = false;

  /** Several arguments: what all of them ask for. */
  handle(request: RequestView, reply: Reply, _principal: Principal): void {
    const links = LINKS.filter((link) => request.query.every((argument) => linkMatches(link, argument)));
    if (links.length === 0 && reply.multicast) {
      reply.ignore(); // RFC 6690 section 4.1
      return;
    }
    const payload = Buffer.from(links.map(linkText).join(","));
    respondContent(reply, request, {
      format: LINK_FORMAT,
      entityTag: entityTagOf(payload),
      maxAgeSeconds: Number.POSITIVE_INFINITY,
      payload,
    });
  }
}

/** FNV-1a: another version of the program may have other links. */
function entityTagOf(payload: Buffer): Buffer {
  let hash = 0x811c9dc5;
  for (const byte of payload) hash = Math.imul(hash ^ byte, 0x01000193);
  const tag = Buffer.allocUnsafe(4);
  tag.writeUInt32BE(hash >>> 0);
  return tag;
}
