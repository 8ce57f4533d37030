/** What the message layers of all CoAP listeners of a gateway share: every table of it that has a limit. */
import { assert } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Counters } from "../../../base/counters.ts";
import type { Random } from "../../../base/random.ts";
import type { TimerWheel } from "../../../base/timer-wheel.ts";
import type { Line } from "../../../config/budget.ts";
import { RATE_BUCKETS, SourceRates } from "../../../transport/source-rates.ts";
import { Echo } from "./echo.ts";
import { EXCHANGE_BYTES, type ExchangeLimits, ExchangeTable, exchangeLimits } from "./exchange-table.ts";
import { PEER_BYTES, PEER_LIMITS, type PeerLimits, PeerTable } from "./peer-table.ts";
import type { Reply } from "./reply.ts";
import { REPLY_BYTES, REPLY_LIMITS, type ReplyLimits, ReplyPool } from "./reply-pool.ts";
import { SENT_NON_BYTES, SENT_NONS_MAX, SentNons } from "./sent-nons.ts";

export interface MessageParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly counters: Counters;
}

export interface MessageLimits {
  readonly peers: PeerLimits;
  readonly exchanges: ExchangeLimits;
  readonly replies: ReplyLimits;
}

/** @param exchangesMax  `limits.coap_exchanges` */
export function messageLimits(exchangesMax: number): MessageLimits {
  return { peers: PEER_LIMITS, exchanges: exchangeLimits(exchangesMax), replies: REPLY_LIMITS };
}

const TOLD_BUCKETS = 256;

export class MessageTables {
  readonly peers: PeerTable;
  readonly exchanges: ExchangeTable;
  readonly replies: ReplyPool;
  readonly sentNons = new SentNons();
  /** Replies whose requests are held until their peers have proven their addresses. */
  readonly held = new Set<Reply>();
  readonly rates = new SourceRates();
  /** How often a source is told that it is too fast. */
  readonly told = new SourceRates(TOLD_BUCKETS);
  readonly echo: Echo;
  /** Endpoints there have been. */
  endpoints = 0;

  constructor({ clock, random, counters }: MessageParts, limits: MessageLimits) {
    const { repliesMax } = limits.replies;
    assert(repliesMax < limits.exchanges.exchangesMax, "an exchange that is not under way can always give way");
    assert(repliesMax + limits.peers.heldMax < limits.peers.peersMax, "a peer that is not held can always give way");
    this.peers = new PeerTable(clock, random, counters, limits.peers);
    this.exchanges = new ExchangeTable(counters, limits.exchanges);
    this.replies = new ReplyPool(counters, limits.replies);
    this.echo = new Echo(clock);
  }
}

/** Worst case, however many listeners there are. */
export function budget({ exchanges, peers, replies }: MessageLimits): Line[] {
  const { exchangesMax, responseBytesMax } = exchanges;
  const { peersMax } = peers;
  const { repliesMax } = replies;
  const rateBuckets = 2 * (RATE_BUCKETS + TOLD_BUCKETS);
  return [
    {
      owner: "coap exchanges",
      bytes: exchangesMax * EXCHANGE_BYTES + responseBytesMax,
      how: `${exchangesMax} exchanges x ${EXCHANGE_BYTES} B + ${responseBytesMax} B of answers`,
    },
    {
      owner: "coap peers",
      bytes: peersMax * PEER_BYTES + SENT_NONS_MAX * SENT_NON_BYTES + rateBuckets * 8,
      how: `${peersMax} x ${PEER_BYTES} B + ${SENT_NONS_MAX} Message IDs x ${SENT_NON_BYTES} B + ${rateBuckets} rates x 8 B`,
    },
    {
      owner: "coap replies",
      bytes: repliesMax * REPLY_BYTES + replies.responseBytesMax,
      how: `${repliesMax} x ${REPLY_BYTES} B + ${replies.responseBytesMax} B of responses that wait`,
    },
  ];
}
