import assert from "node:assert/strict";
import test from "node:test";
import { UsageError } from "../../../src/cli/arguments.ts";
import { PROTOCOLS, SNIFF_OPTIONS } from "../../../src/cli/sniff/options.ts";
import { runVerb } from "../../../src/cli/verbs.ts";
import { CHECKS } from "../../../src/config/serial-check.ts";
import { FRAMINGS } from "../../../src/config/serial-framing.ts";
import { sluice } from "./sluice.ts";

test("--version", async () => {
  const { code, stdout } = await sluice(["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /^sluice \d+\.\d+\.\d+\S*\n$/);
  assert.deepEqual(Object.keys(JSON.parse((await sluice(["--version", "--json"])).stdout)), ["version", "node"]);
});

test("--help lists every verb, and each verb has its own", async () => {
  const { code, stdout } = await sluice(["--help"]);
  assert.equal(code, 0);
  for (const verb of ["run", "check", "passwd", "status", "reload", "pub", "sub"]) {
    assert.match(stdout, new RegExp(`^sluice ${verb} `, "m"));
  }
  const own = await sluice(["sub", "--help"]);
  assert.equal(own.code, 0);
  assert.match(own.stdout, /^sluice sub .*\n\nconnection:/s);
});

test("serial sniff --help names every option, framing, protocol and check", async () => {
  const { code, stdout } = await sluice(["serial", "sniff", "--help"]);
  assert.equal(code, 0);
  for (const option of Object.keys(SNIFF_OPTIONS)) {
    const short = (SNIFF_OPTIONS as Record<string, { short?: string }>)[option]?.short;
    assert.ok(stdout.includes(short === undefined ? `--${option}` : `-${short} `), option);
  }
  for (const word of [...FRAMINGS, ...PROTOCOLS, ...CHECKS]) assert.match(stdout, new RegExp(`\\b${word}\\b`), word);
});

/** [arguments, what is said on stderr] */
const MISUSE: [string[], RegExp][] = [
  [[], /which verb\?/],
  [["start"], /there is no verb "start"/],
  [["backup"], /backup needs one FILE/],
  [["backup", "/none/x"], /there is no such folder/],
  [["backup", "package.json"], /package.json is there already; --force/],
  [["serial"], /serial needs list or sniff/],
  [["serial", "lost"], /there is no serial lost/],
  [["run", "--confg", "x"], /Unknown option '--confg'/],
  [["run", "x"], /Unexpected argument 'x'/],
  [["check"], /check needs --config FILE/],
  [["check", "--store", "a", "--data-dir", "b"], /takes one of FILE, --config and --data-dir/],
  [["check", "a"], /go with --store/],
  [["passwd", "file"], /passwd takes FILE and USER/],
  [["passwd", "file", "a:b"], /colon/],
  [["passwd", "file", "user", "--iterations", "0"], /--iterations 0: a number from 1 to 1000000 is expected/],
  [["passwd", "file", "user"], /no terminal to ask on; use --stdin/],
  [["status", "--config", "a", "--data-dir", "b"], /give one/],
  [["status", "--config", "/none/x.yaml"], /cannot read \/none\/x.yaml: no such file/],
  [["pub", "-m", "x"], /pub needs -t TOPIC/],
  [["pub", "-t", "a"], /one of -m MESSAGE, -n and -l/],
  [["pub", "-t", "a", "-m", "x", "-n"], /one of -m MESSAGE, -n and -l/],
  [["pub", "-t", "a/#", "-m", "x"], /wildcard/],
  [["pub", "-t", "a", "-m", "x", "-q", "3"], /-q 3: a number from 0 to 2 is expected/],
  [["pub", "-t", "a", "-m", "x", "-p", "0"], /-p 0/],
  [["pub", "-t", "a", "-m", "x", "-P", "x"], /-P needs -u/],
  [["pub", "-t", "a", "-m", "x", "-h", "a b"], /no host name/],
  [["pub", "-t", "a", "-m", "x", "-V", "6"], /311 and 5 are possible/],
  [["pub", "-t", "a", "-m", "x", "--cafile", "/none"], /cannot read \/none: no such file/],
  [["pub", "-t", "a", "-m", "x", "--cert", "a"], /--cert and --key go together/],
  [["sub"], /sub needs -t FILTER/],
  [["sub", "-t", "a#"], /no topic filter/],
  [["sub", "-t", "$share/group"], /a shared subscription is \$share\/NAME\/FILTER/],
  [["sub", "-t", "a", "-C", "0"], /-C 0/],
];

for (const [[verb, ...args], words] of MISUSE) {
  test(`usage: sluice ${[verb, ...args].join(" ")}`, async () => {
    await assert.rejects(
      runVerb(verb, args),
      (error: Error) => error instanceof UsageError && words.test(error.message),
    );
  });
}

test("wrong usage is one line that says it, one that helps, and exit code 2", async () => {
  assert.deepEqual(await sluice(["check", "--config"]), {
    code: 2,
    stdout: "",
    stderr: "sluice: Option '--config <value>' argument missing\nTry: sluice --help\n",
  });
});
