/** If-Match and If-None-Match, about the retained value (RFC 7252 section 5.10.8). */
import type { Message } from "../../../core/message.ts";
import { entityTagOf } from "../../../core/plain-publish.ts";
import type { RequestView } from "../../../wire/coap/request.ts";

export function isPreconditionMet(request: RequestView, value: Message | undefined): boolean {
  if (value === undefined) return request.ifMatch.length === 0;
  if (request.ifNoneMatch) return false;
  if (request.ifMatch.length === 0) return true;
  const etag = entityTagOf(value);
  return request.ifMatch.some((tag) => tag.length === 0 || etag.equals(tag));
}
