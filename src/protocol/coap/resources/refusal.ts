/** Why a request was not done, in CoAP's codes: the reasons of the router, the store and the logins are MQTT's. */

import { RETRY_AFTER_SECONDS } from "../../../core/plain-publish.ts";
import { FORBIDDEN, MAX_AGE, SERVICE_UNAVAILABLE, UNAUTHORIZED } from "../../../wire/coap/codes.ts";
import { uintOption } from "../../../wire/coap/options.ts";
import {
  BAD_USER_NAME_OR_PASSWORD,
  IMPLEMENTATION_SPECIFIC_ERROR,
  NOT_AUTHORIZED,
  QUOTA_EXCEEDED,
} from "../../../wire/mqtt/codes.ts";
import type { Reply } from "../message/reply.ts";

/** 5.03 with Max-Age (RFC 7252 section 5.9.3.4): nobody has the message, try again later. */
export function refuseBusy(reply: Reply, diagnostic: string): void {
  reply.refuse(SERVICE_UNAVAILABLE, diagnostic, [uintOption(MAX_AGE, RETRY_AFTER_SECONDS)]);
}

/** @param reason from `Router.publish` or `onStored` */
export function refuseStored(reply: Reply, reason: number): void {
  if (reason === QUOTA_EXCEEDED) refuseBusy(reply, "full: a receiver that must have it, or the store, takes no more");
  else if (reason === IMPLEMENTATION_SPECIFIC_ERROR) refuseBusy(reply, "the store cannot write");
  else if (reason === NOT_AUTHORIZED) reply.refuse(FORBIDDEN, "this message is not let through");
  else refuseBusy(reply, "not taken");
}

/** @param reason from `onLogin` */
export function refuseLogin(reply: Reply, reason: number): void {
  if (reason === BAD_USER_NAME_OR_PASSWORD || reason === NOT_AUTHORIZED) {
    reply.refuse(UNAUTHORIZED, "give clientid, username and password that this gateway knows");
  } else {
    refuseBusy(reply, "too many logins under way");
  }
}
