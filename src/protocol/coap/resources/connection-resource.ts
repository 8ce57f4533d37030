/**
 * `/mqtt/connection`: EMQX's connection mode. POST opens a connection and answers its token, PUT is a heartbeat, DELETE
 * says goodbye.
 */
import type { Principal } from "../../../core/ports.ts";
import {
  BAD_REQUEST,
  CHANGED,
  CONTENT_FORMAT,
  CREATED,
  DELETE,
  DELETED,
  FORBIDDEN,
  POST,
  PUT,
} from "../../../wire/coap/codes.ts";
import { TEXT_PLAIN } from "../../../wire/coap/content-format.ts";
import { uintOption } from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import { type ConnectionTable, FOREIGN, FULL } from "../connection/connection-table.ts";
import { Credentials } from "../connection/credentials.ts";
import type { Reply } from "../message/reply.ts";
import { refuseBusy } from "./refusal.ts";
import { methods, type Resource } from "./resource.ts";

export class ConnectionResource implements Resource {
  readonly methods = methods(POST, PUT, DELETE);
  readonly guarded = true;
  readonly writable = false;
  readonly #connections: ConnectionTable;
  readonly #heartbeatMs: number;
  readonly #credentials = new Credentials();

  /** @param heartbeatMs `heartbeat` of the listener */
  constructor(connections: ConnectionTable, heartbeatMs: number) {
    this.#connections = connections;
    this.#heartbeatMs = heartbeatMs;
  }

  /** Whoever comes here with a token has a connection that it names; that was the login. */
  handle(request: RequestView, reply: Reply, principal: Principal): void {
    const credentials = this.#credentials;
    credentials.read(request.query, Number.POSITIVE_INFINITY);
    if (credentials.clientId === "") {
      reply.refuse(BAD_REQUEST, "give clientid");
    } else if (request.code === POST) {
      this.#open(reply, principal);
    } else if (credentials.token === null) {
      reply.refuse(BAD_REQUEST, "give clientid and the token that POST answered");
    } else if (request.code === PUT) {
      reply.respond(CHANGED);
    } else {
      this.#connections.close(credentials.clientId);
      reply.respond(DELETED);
    }
  }

  #open(reply: Reply, principal: Principal): void {
    const opened = this.#connections.open(principal, reply.identity, this.#heartbeatMs);
    if (opened === FOREIGN) reply.refuse(FORBIDDEN, "this clientid is another user's");
    else if (opened === FULL) refuseBusy(reply, "too many connections");
    else reply.respond(CREATED, [uintOption(CONTENT_FORMAT, TEXT_PLAIN)], Buffer.from(opened.token));
  }
}
