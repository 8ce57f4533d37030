/**
 * The values of a group in one message: `{"time":"...","values":{"voltage":230.1,"current":7}}`. It goes out when all reads
 * of the group have ended and one of its values is news. What could not be read this time is left out.
 */
import type { ModbusMessage } from "../../config/serial-modbus.ts";
import { type Point, valueText } from "./point.ts";
import type { Poll } from "./poll.ts";
import type { Told } from "./publications.ts";

export class GroupMessage implements Told {
  readonly topic: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly points: Point[] = [];
  readonly polls: Poll[] = [];
  /** Reads that have ended in this round. */
  readonly #ended = new Set<Poll>();
  #news = false;

  constructor({ topic, qos, retain }: ModbusMessage) {
    this.topic = topic;
    this.qos = qos;
    this.retain = retain;
  }

  /** `polls` take the place of `poll`, and begin a round. */
  replace(poll: Poll, polls: readonly Poll[]): void {
    this.polls.splice(this.polls.indexOf(poll), 1, ...polls);
    this.#ended.clear();
  }

  onNews(): void {
    this.#news = true;
  }

  /**
   * Answered or not. A read that comes again before the others did ends the round: those back off.
   * @returns whether to publish
   */
  onPollEnd(poll: Poll): boolean {
    const again = this.#ended.has(poll);
    if (again) this.#ended.clear();
    this.#ended.add(poll);
    if (!again && this.#ended.size < this.polls.length) return false;
    if (!again) this.#ended.clear();
    return this.#news;
  }

  payload(wallMs: number): string {
    const values = this.points
      .filter(({ known }) => known)
      .map(({ config, value }) => `${JSON.stringify(config.name)}:${valueText(value)}`);
    return `{"time":${JSON.stringify(new Date(wallMs).toISOString())},"values":{${values.join()}}}`;
  }

  onPublished(nowMs: number): void {
    this.#news = false;
    for (const point of this.points) if (point.known) point.onPublished(nowMs);
  }

  forget(): void {
    for (const point of this.points) point.forget();
  }
}
