import assert from "node:assert/strict";
import { test } from "node:test";
import { Group } from "../../../src/store/group.ts";
import { Places } from "../../../src/store/places.ts";

test("a group that is written again, after a transaction that was rolled back, has all its receivers again", () => {
  const places = new Places();
  const place = places.add(places.create("uplink", "cloud", 1));
  const group = new Group(1);
  places.entered(place, 1, 10, group);
  assert.deepEqual(group.places, [place]);

  places.unsaved(group.places); // as Writer.rollback does
  group.places.length = 0;
  places.entered(place, 1, 10, group);
  assert.deepEqual(group.places, [place], "who else would tell it that its messages are durable?");
});
