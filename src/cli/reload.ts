/** `sluice reload`: the running gateway takes its configuration over, and says what it did with it. */
import { controlSocket } from "../config/names.ts";
import { FAILED, NO_GATEWAY, OK, parse, say, sayError, USAGE } from "./arguments.ts";
import { complaintsText } from "./complaints-text.ts";
import { askControl, NoGatewayError } from "./control.ts";
import type { ReloadAnswer } from "./reloads.ts";
import { dataDirOf } from "./where.ts";

export async function reload(args: string[]): Promise<number> {
  const { values } = parse({
    args,
    options: {
      config: { type: "string" },
      "data-dir": { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const dataDir = await dataDirOf(values.config, values["data-dir"]);
  try {
    const answer = (await askControl(controlSocket(dataDir), { verb: "reload" })) as ReloadAnswer;
    const { applied, restartRequired, complaints, file } = answer;
    if (complaints.length > 0) {
      say(complaintsText(complaints, file, values.json));
      return USAGE;
    }
    if (values.json) {
      say(JSON.stringify({ event: "reloaded", applied, restartRequired }));
      return OK;
    }
    for (const words of applied) say(words);
    if (restartRequired.length > 0) say(`only after a restart: ${restartRequired.join(", ")}`);
    return OK;
  } catch (error) {
    sayError((error as Error).message);
    return error instanceof NoGatewayError ? NO_GATEWAY : FAILED;
  }
}
