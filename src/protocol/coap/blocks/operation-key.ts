/**
 * What blocks belong together (RFC 9175 section 3.3, RFC 7959 section 2.5): those of one peer whose requests have the
 * same method and the same options, but for the block options themselves and those that are no part of a cache key
 * (Size1, Size2, Echo). The token is none of them: a client may take another one for each block. Content-Format is
 * looked at for each block (RFC 7959 section 2.3). As a hash, so that a long path costs no memory.
 */
import { crypto } from "../../../base/crypto.ts";
import type { Principal } from "../../../core/ports.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";

/** @param listener  a number of its own for each listener, whose peers are peers of their own */
export function operationKey(request: RequestView, reply: Reply, principal: Principal, listener: number): string {
  let parts = `${request.code} ${request.accept} ${request.ifNoneMatch} ${reply.port} ${listener}`;
  parts += part(reply.address) + part(reply.identity ?? "") + part(principal.name) + part(principal.clientId);
  for (const segment of request.path) parts += `/${part(segment)}`;
  for (const argument of request.query) parts += `?${part(argument)}`;
  for (const tag of request.requestTags) parts += `#${hex(tag)}`;
  for (const tag of request.ifMatch) parts += `=${hex(tag)}`;
  for (const tag of request.etags) parts += `~${hex(tag)}`;
  return crypto().hash("sha1", parts, "base64");
}

/** Told by its length from what follows. */
function part(text: string): string {
  return ` ${text.length}:${text}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}
