/** A promise of the gateway, and the tests that hold it: file below test/ and title, or its beginning. */
export interface Promise {
  readonly words: string;
  readonly tests: readonly (readonly [file: string, title: string])[];
}

const HERE = "conformance/acknowledgement/acknowledgement.test.ts";
const ROUTER = "unit/core/router.test.ts";
const COMMIT = "unit/store/commit.test.ts";
const DURABILITY = "unit/store/durability.test.ts";
const DELAY = "unit/gateway/commit-delay.test.ts";
const QUEUE = "unit/core/delivery-queue.test.ts";
const SPOOL = "unit/uplink/out/spool.test.ts";
const RECEIVE = "unit/uplink/in/receive.test.ts";
const FULL_DISK = "e2e/store-full.test.ts";
const KILL = "e2e/kill-mixed.test.ts";
const COAP_STORAGE = "e2e/coap-storage.test.ts";
const COAP_FULL = [COAP_STORAGE, "a disk that is full: 5.03 with Max-Age, the same to who repeats"] as const;
const COAP_FAILS = [COAP_STORAGE, "a disk that fails: 5.03 with Max-Age to all that it would keep or knows"] as const;

const AFTER_SYNC = [HERE, "with a durable receiver each protocol's acknowledgement comes after the sync"] as const;
const IN_ORDER = [
  HERE,
  "acknowledgements leave in order of arrival, whatever they wait for, refusals included",
] as const;
const MANDATORY = [HERE, "a receiver that must not lose anything and is full: refused before anybody gets it"] as const;
const HELD = [HERE, "3.1.1: a refused message is held and taken when there is room"] as const;
const DISK_FULL = [FULL_DISK, "a full disk: refused in each protocol's words"] as const;
const DISK_FAILS = [FULL_DISK, "a disk that fails (EIO at fsync): 0x83, 503 and 5.03"] as const;
const KILLED = [KILL, "nothing acknowledged is lost by kill -9, and at QoS 2 nothing comes twice"] as const;

export const CONTRACT: readonly Promise[] = [
  // ---- positive --------------------------------------------------------------------------------------------------
  { words: "PUBACK: every durable receiver has the message at the configured durability", tests: [AFTER_SYNC] },
  {
    words: "PUBREC: payload and packet id are stored; PUBCOMP: the release is stored",
    tests: [AFTER_SYNC, [RECEIVE, "QoS 2: PUBREC when message and id are stored, PUBCOMP when the release is"]],
  },
  {
    words: "CoAP 2.04 to a CON and HTTP 204 mean the same",
    tests: [
      AFTER_SYNC,
      ["e2e/coap.test.ts", "what a CON was answered 2.04 for waits in an offline session, through kill -9"],
      [COAP_STORAGE, "kill -9 in the middle of PUTs, uploads and DELETEs"],
      [
        "e2e/coap-blocks.test.ts",
        "a disk that takes 1.5 s for a sync: Empty ACK, the response as a CON, and one message",
      ],
      ["e2e/http.test.ts", "what was answered 204 waits in an offline session and as retained value, through kill -9"],
    ],
  },
  {
    words:
      "a message without a durable receiver is acknowledged when it is routed; 5.0 is told 0x10 when nobody matched",
    tests: [AFTER_SYNC, [ROUTER, "goes to those who match, and says when nobody does"]],
  },
  {
    words: "SUBACK and UNSUBACK of a session that outlives its connection: what they say is stored",
    tests: [
      ["unit/protocol/mqtt/stored-answers.test.ts", "SUBACK and UNSUBACK leave when what they say is stored"],
      KILLED,
    ],
  },
  // ---- durable receivers -----------------------------------------------------------------------------------------
  {
    words: "a session that outlives its connection is one, there or not, where publish and grant are both QoS 1 or 2",
    tests: [AFTER_SYNC, [ROUTER, "the publisher is answered when the store has it"]],
  },
  {
    words: "an uplink rule of QoS 1 or 2 is one; of QoS 0 it is not",
    tests: [
      [SPOOL, "a live message goes out at once, and its publisher is told when the store has it"],
      [SPOOL, "a rule of QoS 0 stores nothing and sends live only"],
    ],
  },
  {
    words: "the retained value of a QoS 1 or 2 publish is one",
    tests: [AFTER_SYNC, [ROUTER, "a retained QoS 1 message is answered when its row is stored"]],
  },
  {
    words: "a serial write of QoS 1 is one",
    tests: [["e2e/serial.test.ts", "commands acknowledged while the port is away survive kill -9"]],
  },
  {
    words: "a retained value of QoS 0 is written with the next group, unacknowledged",
    tests: [[HERE, "a retained value of QoS 0 is written with the next group, unacknowledged"]],
  },
  {
    words: "updates of one retained topic in a group collapse to the last, which acknowledges the earlier ones",
    tests: [[COMMIT, "updates of one retained topic in a group collapse to the last"]],
  },
  // ---- admission before effect -----------------------------------------------------------------------------------
  {
    words: "all durable receivers are asked before any reference is made; a refused publish reaches nobody",
    tests: [MANDATORY, [ROUTER, "a refusal reaches nobody, not even the live receivers"]],
  },
  { words: "a receiver with `when_full: refuse` is mandatory: full, it makes the answer negative", tests: [MANDATORY] },
  {
    words: "the others apply their own policy, each drop counted by cause and listed",
    tests: [
      MANDATORY,
      [HERE, "a drop for one receiver is no refusal while another durable one takes the message"],
      [ROUTER, "a receiver that drops does not hold up one that takes, and its drop is counted"],
      [QUEUE, "drop-newest: the queue"],
      [QUEUE, "drop-oldest: the queue"],
      [
        "unit/core/latest-per-topic.test.ts",
        "a full receiver loses the oldest of what a newer message of the same topic supersedes",
      ],
      ["e2e/retention.test.ts", "an uplink that was cut: each policy by messages"],
      [SPOOL, "when_full: refuse refuses the publisher, drop-newest drops, drop-oldest makes room"],
    ],
  },
  {
    words: "if no durable receiver can take it, or the disk refuses, the answer is negative",
    tests: [MANDATORY, DISK_FULL, [ROUTER, "when no durable receiver can take it the answer is negative"]],
  },
  // ---- negative --------------------------------------------------------------------------------------------------
  { words: "5.0: 0x97 on PUBACK and PUBREC, 0x83 for a failed disk", tests: [IN_ORDER, DISK_FULL, DISK_FAILS] },
  {
    words: "3.1 and 3.1.1: reading stops, the one packet is held and tried again, then closed without an answer",
    tests: [HELD, DISK_FULL],
  },
  {
    words: "CoAP 5.03 with Max-Age; HTTP 507 for full and 503 for failed, with Retry-After",
    tests: [
      DISK_FULL,
      DISK_FAILS,
      COAP_FULL,
      COAP_FAILS,
      ["e2e/coap.test.ts", "a full queue that must not lose anything: 5.03 with Max-Age"],
      ["e2e/http.test.ts", "a full queue that must not lose anything: 507 with Retry-After"],
    ],
  },
  {
    words: "from the cloud downwards the acknowledgement is withheld, never a refusal",
    tests: [
      [RECEIVE, "refused messages are held, tried again in order, and acknowledged then"],
      [RECEIVE, "taken, and then withdrawn by the disk: no acknowledgement, and the connection is made anew"],
    ],
  },
  // ---- order -----------------------------------------------------------------------------------------------------
  { words: "PUBACK and PUBREC leave in order of arrival, refusals included", tests: [IN_ORDER] },
  {
    words: "messages of one topic keep their order per receiver",
    tests: [
      ["e2e/uplink.test.ts", "the cloud is restarted mid-stream: nothing is lost, order holds, QoS 2 comes once"],
      ["e2e/mqtt-interop.test.ts", "500 messages of each QoS from one client to another of the other make, in order"],
    ],
  },
  // ---- durability ------------------------------------------------------------------------------------------------
  { words: "sync full acknowledges after the sync", tests: [AFTER_SYNC] },
  {
    words:
      "sync normal acknowledges after the commit and syncs within 5 s; off leaves it to checkpoints, which always sync",
    tests: [
      [HERE, "sync: normal acknowledges after the commit and syncs within five seconds"],
      ["unit/store/disk.test.ts", "sync off: checkpoints sync, and they are all that does"],
    ],
  },
  {
    words: "kill -9 never loses what was acknowledged",
    tests: [KILLED, ["unit/store/kill.test.ts", "kill -9 at random"]],
  },
  {
    words: "a power cut never does at sync full",
    tests: [["unit/store/power-cut.test.ts", "a power cut at any moment loses nothing that was acknowledged"]],
  },
  {
    words: "a message with commit_delay 0ms closes the open group for all",
    tests: [[HERE, "commit_delay 0ms for a topic closes the group for all that is in it"]],
  },
  {
    words: "a rule of durability moves the moment of acknowledgement only: each publisher is told at its own",
    tests: [
      [HERE, "sync off and full by topic: each acknowledgement at its own moment, in each protocol"],
      [DURABILITY, "in one group, who asks for less is told after the commit and who asks for more after the sync"],
      [DURABILITY, "sync full for a topic brings its group to the medium where the store's own is normal or off"],
      [DURABILITY, "sync off for a topic: nothing is synced for it, and kill -9 loses nothing that was told"],
      [DURABILITY, "whoever waits for everything up to now waits for the sync that nobody needed before"],
      [DURABILITY, "what goes out at QoS 2, and a barrier, wait for the sync where any topic has it"],
      ["unit/store/power-cut.test.ts", "a power cut at any moment loses nothing that was acknowledged"],
    ],
  },
  {
    words: "a longer delay makes nothing be written earlier, a shorter one closes the group for all",
    tests: [
      [DURABILITY, "a message with a delay longer than the store's does not make its group due earlier"],
      [DURABILITY, "a delay shorter than the store's makes the group due for all that is in it"],
    ],
  },
  {
    words: "the first rule that matches a topic holds, for retained values too",
    tests: [
      ["unit/gateway/rooms.test.ts", "the first rule of durability that matches a topic holds for its messages"],
      [DURABILITY, "a retained value has its topic's durability: 0ms closes the group, and the moment is its own"],
    ],
  },
  // ---- elision ---------------------------------------------------------------------------------------------------
  {
    words: "what the receivers acknowledged before the commit is due is never written, and is acknowledged at once",
    tests: [
      [HERE, "an online receiver that acknowledges before the commit is due answers for the publisher"],
      [COMMIT, "what all receivers acknowledged before the commit is due is never written"],
      [SPOOL, "elision: acknowledged by the server before the commit was due, a message is never written"],
      ["e2e/elision.test.ts", "1,000 QoS 1 messages a second to a healthy cloud write next to nothing"],
      [COMMIT, "what is in flight is not written because a receiver's record is"],
    ],
  },
  {
    words: "waiting ends when the commit is due: then it is written",
    tests: [
      [COMMIT, "only the receivers that are left are in the row"],
      ["unit/gateway/rooms.test.ts", "of 1,000 sessions, who acknowledged before the commit is due is not in the row"],
    ],
  },
  {
    words:
      "commit_delay auto: twice the remote's time to acknowledge, 20 to 250 ms, while all durable receivers are there",
    tests: [
      [DELAY, "commit_delay auto is twice the slowest remote's time"],
      [DELAY, "commit_delay auto is 20 ms while a durable receiver is away"],
      [DELAY, "the time of a session's own PUBACK counts, smoothed"],
      [DELAY, "a shared group counts as one"],
    ],
  },
  {
    words: "a retained row is not elided by its receivers",
    tests: [[COMMIT, "a message with receivers and a retained value waits for both, and is not elided"]],
  },
  {
    words: "a will is published once its connection is gone, through kill -9: with its row's end in one transaction",
    tests: [["unit/core/wills.test.ts", "[MQTT5-4.3.3-1] the message and the end of the row are one group"], KILLED],
  },
  // ---- restart ---------------------------------------------------------------------------------------------------
  {
    words: "QoS 2 survives a restart in both directions, while both sides keep their sessions",
    tests: [
      KILLED,
      [QUEUE, "sends PUBREL only when the PUBREC is stored"],
      [RECEIVE, "QoS 2 over a crash: what was stored is known again, what was not is published"],
      [SPOOL, "QoS 2 over a crash at any step reaches the server once"],
    ],
  },
  {
    words: "session present 0: what has no PUBREC is sent anew, what has one counts as delivered",
    tests: [
      ["unit/uplink/uplink.test.ts", "session present 0: everything unacknowledged is sent anew, without DUP"],
      [QUEUE, "a peer without its session gets what it did not take, and not what it acknowledged with PUBREC"],
    ],
  },
  {
    words: "a backlog row carries the sequence number it got at acceptance",
    tests: [["unit/store/restart.test.ts", "backlog, receivers and the order of messages survive a restart"]],
  },
  // ---- QoS 0 -----------------------------------------------------------------------------------------------------
  {
    words:
      "QoS 0 to an uplink takes the rule's QoS, so that it is stored in an outage; `offline: drop` stores nothing then",
    tests: [
      ["e2e/uplink.test.ts", "the cloud is restarted mid-stream"],
      [ROUTER, "a receiver that raises QoS 0 stores it without making the publisher wait"],
      [SPOOL, "qos: keep sends what the publisher used; QoS 0 is then not stored"],
      [SPOOL, "offline: drop stores while connected, nothing while not"],
    ],
  },
];
