import assert from "node:assert/strict";
import { test } from "node:test";
import { Log } from "../../../../src/base/log.ts";
import { SerialNews } from "../../../../src/transport/serial/news.ts";

class Paper {
  readonly lines: string[] = [];
  readonly news: SerialNews;

  constructor() {
    const write = (line: string): void => {
      this.lines.push(line.slice(25).replace(/ +name=m path=\/dev\/x/, ""));
    };
    this.news = new SerialNews(new Log({ level: "debug", format: "text", write }), "m", "/dev/x");
  }
}

test("each change of state is a line, and each reason why it is away is told once", () => {
  const { lines, news } = new Paper();
  for (let i = 0; i < 100; i++) {
    news.away("not there");
    news.away("not allowed");
  }
  news.opened({ baud: 9600 });
  news.proven();
  news.away("gone");
  news.away("not there");
  news.opened({ baud: 9600 });
  assert.deepEqual(lines, [
    'warn  serial-away error="not there"',
    'warn  serial-away error="not allowed"',
    "info  serial-open baud=9600",
    "warn  serial-away error=gone",
    'warn  serial-away error="not there"',
    "info  serial-open baud=9600",
  ]);
});

test("who hangs up as soon as it is open, for days, is told of once, and again when it lasts", () => {
  const { lines, news } = new Paper();
  for (let i = 0; i < 10_000; i++) {
    news.opened({ baud: 9600 });
    news.away("closed by peer");
    if (i % 3 === 0) news.away("connection refused");
  }
  assert.deepEqual(lines, [
    "info  serial-open baud=9600",
    'warn  serial-away error="closed by peer"',
    'warn  serial-away error="connection refused"',
  ]);
  news.opened({ baud: 9600 });
  assert.equal(lines.length, 3);
  news.proven();
  news.proven();
  news.away("closed by peer");
  assert.deepEqual(lines.slice(3), ["info  serial-open baud=9600", 'warn  serial-away error="closed by peer"']);
});

test("reasons beyond eight are told again", () => {
  const { lines, news } = new Paper();
  for (let round = 0; round < 2; round++) for (let i = 0; i < 9; i++) news.away(`reason ${i}`);
  assert.equal(lines.length, 18);
});
