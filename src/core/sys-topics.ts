/**
 * `$SYS`: what the gateway says about itself, as topics. Nothing of it is stored or queued: a value is computed when
 * somebody asks (a new subscription, GET), and every interval those that changed go out at QoS 0 to whoever is there.
 *
 *     counters, texts ──read──> value ──changed since it was told?──> Router.publishLive     every interval, if watched
 *                                 └──asked for──> a message as retained values are: match, get
 *
 * While nobody subscribes below `$SYS`, an interval costs a sample of the load averages.
 */
import { type Counter, type Counters, isUnder, type NamesUnder } from "../base/counters.ts";
import { type Expirable, Timer, type TimerWheel } from "../base/timer-wheel.ts";
import type { Line } from "../config/budget.ts";
import { LOAD_SPANS, LoadAverage } from "./load-average.ts";
import { Message } from "./message.ts";
import type { TimeSource } from "./ports.ts";
import { Publication } from "./publication.ts";
import type { ComputedValues } from "./retained.ts";
import type { WalkPlace } from "./retained-index.ts";
import { filterMatches, hasWildcard } from "./topic.ts";

/** First level of all these topics: no wildcard matches it ([MQTT5-4.7.2-1]). */
export const SYS = "$SYS";
const OWN = `${SYS}/sluice/`;
/** Of a text. */
const TEXT_CHARACTERS_MAX = 128;
const NOTHING: Buffer = Buffer.alloc(0);

/** What `SysTopics` needs of the router. */
export interface SysRouter {
  hasSubscriptionsUnder(level: string): boolean;
  publishLive(publication: Publication): string;
  awayFrom(topic: string): string;
}

export interface SysParts {
  readonly router: SysRouter;
  /** All of them are values. */
  readonly counters: Counters;
  readonly time: TimeSource;
  readonly wheel: TimerWheel;
  readonly intervalMs: number;
  /** As `toldMax` answers. What comes beyond goes out at every interval. */
  readonly toldMax: number;
}

/** Kinds of timers. */
const INTERVAL_TIMER = 0;
const SOON_TIMER = 1;

type Read = () => string | number;

export class SysTopics implements ComputedValues, Expirable {
  readonly #parts: SysParts;
  /** Besides the counters, by topic. */
  readonly #added = new Map<string, Read>();
  /** What all who were told know, by topic or counter; absent = they know different things, or nobody was told. */
  readonly #told = new Map<string, string | number>();
  /** Who was not there to be told, as the router says it; only where somebody was not. */
  readonly #missedBy = new Map<string, string>();
  /** Values that went out because there was no room to remember what was told. */
  readonly #repeated: Counter;
  /** Values of which it is remembered what was told. */
  toldMax: number;
  readonly #loads: LoadAverage[] = [];
  readonly #peaks: (() => void)[] = [];
  #sampledMs: number;
  readonly #timer = new Timer(this, INTERVAL_TIMER);
  readonly #soonTimer = new Timer(this, SOON_TIMER);
  /** Topics that begin with one of these are told before the interval is over. */
  readonly #soon = new Set<string>();
  readonly #publication = new Publication();

  constructor(parts: SysParts) {
    this.#parts = parts;
    this.#sampledMs = parts.time.nowMs();
    this.toldMax = parts.toldMax;
    this.#repeated = parts.counters.counter("sys.repeated");
  }

  /** @param topic without `$SYS/`; a later value of the same topic replaces the earlier */
  add(topic: string, read: Read): void {
    this.#added.set(`${SYS}/${topic}`, read);
  }

  /** One of the gateway's own, by a dotted name as counters have; it takes the place of a counter of that name. */
  addOwn(name: string, read: Read): void {
    this.#added.set(topicOf(name), read);
  }

  /** The averages of a counter, as `<topic>/1min`, `/5min` and `/15min`. */
  addLoad(topic: string, read: () => number): void {
    const load = new LoadAverage(read);
    this.#loads.push(load);
    for (const [i, [name]] of LOAD_SPANS.entries())
      this.add(`${topic}/${name}`, () => (load.perMinute[i] as number).toFixed(2));
  }

  /** A value, and under `peakTopic` the largest it was at the end of an interval or when it was asked for. */
  addWithPeak(topic: string, peakTopic: string, read: () => number): void {
    let peak = 0;
    const sample = (): number => {
      const value = read();
      peak = Math.max(peak, value);
      return value;
    };
    this.#peaks.push(sample);
    this.add(topic, sample);
    this.add(peakTopic, () => Math.max(peak, sample()));
  }

  /** What `topic`, without `$SYS/`, said is no more. */
  remove(topic: string): void {
    const whole = `${SYS}/${topic}`;
    this.#withdraw((other) => other === whole);
  }

  /** The gateway's own under a dotted name, counters included, are no more. */
  removeOwn({ under, except }: NamesUnder): void {
    const names = { under: topicOf(under), except: except.map(topicOf) };
    this.#withdraw((topic) => isUnder(topic, names));
  }

  /** Who is there is told by an empty payload, as when a retained value is deleted. */
  #withdraw(isGone: (topic: string) => boolean): void {
    const gone = [...this.#keys()].filter(([, topic]) => isGone(topic));
    const watched = this.#parts.router.hasSubscriptionsUnder(SYS);
    for (const [key, topic] of gone) {
      this.#added.delete(key);
      this.#told.delete(key);
      this.#missedBy.delete(key);
      this.#publication.setParts(topic, NOTHING, 0, false);
      if (watched) this.#parts.router.publishLive(this.#publication);
    }
  }

  start(): void {
    this.#parts.wheel.schedule(this.#timer, this.#parts.intervalMs);
  }

  /** Rights have changed: who may read now was told nothing. */
  forget(): void {
    this.#told.clear();
  }

  // ---- asked for ---------------------------------------------------------------------------------------------

  *match(filter: string, walk: WalkPlace = { place: "" }): Generator<string | null> {
    const after = walk.place;
    if (!hasWildcard(filter)) {
      walk.place = filter;
      if (after === "" && this.#keyOf(filter) !== null) yield filter;
      return;
    }
    let before = after !== "";
    for (const [, topic] of this.#keys()) {
      if (!before) {
        walk.place = topic;
        yield filterMatches(filter, topic) ? topic : null;
      }
      if (topic === after) before = false;
    }
  }

  get(topic: string): Message | undefined {
    const key = this.#keyOf(topic);
    if (key === null) return undefined;
    const value = this.#read(key);
    // Who asks now knows something else than those who were told: the next interval tells it all of them.
    if (this.#told.get(key) !== value) this.#told.delete(key);
    const name = Buffer.from(topic);
    const bytes = Buffer.concat([name, Buffer.from(String(value))]);
    const ageMs = this.#parts.time.ageMs();
    // Good for an interval: CoAP's Max-Age. There is no property that says so to MQTT clients.
    return new Message(bytes, name.length, name.length, 0, true, ageMs, ageMs + this.#parts.intervalMs, -1);
  }

  /** The key of what `topic` says; null = nothing. */
  #keyOf(topic: string): string | null {
    if (this.#added.has(topic)) return topic;
    const name = topic.slice(OWN.length).replaceAll("/", ".");
    if (this.#parts.counters.has(name) && topicOf(name) === topic) return name;
    for (const [key, other] of this.#keys()) if (other === topic) return key;
    return null;
  }

  // ---- told --------------------------------------------------------------------------------------------------

  /**
   * Values have changed in a way that nobody should wait for. They are told with the next tick of the wheel, once, however
   * often they change until then: never from within a route that is being used.
   * @param under  the gateway's own, by the beginning of their dotted names  @param topic  and one without `$SYS/`
   */
  tellSoon(under: string, topic: string): void {
    if (!this.#parts.router.hasSubscriptionsUnder(SYS)) return;
    this.#soon.add(topicOf(under)).add(`${SYS}/${topic}`);
    if (!this.#soonTimer.armed) this.#parts.wheel.schedule(this.#soonTimer, 0);
  }

  onTimer(kind: number): void {
    if (kind === SOON_TIMER) {
      const soon = [...this.#soon];
      this.#soon.clear();
      this.#tell((topic) => soon.some((under) => topic.startsWith(under)));
      return;
    }
    this.start();
    const nowMs = this.#parts.time.nowMs();
    if (nowMs > this.#sampledMs) for (const load of this.#loads) load.sample(nowMs - this.#sampledMs);
    this.#sampledMs = nowMs;
    for (const sample of this.#peaks) sample();
    if (this.#parts.router.hasSubscriptionsUnder(SYS)) this.#tell(() => true);
    else this.#told.clear();
  }

  #tell(concerns: (topic: string) => boolean): void {
    const { router } = this.#parts;
    const p = this.#publication;
    for (const [key, topic] of this.#keys()) {
      if (!concerns(topic)) continue;
      const value = this.#read(key);
      const missedBy = this.#missedBy.get(key);
      // A session that comes back does not subscribe anew: it is told what it missed.
      if (this.#told.get(key) === value && (missedBy === undefined || router.awayFrom(topic) === missedBy)) continue;
      p.setParts(topic, Buffer.from(String(value)), 0, false);
      this.#remember(key, value, router.publishLive(p));
    }
  }

  #remember(key: string, value: string | number, away: string): void {
    if (this.#told.size >= this.toldMax && !this.#told.has(key)) {
      this.#repeated.value++;
      return;
    }
    this.#told.set(key, value);
    if (away === "") this.#missedBy.delete(key);
    else this.#missedBy.set(key, away);
  }

  // ------------------------------------------------------------------------------------------------------------

  /** Topics and what they are known by here: those that were added by themselves, a counter by its name. */
  *#keys(): Generator<[key: string, topic: string]> {
    for (const topic of this.#added.keys()) yield [topic, topic];
    for (const name of this.#parts.counters.names()) {
      const topic = topicOf(name);
      if (!this.#added.has(topic)) yield [name, topic];
    }
  }

  #read(key: string): string | number {
    const value = this.#added.get(key)?.() ?? this.#parts.counters.get(key);
    if (typeof value === "string") return value.slice(0, TEXT_CHARACTERS_MAX);
    return Number.isInteger(value) ? value : value.toFixed(2);
  }
}

/** "store.log_rows" is `$SYS/sluice/store/log_rows`. */
function topicOf(name: string): string {
  return OWN + name.replaceAll(".", "/").replaceAll(/[+#\0]/g, "-");
}

/** Values of a gateway without uplinks, with room for causes and reasons that were not seen yet; and of an uplink. */
const VALUES = 264;
const VALUES_PER_UPLINK = 72;
/** Measured bytes of a value with what was told of it; counters take less, what was added takes more. */
const VALUE_BYTES = 176;

export function toldMax(uplinks: number): number {
  return VALUES + uplinks * VALUES_PER_UPLINK;
}

export function budget(uplinks: number): Line[] {
  const values = toldMax(uplinks);
  return [{ owner: "$SYS values", bytes: values * VALUE_BYTES, how: `${values} values x ${VALUE_BYTES} B` }];
}
