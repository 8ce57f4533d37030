/**
 * GET of a path with wildcards, FETCH of a filter, `GET /ps`: the topics that hold a value and may be read, as links
 * (RFC 6690). There may be ten thousand, so a list is made block by block, a bounded part of the walk in each turn of
 * the event loop; a few lists are under way at a time, and the one not asked for longest gives way.
 */
import type { Counter, Counters } from "../../../base/counters.ts";
import type { Random } from "../../../base/random.ts";
import type { Line } from "../../../config/budget.ts";
import type { RetainedValues } from "../../../core/plain-publish.ts";
import type { Authority, Principal } from "../../../core/ports.ts";
import type { WalkPlace } from "../../../core/retained-index.ts";
import type { Sliced } from "../../../core/turns.ts";
import { BAD_REQUEST, BLOCK2, CONTENT, CONTENT_FORMAT, ETAG, MAX_AGE } from "../../../wire/coap/codes.ts";
import { LINK_FORMAT, NO_FORMAT } from "../../../wire/coap/content-format.ts";
import { hrefOf, linkText } from "../../../wire/coap/link-format.ts";
import { blockBytes, blockOption, type CoapOption, uintOption } from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import { operationKey } from "../blocks/operation-key.ts";
import type { Reply } from "../message/reply.ts";
import { fittingSzx, isAcceptable } from "./content.ts";
import { refuseBusy } from "./refusal.ts";
import { TopicList } from "./topic-list.ts";
import { contentFormatOf } from "./topic-reader.ts";

export interface ListParts {
  readonly retained: RetainedValues & { match(filter: string, walk?: WalkPlace): Generator<string | null> };
  readonly authority: Pick<Authority, "mayRead">;
  readonly counters: Counters;
  readonly random: Random;
  /** Gives a turn of the event loop. */
  readonly schedule: (sliced: Sliced) => void;
}

/** Lists under way, of all listeners. */
export const LISTS_MAX = 8;
/** Of memory, all together: a list of short topics takes 2 KiB, one of the longest 8. */
export const LISTS_BYTES_MAX = 16 * 1024;

/** Levels looked at in a turn; a value that is looked up, for its format and size, is as much work as 32. About 0.5 ms. */
const STEPS_PER_TURN = 2048;
const STEPS_OF_VALUE = 32;

export class TopicLists {
  readonly #parts: ListParts;
  /** By operation and filter, the one not asked for longest first. */
  readonly #lists = new Map<string, TopicList>();
  #bytes = 0;
  /** Lists that go on in another turn. */
  #underWay = 0;
  #nextTag: number;
  readonly #evicted: Counter;

  constructor(parts: ListParts) {
    this.#parts = parts;
    this.#nextTag = Math.floor(parts.random() * 0x1_0000_0000);
    this.#evicted = parts.counters.counter("coap.lists_evicted");
    parts.counters.gauge("coap.lists", () => this.#lists.size);
    parts.counters.gauge("coap.lists_bytes", () => this.#bytes);
  }

  /** @param filter  has no problem  @param listener  as for `operationKey` */
  list(filter: string, request: RequestView, reply: Reply, principal: Principal, listener: number): void {
    if (!isAcceptable(reply, request, LINK_FORMAT)) return;
    const key = `${operationKey(request, reply, principal, listener)} ${filter}`;
    const from = request.block2Num * blockBytes(request.block2Szx);
    const known = this.#lists.get(key);
    if (known !== undefined && known.reply !== null) {
      refuseBusy(reply, "this list is being made");
    } else if (this.#underWay === LISTS_MAX) {
      refuseBusy(reply, "too many lists are being made");
    } else if (from === 0) {
      if (known !== undefined) this.#drop(known);
      this.#make(this.#begin(key, filter, principal), request, reply);
    } else if (known?.goTo(from) === true) {
      known.principal = principal;
      this.#make(known, request, reply);
    } else {
      reply.refuse(BAD_REQUEST, "no list has come to this block: begin with block 0");
    }
  }

  #begin(key: string, filter: string, principal: Principal): TopicList {
    const entityTag = Buffer.allocUnsafeSlow(4);
    entityTag.writeUInt32BE(this.#nextTag);
    this.#nextTag = (this.#nextTag + 1) >>> 0;
    return new TopicList(key, filter, entityTag, principal, this.#go);
  }

  #make(list: TopicList, request: RequestView, reply: Reply): void {
    list.szx = fittingSzx(reply, request.block2Szx, optionsOf(list));
    if (list.szx < request.block2Szx && reply.askProof()) return;
    list.reply = reply;
    list.asked = request.hasBlock2;
    this.#enter(list);
    if (this.#fill(list, STEPS_PER_TURN)) {
      this.#respond(list, reply);
      return;
    }
    reply.awaited++;
    this.#underWay++;
    this.#parts.schedule(list);
  }

  /** Its turn has come. */
  readonly #go = (list: TopicList): void => {
    const { reply } = list;
    if (reply === null) return;
    if (!reply.answered && !this.#fill(list, STEPS_PER_TURN)) {
      this.#parts.schedule(list);
      return;
    }
    reply.awaited--;
    this.#underWay--;
    this.#respond(list, reply);
    reply.releaseIfDone();
  };

  /** Makes a block and a byte, which tells that more follow. @returns false when it has to go on in another turn */
  #fill(list: TopicList, steps: number): boolean {
    const { retained, authority } = this.#parts;
    const size = blockBytes(list.szx);
    if (list.ended || list.tail.length > size) return true;
    const walk = retained.match(list.filter, list);
    for (let left = steps; left > 0; left--) {
      const { done, value: topic } = walk.next();
      if (done === true) {
        list.ended = true;
        return true;
      }
      if (topic === null || !authority.mayRead(list.principal, topic)) continue;
      left -= STEPS_OF_VALUE;
      const message = retained.get(topic);
      if (message === undefined) continue;
      list.add(linkOf(topic, contentFormatOf(message), message.payload.length));
      if (list.tail.length > size) return true;
    }
    return false;
  }

  #respond(list: TopicList, reply: Reply): void {
    const size = blockBytes(list.szx);
    const num = list.from / size;
    const more = list.cut(size);
    const options = optionsOf(list);
    if (num > 0 || more || list.asked) options.push(blockOption(BLOCK2, num, more, list.szx));
    list.reply = null;
    if (num === 0 && !more) this.#drop(list);
    else this.#enter(list);
    reply.respond(CONTENT, options, list.last);
  }

  /** As the one asked for last, with the bytes that it takes now; what does not fit beside it gives way. */
  #enter(list: TopicList): void {
    this.#drop(list);
    list.counted = list.bytes;
    this.#bytes += list.counted;
    this.#lists.set(list.key, list);
    for (const other of this.#lists.values()) {
      if (this.#lists.size <= LISTS_MAX && this.#bytes <= LISTS_BYTES_MAX) break;
      if (other === list || other.reply !== null) continue;
      this.#evicted.value++;
      this.#drop(other);
    }
  }

  #drop(list: TopicList): void {
    if (this.#lists.get(list.key) !== list) return;
    this.#lists.delete(list.key);
    this.#bytes -= list.counted;
  }
}

/** `</ps/hall/temperature>;ct=50;sz=12`; without ct when its publisher gave no format. */
function linkOf(topic: string, format: number, size: number): string {
  const attributes: [string, string][] = format === NO_FORMAT ? [] : [["ct", String(format)]];
  return linkText({ href: hrefOf("/ps", topic.split("/")), attributes: [...attributes, ["sz", String(size)]] });
}

/** A list is of this moment: who has it is to ask again. */
function optionsOf(list: TopicList): CoapOption[] {
  return [{ name: ETAG, value: list.entityTag }, uintOption(CONTENT_FORMAT, LINK_FORMAT), uintOption(MAX_AGE, 0)];
}

/** Worst case of all CoAP listeners together. */
export function budget(): Line {
  return {
    owner: "coap lists of topics",
    bytes: LISTS_BYTES_MAX,
    how: `${LISTS_BYTES_MAX} B, up to ${LISTS_MAX} lists`,
  };
}
