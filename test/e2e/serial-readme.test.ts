// README.md's chapters on serial lines as a new user pastes them: configurations, what devices say, and what comes of it.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { Cable } from "../support/cable.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

const README = readFileSync(join(resolve(import.meta.dirname, "../.."), "README.md"), "utf8");

/** The text below a heading, up to the next one. */
function chapter(heading: string): string {
  const text = README.split(/^#{2,3} /m).find((part) => part.startsWith(`${heading}\n`));
  assert.ok(text !== undefined, `README.md has "${heading}"`);
  return text;
}

interface Recipe {
  readonly name: string;
  readonly config: string;
  /** What the device says, and what is published behind it. */
  readonly talk: readonly { readonly says: Buffer; readonly published: readonly string[] }[];
}

/** A block of configuration, and behind it one of what is said and published. */
function recipes(): Recipe[] {
  const pairs = chapter("Recipes for devices on serial lines").matchAll(/^```yaml\n(.*?)^```\n```\n(.*?)^```$/gms);
  return [...pairs].map(([, config = "", talk = ""]) => {
    const turns: { says: Buffer; published: string[] }[] = [];
    for (const line of talk.trim().split("\n")) {
      const [, who, what = ""] = /^(device|published): +(.*)$/.exec(line) ?? assert.fail(line);
      if (who === "device") turns.push({ says: bytesOf(what), published: [] });
      else turns.at(-1)?.published.push(what);
    }
    return { name: /name: (\w+)/.exec(config)?.[1] ?? "", config, talk: turns };
  });
}

function bytesOf(text: string): Buffer {
  if (text.startsWith("hex ")) return Buffer.from(text.slice(4).replaceAll(" ", ""), "hex");
  return Buffer.from(text.replaceAll("\\r", "\r").replaceAll("\\n", "\n"));
}

test("README.md: each recipe's device is published as stands there", { skip: requirePeer("socat") }, async () => {
  using folder = temporaryFolder();
  await using cables = new AsyncDisposableStack();
  await using gateway = new GatewayProcess(folder.path, {});
  const lines: string[] = [];
  const spoken: { recipe: Recipe; cable: Cable }[] = [];
  for (const recipe of recipes()) {
    const cable = cables.use(new Cable(folder.path, recipe.name));
    await cable.plug();
    spoken.push({ recipe, cable });
    lines.push(recipe.config.replace(/^serial:\n/, "").replace(/port: .*/, `port: ${cable.port}`));
  }
  assert.ok(spoken.length >= 7, "all of them were found");
  const rest = `data_dir: ${join(folder.path, "data")}\nlisteners: [{type: mqtt, bind: "127.0.0.1:0"}]\n`;
  writeFileSync(gateway.configFile, `${rest}serial:\n${lines.join("")}`);
  await gateway.start();
  await eventually("the ports are open", () => gateway.stderr.split("serial-open").length > spoken.length);
  await using client = await MqttCollector.open(gateway.port(), "#");

  for (const { recipe, cable } of spoken) {
    for (const { says, published } of recipe.talk) {
      cable.say(says);
      const messages = await client.take(published.length);
      const said = messages.map(({ topic, payload }) => `${topic} ${payload.replace(/(?<="ms": )\d{13}/, "*")}`);
      assert.deepEqual(said, published, recipe.name);
    }
  }
  assert.equal(await gateway.end(), 0);
  assert.deepEqual(client.messages, []);
});
