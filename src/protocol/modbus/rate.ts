/** A sum over the last ten seconds, as an average per second. */
const BUCKETS = 10;
const BUCKET_MS = 1000;

export class Rate {
  readonly #sums = new Float64Array(BUCKETS);
  readonly #startMs: number;
  /** Number of the newest bucket. */
  #newest = 0;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
  }

  add(nowMs: number, amount: number): void {
    this.#move(nowMs);
    (this.#sums[this.#newest % BUCKETS] as number) += amount;
  }

  perSecond(nowMs: number): number {
    this.#move(nowMs);
    const spanMs = Math.min(nowMs - this.#startMs, nowMs - this.#startMs - (this.#newest - BUCKETS + 1) * BUCKET_MS);
    const sum = this.#sums.reduce((all, one) => all + one, 0);
    return spanMs <= 0 ? 0 : (sum * 1000) / Math.max(spanMs, BUCKET_MS);
  }

  #move(nowMs: number): void {
    const bucket = Math.floor((nowMs - this.#startMs) / BUCKET_MS);
    const first = Math.max(this.#newest + 1, bucket - BUCKETS + 1);
    for (let i = first; i <= bucket; i++) this.#sums[i % BUCKETS] = 0;
    this.#newest = Math.max(this.#newest, bucket);
  }
}
