/** `sluice status`: asks the running gateway how it is. */
import { controlSocket } from "../config/names.ts";
import { FAILED, NO_GATEWAY, OK, parse, say, sayError } from "./arguments.ts";
import { askControl, NoGatewayError } from "./control.ts";
import { type Status, statusText } from "./status-text.ts";
import { dataDirOf } from "./where.ts";

export async function status(args: string[]): Promise<number> {
  const { values } = parse({
    args,
    options: {
      config: { type: "string" },
      "data-dir": { type: "string" },
      drops: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const dataDir = await dataDirOf(values.config, values["data-dir"]);
  try {
    const answer = await askControl(controlSocket(dataDir), { verb: "status", drops: values.drops });
    say(values.json ? JSON.stringify(answer) : statusText(answer as Status));
    return OK;
  } catch (error) {
    sayError((error as Error).message);
    return error instanceof NoGatewayError ? NO_GATEWAY : FAILED;
  }
}
