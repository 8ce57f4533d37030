/** What each verb takes, in the words of `--help`. */
import { OK, say, UsageError } from "./arguments.ts";

const VERBS: Record<string, string> = {
  run: `sluice run [--config FILE] [--json]
  Runs the gateway until SIGTERM or SIGINT; prints one line "ready" with the bound addresses.
  SIGHUP does what \`sluice reload\` does.`,
  check: `sluice check --config FILE [--json]
  Says everything that is wrong with a configuration, or what memory it may take, a line per owner.`,
  "check --store": `sluice check --store [FILE | --config FILE | --data-dir DIR] [--json]
  Says whether a stopped store is whole, what lies in it for whom, and what belongs to nobody; of a running gateway what
  can be said without stopping it. FILE: a backup, or a damaged file set aside. Exit code 1: something is wrong.`,
  backup: `sluice backup FILE [--config FILE | --data-dir DIR] [--force] [--json]
  Copies the store into FILE while the gateway runs, and checks the copy. FILE must not be there, or --force given.`,
  passwd: `sluice passwd FILE USER [-D] [--stdin] [--iterations N] [--json]
  Sets a user's password in FILE, for logins with it and by SCRAM-SHA-256; asks for it without echo. --stdin takes it from the first line of stdin.
  -D deletes the user. A running gateway takes the file over with \`sluice reload\`.`,
  status: `sluice status [--config FILE | --data-dir DIR] [--drops] [--json]
  Asks the running gateway how it is; with --drops, which messages were lost last, and why.`,
  reload: `sluice reload [--config FILE | --data-dir DIR] [--json]
  The running gateway takes over serial lines, uplinks, log level, passwords, ACL, keys and certificates from its
  configuration, and says what it did; exit code 2: something is wrong, and all stays as it was.`,
  "serial list": `sluice serial list [--config FILE | --data-dir DIR] [--json]
  The serial devices of this machine: path, vendor:product, serial number, driver, who has it open, or why you may not,
  stable name.`,
  pub: `sluice pub -t TOPIC (-m MESSAGE | -n | -l) [-q 0|1|2] [-r] [connection] [--json]
  Publishes one message, an empty one (-n), or each line of stdin (-l).`,
  sub: `sluice sub -t FILTER... [-q 0|1|2] [-v] [-C COUNT] [-W SECONDS] [connection] [--json]
  Prints what is published, a line per message; -v with its topic. Ends after COUNT messages or SECONDS.`,
  "serial sniff": `sluice serial sniff PORT [--framing F] [--check C] [--baud N|auto] [--data-bits 5-8] [--stop-bits 1|1.5|2]
  [--parity none|even|odd|mark|space] [--flow none|rts-cts|xon-xoff]
  [--hex|--text|--json] [--write FILE] [-C COUNT] [-W SECONDS]
sluice serial sniff NAME --config FILE [--hex|--text|--json] [--write FILE] [-C COUNT] [-W SECONDS]
  Prints the frames that come, with time, seconds since the one before, verdict of the check, length, bytes and text, until
  Ctrl-C, COUNT frames or SECONDS; then how many they were. It sends nothing, and waits for a device that is unplugged.
  PORT: a device, tcp://HOST:PORT or unix:PATH. NAME: a line of the configuration, with its framing and check.
  F: line (default), slip, cobs, length, fixed, start-end, idle, or with keys as in the configuration:
    --framing '{type: fixed, bytes: 8}'; or a protocol, whose frames are told in words:
    slipmux, coap (bare CoAP in SLIP), modbus (RTU, both sides), mqtt-sn (in SLIP), mqtt-sn-length
  C: none (default), sum8, sum16, xor8, lrc8, crc8, crc16-modbus, crc16-arc, crc16-ccitt, crc16-x25, crc32, or with keys
  --baud auto: tries the usual rates, and parities unless --parity is given, until frames are good
  --hex, --text: the bytes, or the text, in one line a frame; --json: an object a frame; --write: all bytes into FILE
  Verdicts: ok, unchecked, malformed (no message of the protocol), check, too-long, escape, encoding, cut, noise.
  Exit code 1: it cannot be opened, or SECONDS are over before COUNT frames. A port that a gateway has open is refused.`,
};

const CONNECTION = `connection:
  -h HOST (127.0.0.1)  -p PORT (1883; 8883 with --cafile)  -i CLIENT_ID  -u USER  -P PASSWORD
  --cafile FILE  --cert FILE  --key FILE  -V 31|311|5 (5)
  --url URL instead of -h and -p: mqtt, mqtts, ws or wss ://HOST[:PORT][/PATH], or unix:PATH`;

const EXIT_CODES = "Exit codes: 0 ok, 1 failed, 2 configuration or usage, 3 no gateway running.";

export function printHelp(verb: string | undefined): number {
  if (verb === undefined) {
    say(["sluice: an edge gateway", ...Object.values(VERBS), "sluice --version", CONNECTION, EXIT_CODES].join("\n\n"));
    return OK;
  }
  const texts = Object.entries(VERBS).filter(([name]) => name === verb || name.startsWith(`${verb} `));
  const text = texts.map(([, words]) => words).join("\n\n");
  if (text === "") throw new UsageError(`there is no verb ${JSON.stringify(verb)}`);
  say(text.includes("[connection]") ? `${text}\n\n${CONNECTION}` : text);
  return OK;
}
