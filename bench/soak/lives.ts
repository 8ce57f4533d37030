/** Who takes part in a soak, and how often. */
import type { Kind } from "./crowd.ts";
import { command, report } from "./lives/cloud.ts";
import { beacon } from "./lives/datagrams.ts";
import { die, keep } from "./lives/keepers.ts";
import { browse } from "./lives/requests.ts";
import { share, sleep } from "./lives/sleepers.ts";
import { dawdle, knock, vandalise } from "./lives/vandals.ts";
import { correspond, visit } from "./lives/visitors.ts";

export const KINDS: readonly Kind[] = [
  { name: "visit", weight: 8, live: visit },
  { name: "correspond", weight: 3, live: correspond },
  { name: "sleep", weight: 6, live: sleep },
  { name: "share", weight: 2, live: share },
  { name: "keep", weight: 4, live: keep },
  { name: "die", weight: 3, live: die },
  { name: "vandalise", weight: 3, live: vandalise },
  { name: "knock", weight: 2, live: knock },
  { name: "dawdle", weight: 1, live: dawdle },
  { name: "report", weight: 4, live: report },
  { name: "command", weight: 2, live: command },
  { name: "browse", weight: 3, live: browse },
  { name: "beacon", weight: 4, live: beacon },
];
