import assert from "node:assert/strict";
import { test } from "node:test";
import { messageOf } from "../../../src/core/message.ts";
import {
  entityTagOf,
  fillPublication,
  mediaTypeOf,
  PublishOptions,
  secondsToExpiry,
  topicProblem,
} from "../../../src/core/plain-publish.ts";
import { Publication } from "../../../src/core/publication.ts";
import { clockOf } from "../../support/clock-of.ts";

const LIMITS = { topicLevels: 3, topicBytes: 10, maxPacketBytes: 100 };

function message(payload: string, mediaType: string | null, expirySeconds = -1) {
  const publication = new Publication();
  const options = new PublishOptions();
  options.expirySeconds = expirySeconds;
  fillPublication(publication, "a/b", Buffer.from(payload), options, mediaType);
  return messageOf(publication, 1_000_000);
}

test("a topic is refused in words on one side of each limit and taken on the other", () => {
  for (const topic of ["a", "a/b/c", "1234567890", "été/é", "/", "a b"])
    assert.equal(topicProblem(topic, LIMITS), null);
  for (const topic of ["", "a/+", "#", "a\0", "$SYS/a", "12345678901", "ééééé1", "a/b/c/d", "\ud800"]) {
    assert.equal(typeof topicProblem(topic, LIMITS), "string", JSON.stringify(topic));
  }
});

test("parts of a publication come out as they went in", () => {
  const m = message("21.5", "application/json", 60);
  assert.equal(m.topic, "a/b");
  assert.equal(m.payload.toString(), "21.5");
  assert.equal(mediaTypeOf(m), "application/json");
  assert.equal(m.expiresMs, 1_060_000);
  assert.equal(
    secondsToExpiry(
      m,
      clockOf(() => 1_000_500),
    ),
    60,
  );
  assert.equal(
    secondsToExpiry(
      m,
      clockOf(() => 1_060_001),
    ),
    0,
  );
});

test("a message without properties has neither media type nor expiry", () => {
  const m = message("", null);
  assert.equal(m.topicEnd, m.propertiesEnd);
  assert.equal(mediaTypeOf(m), null);
  assert.equal(
    secondsToExpiry(
      m,
      clockOf(() => 0),
    ),
    Number.POSITIVE_INFINITY,
  );
  assert.equal(mediaTypeOf(message("", null, 5)), null);
});

test("a media type too long to carry is left out, the expiry stays", () => {
  const m = message("x", "t".repeat(400), 5);
  assert.equal(mediaTypeOf(m), null);
  assert.equal(m.expiresMs, 1_005_000);
});

test("the entity tag follows payload and media type", () => {
  assert.deepEqual(entityTagOf(message("a", null)), entityTagOf(message("a", null)));
  const tags = [message("a", null), message("b", null), message("a", "text/plain"), message("", null)].map((m) =>
    entityTagOf(m).toString("hex"),
  );
  assert.equal(new Set(tags).size, 4);
});
