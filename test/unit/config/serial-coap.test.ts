import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../../src/config/load.ts";
import { Section } from "../../../src/config/section.ts";
import { readSerialCoap } from "../../../src/config/serial-coap.ts";
import { parseYaml } from "../../../src/config/yaml.ts";

function messageBytesMax(baud: number, coap = "{}"): number {
  const complaints: never[] = [];
  const root = parseYaml(`coap: ${coap}`, complaints);
  const section = new Section({ root, directory: "/", complaints }, root, "");
  const config = readSerialCoap(section, baud);
  assert.deepEqual(complaints, []);
  return config.messageBytesMax;
}

test("the longest message is what the line carries in a second, within the limits, unless it is said", () => {
  assert.deepEqual(
    [300, 1_200, 2_400, 9_600, 19_200, 115_200].map((baud) => messageBytesMax(baud)),
    [128, 128, 240, 960, 1152, 1152],
  );
  assert.equal(messageBytesMax(1_200, "{max_message: 1KiB}"), 1024);
});

test("the baud rate of the line is what counts", () => {
  const text = "serial: [{port: /dev/a, baud: 2400, protocol: coap, coap: {framing: slip}}]";
  const { config, complaints } = load(text, { directory: "/", checkFiles: false });
  assert.deepEqual(complaints, []);
  assert.match(JSON.stringify(config?.serial[0]), /"framing":"slip","messageBytesMax":240,/);
});
