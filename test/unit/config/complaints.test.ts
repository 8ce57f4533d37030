import assert from "node:assert/strict";
import test from "node:test";
import { complaintText } from "../../../src/config/complaint.ts";
import { load } from "../../../src/config/load.ts";

const options = { directory: "/etc/sluice", checkFiles: false };

function complaintsOf(text: string): string[] {
  const { config, complaints } = load(text, options);
  assert.equal(config === null, complaints.length > 0, "no configuration with complaints, and none without");
  return complaints.map((complaint) => complaintText(complaint, "gw.yaml"));
}

/** [what is written, what is said about it: text between "gw.yaml:" and the end, or a part of it] */
const SINGLE: [string, string][] = [
  // keys
  ["memory_limt: 16MiB", "1: memory_limt: unknown key; did you mean memory_limit?"],
  ["limits: {max_conections: 9}", "1: limits.max_conections: unknown key; did you mean max_connections?"],
  [
    "durability: [{match: a, commit_delay: 0ms, foo: 1}]",
    "1: durability[0].foo: unknown key; known keys: match, sync, commit_delay",
  ],
  ["__proto__: {}", "1: __proto__: unknown key"],
  ["<<: {node: a}", "1: <<: unknown key"],
  ["node: a\nnode: b", "2: node: is given twice, first in line 1; remove one of them"],
  ["1.5: a", "1: has a key that is not a word"],
  ["? [a]\n: b", "1: has a key that is not a word"],
  // the whole
  ["- a", "1: is a list where keys are expected"],
  ["foo", "1: is a single value where keys are expected"],
  ["a: [1", "1: not YAML: "],
  ["log:\n\tlevel: info", "2: not YAML: Tabs are not allowed as indentation; indent with spaces"],
  ["node: a\n---\nnode: b", "2: a second document begins here; a configuration is one document"],
  ["%YAML 1.1\n---\nlog: {}", "1: %YAML 1.1 changes what words mean"],
  ["log: &a {}", "1: log: has an anchor"],
  ["log: *a", "1: log: refers to another place"],
  ["&a node: x", "1: node: has an anchor"],
  ["log: !!map {}", "1: log: has the tag tag:yaml.org,2002:map"],
  ["node: !secret x", "1: node: has the tag !secret"],
  // single values
  ["node: 17", '1: node: 17 is a number, not a text; put it in quotes: "17"'],
  ["node: true", '1: node: true is a boolean, not a text; put it in quotes: "true"'],
  ["node:", "1: node: is empty"],
  ['node: ""', "1: node: is empty"],
  ["node: [a]", "1: node: is a list where one value is expected"],
  ['node: "a b"', '1: node: "a b" is no name'],
  ["log:", "1: log: is empty where keys are expected"],
  ["log: {level: }", "1: log.level: nothing is not possible"],
  ["log: {level: inof}", '1: log.level: "inof" is not possible; did you mean info? possible: error, warn, info, debug'],
  ["listeners: {type: mqtt}", "1: listeners: is a mapping where a list is expected"],
  ["listeners: [mqtt]", "1: listeners[0]: is a single value where keys are expected"],
  // units and ranges
  ["memory_limit: 16Mib", '1: memory_limit: "16Mib" is no size'],
  ["memory_limit: 1MiB", "1: memory_limit: 1 MiB is out of range; from 4 MiB to 1 TiB"],
  ["memory_limit: -1", '1: memory_limit: "-1" is no size'],
  ["limits: {max_connections: 0}", "0 is out of range (0 does not mean unlimited); from 1 to"],
  ["limits: {max_connections: 1e9}", "1000000000 is out of range; from 1 to 100000"],
  ["limits: {max_connections: 1.5}", '1: limits.max_connections: "1.5" is no whole number'],
  ["limits: {max_connections: .inf}", '".inf" is no whole number'],
  ["limits: {retained_bytes: 0}", "0 B is out of range (0 does not mean unlimited)"],
  ["limits: {pause_max: 2}", '1: limits.pause_max: "2" is no duration; write it like'],
  ["limits: {pause_max: 2w}", '"2w" is no duration'],
  ["limits: {inflight: 4097}", "4097 is out of range; from 1 to 4096"],
  ["limits: {max_packet_bytes: 2MiB}", "1: limits.output_bytes: is less than max_packet_bytes"],
  ["store: {commit_delay: 6s}", "1: store.commit_delay: 6s is out of range; from 0ms to 5s"],
  ["store: {commit_delay: quickly}", "or auto"],
  ["store: {write_budget_per_day: 0}", "0 B is out of range (0 does not mean unlimited)"],
  ["store: {write_budget_per_day: none}", '"none" is no size; write it like 64KiB, 16MiB or 30TB, or off'],
  ["store: {endurance: off}", '1: store.endurance: "off" is no size'],
  ["store: {endurance: 30MB}", "28.6 MiB is out of range"],
  ["sys_interval: 999ms", "1: sys_interval: 999ms is out of range; from 1s to 1h"],
  ["sys_interval: 61m", "1: sys_interval: 61m is out of range; from 1s to 1h"],
  ["sys_interval: 0", "1: sys_interval: 0ms is out of range (0 does not mean unlimited)"],
  ["sys_interval: never", "or off"],
  // listeners
  ['listeners: [{bind: "1883"}]', '"1883" has no port'],
  ["listeners: [{bind: 1883}]", "1883 is a number, not a text"],
  ['listeners: [{bind: "0.0.0.0"}]', '"0.0.0.0" has no port'],
  ['listeners: [{bind: ":1883"}]', '":1883" names no address'],
  ['listeners: [{bind: "::1:1883"}]', "listeners[0].bind"],
  ['listeners: [{bind: "[::g]:1883"}]', "[::g] is no IPv6 address"],
  ['listeners: [{bind: "1.2.3:1883"}]', "1.2.3 is no address"],
  ['listeners: [{bind: "a:65536"}]', "port 65536 is beyond 65535"],
  ['listeners: [{bind: "unix:"}]', '"unix:" names no path'],
  [`listeners: [{bind: "unix:/${"x".repeat(107)}"}]`, "the path is longer than 107 bytes"],
  ['listeners: [{bind: "unix:/a"}, {bind: "unix:/b/../a"}]', "listeners[1].bind: /a is taken by listeners[0]"],
  ['listeners: [{type: http, bind: "unix:/a"}]', "http does not listen on unix sockets"],
  ['listeners: [{bind: "unix:/a", mode: "0990"}]', '"0990" is no file mode'],
  ['listeners: [{mode: "0660"}]', "listeners[0].mode: means nothing without a unix socket"],
  ["listeners: [{tls: {cert: a}}]", "listeners[0].tls.key: is missing"],
  ["listeners: [{type: coap, tls: {cert: a, key: b}}]", "CoAP runs over DTLS"],
  ["listeners: [{type: coap, max_qos: 1}]", "max_qos: means nothing to coap"],
  ["listeners: [{type: mqtt, dtls: {psk_file: a}}]", "listeners[0].dtls: means nothing to mqtt"],
  ["listeners: [{type: http, rate: 5}]", "listeners[0].rate: means nothing to http"],
  ["listeners: [{type: coap, multicast: true, dtls: {psk_file: x}}]", "1: listeners[0].multicast: means nothing over"],
  ["listeners: [{type: coap, notify: always}]", "possible: qos, con, non"],
  ["listeners: [{type: coap, rate: 0}]", "listeners[0].rate"],
  ["listeners: [{type: coap, heartbeat: 10}]", "listeners[0].heartbeat"],
  ["listeners: [{type: coap, dtls: {}}]", "listeners[0].dtls: has neither keys nor a certificate"],
  ["listeners: [{type: coap, dtls: {cert: a}}]", "listeners[0].dtls.key: is missing"],
  ["listeners: [{type: coap, dtls: {key: a}}]", "listeners[0].dtls.cert: is missing"],
  ["listeners: [{type: coap, dtls: {client_ca: a}}]", "client_ca: means nothing without cert and key"],
  ["listeners: [{type: coap, dtls: {psk_file: a, mtu: 100}}]", "listeners[0].dtls.mtu"],
  ["listeners: [{type: coap, dtls: {psk_file: b, psk_fil: a}}]", "did you mean psk_file?"],
  ["listeners: [{max_qos: 3}]", "possible: 0, 1, 2"],
  ["response_information: reply/{user}", "{user} is no placeholder: there is {client} only"],
  ["response_information: reply/+/{client}", "has a wildcard"],
  ["response_information: 'reply/{client'", "has a brace without its partner"],
  ["listeners: [{type: http, retain_available: true}]", "retain_available: means nothing to http"],
  ["listeners: [{retain_available: no}]", "is neither true nor false"],
  ["listeners: [{anonymous: yes}]", "possible: never, loopback, always"],
  ["listeners: [{path: /x}]", "path: means nothing to mqtt"],
  ["listeners: [{type: ws, path: x}]", '"x" is no path of a URL'],
  ["listeners: [{origins: []}]", "origins: means nothing to mqtt"],
  ["listeners: [{type: ws, origins: [panel.local]}]", 'listeners[0].origins[0]: "panel.local" is no origin'],
  // serial
  ["serial: [{}]", "serial[0].port: is missing"],
  ["serial: [{port: 'tcp://10.0.0.7'}]", 'serial[0].port: "tcp://10.0.0.7" is no address of a terminal server'],
  ["serial: [{port: 'udp://10.0.0.7:1'}]", 'serial[0].port: "udp://10.0.0.7:1" is no address of a terminal server'],
  ["serial: [{port: 'tcp:/10.0.0.7:1'}]", 'serial[0].port: "tcp:/10.0.0.7:1" is no address of a terminal server'],
  ["serial: [{port: 'tcp:10.0.0.7:1'}]", 'serial[0].port: "tcp:10.0.0.7:1" is no address of a terminal server'],
  ["serial: [{port: 'tcp://10.0.0.7:0'}]", "serial[0].port"],
  ["serial: [{port: 'unix:'}]", 'serial[0].port: "unix:" names no path of a socket'],
  ["serial: [{port: /dev/a, match: {serial: A}}]", "serial[0].match: is given beside port"],
  ["serial: [{match: {}}]", "serial[0].match: matches every device"],
  ["serial: [{match: {vendor: 403}}]", 'serial[0].match.vendor: "403" is no USB id'],
  ["serial: [{match: {product: ft232}}]", 'serial[0].match.product: "ft232" is no USB id'],
  ["serial: [{match: {serial: ''}}]", "serial[0].match.serial: is no serial number"],
  ["serial: [{match: {interface: 256}}]", "serial[0].match.interface: 256 is out of range"],
  ["serial: [{match: {serial: A, model: a}}]", "serial[0].match.model: unknown key"],
  ["serial: [{port: /dev/a, data_bits: 9}]", 'serial[0].data_bits: "9" is not possible'],
  ["serial: [{port: /dev/a, parity: marked}]", 'serial[0].parity: "marked" is not possible; did you mean mark'],
  ["serial: [{port: /dev/a, stop_bits: 1.5}]", "serial[0].stop_bits: 1.5 goes with five data bits alone"],
  ["serial: [{port: /dev/a, flow: dtr}]", 'serial[0].flow: "dtr" is not possible'],
  ["serial: [{port: /dev/a, rs485: kernel}]", 'serial[0].rs485: "kernel" is not possible; possible: none, rts'],
  ["serial: [{port: /dev/a, rs485: {delay_before: 101ms}}]", "serial[0].rs485.delay_before: 101ms is out of range"],
  ["serial: [{port: /dev/a, rs485: {delay: 1ms}}]", "serial[0].rs485.delay: unknown key"],
  [
    "serial: [{port: /dev/a, rs485: {mode: rts, terminate: true}}]",
    "serial[0].rs485.terminate: is the driver's alone; use mode: driver or auto",
  ],
  ["serial: [{port: /dev/a, rs485: auto, flow: rts-cts}]", "serial[0].rs485: needs RTS, which flow has"],
  ["serial: [{port: /dev/a, keepalive: 5s}]", "serial[0].keepalive: is TCP's alone"],
  ["serial: [{port: 'tcp://a:1', keepalive: 500ms}]", "serial[0].keepalive: 500ms is out of range; from 1s to 1h"],
  ["serial: [{port: 'tcp://a:1', low_latency: true}]", "serial[0].low_latency: means nothing over tcp"],
  ["serial: [{port: /dev/a, rs485: rts, flow: rts-cts}]", "serial[0].rs485: needs RTS, which flow has"],
  ["serial: [{port: 'tcp://a:1', parity: even}]", "serial[0].parity: means nothing over tcp"],
  ["serial: [{port: 'unix:/a', rs485: rts}]", "serial[0].rs485: means nothing over unix"],
  [
    "serial: [{match: {serial: A}}, {match: {serial: A}, name: b}]",
    "serial[1].port: usb *:* serial A is opened by another entry",
  ],
  ["serial: [{port: /dev/a, protocol: coap, write: {}}]", "serial[0].write: means nothing to protocol: coap"],
  [
    "serial: [{port: /dev/a, protocol: mqtt-sn, framing: slip}]",
    "serial[0].framing: means nothing to protocol: mqtt-sn; say it in mqtt_sn: {framing: ...}",
  ],
  ["serial: [{port: /dev/a, coap: {}}]", "serial[0].coap: means nothing without protocol: coap"],
  ["serial: [{port: /dev/a, protocol: coap, coap: {diagnostics: a/#}}]", "serial[0].coap.diagnostics"],
  ["serial: [{port: /dev/a, protocol: coap, coap: {max_message: 2KiB}}]", "serial[0].coap.max_message"],
  ["serial: [{port: /dev/a, protocol: coap, coap: {framing: cobs}}]", "serial[0].coap.framing"],
  ["serial: [{port: /dev/a, framing: slop}]", 'serial[0].framing: "slop" is not possible; did you mean slip?'],
  ["serial: [{port: /dev/a, framing: fixed}]", "serial[0].framing: fixed needs bytes"],
  ["serial: [{port: /dev/a, framing: {type: fixed}}]", "serial[0].framing: fixed needs bytes"],
  [
    "serial: [{port: /dev/a, framing: {type: start-end, start: a}}]",
    "serial[0].framing: start-end needs start and end",
  ],
  ['serial: [{port: /dev/a, framing: {delimiter: "hex:0"}}]', 'serial[0].framing.delimiter: "hex:0" is no hexadecimal'],
  ["serial: [{port: /dev/a, framing: {delimiter: 123456789a}}]", "serial[0].framing.delimiter: is longer than eight"],
  ["serial: [{port: /dev/a, framing: {type: slip, bytes: 2}}]", "serial[0].framing.bytes: unknown key"],
  [
    'serial: [{port: /dev/a, framing: {type: start-end, start: "{", end: "}", escape: ab}}]',
    "serial[0].framing.escape: is more than one byte",
  ],
  [
    'serial: [{port: /dev/a, framing: {type: start-end, start: "<", end: ">", escape: "<"}}]',
    "serial[0].framing.escape: is also what a start or an end begins with",
  ],
  [
    'serial: [{port: /dev/a, framing: {type: start-end, start: "<", end: ">", escape: "\\\\", escape_xor: 2}}]',
    "serial[0].framing.escape_xor: makes one of",
  ],
  ["serial: [{port: /dev/a, check: crc}]", "serial[0].check"],
  ["serial: [{port: /dev/a, check: {type: crc32, init: 1}}]", "serial[0].check.init: means nothing to crc32"],
  ["serial: [{port: /dev/a, framing: {encoding: cp473}}]", "serial[0].framing.encoding"],
  ["serial: [{port: /dev/a, framing: {type: length, encoding: hex}}]", "framing.encoding: hex is nothing for length"],
  ["serial: [{port: /dev/a, framing: {encoding: hex, trim: true}}]", "framing.trim: means nothing to hex"],
  ["serial: [{port: /dev/a, framing: {encoding: latin1, delimiter: §}}]", '"§" is not the same in every encoding'],
  ["serial: [{port: /dev/a, framing: {encoding: utf16le, delimiter: abcde}}]", "delimiter: is longer than eight"],
  ["serial: [{port: /dev/a, framing: {delimiter: []}}]", "framing.delimiter: has 0 entries"],
  ["serial: [{port: /dev/a, framing: {delimiter: [a, 'hex:1']}}]", 'framing.delimiter[1]: "hex:1" is no hexadecimal'],
  ["serial: [{port: /dev/a, framing: {type: fixed, bytes: 2}, check: crc16-modbus}]", "check: leaves no room"],
  ["serial: [{port: /dev/a, check: {position: end}}]", "check.type: is missing; give one of sum8"],
  [
    "serial: [{port: /dev/a, framing: slip, check: {type: xor8, position: behind}}]",
    "check.position: is behind the end",
  ],
  [
    'serial: [{port: /dev/a, framing: {type: start-end, start: "~", end: "~"}, check: {type: xor8, position: behind}}]',
    "serial[0].check.position: is behind an end that is also a start",
  ],
  [
    "serial: [{port: /dev/a, check: {type: xor8, position: start, mark: '*'}}]",
    "serial[0].check.mark: is for position: end",
  ],
  ["serial: [{port: /dev/a, framing: {type: length, start: 'hex:68'}}]", "framing.start: has more bytes than offset"],
  ["serial: [{port: /dev/a, framing: {type: fixed, bytes: 1, start: ab}}]", "framing.start: has more bytes than a"],
  [
    "serial: [{port: /dev/a, check: {type: xor8, position: start, tail: a}}]",
    "serial[0].check.tail: is for position: end",
  ],
  ["serial: [{port: /dev/a, check: {type: xor8, covers: end}}]", "serial[0].check.covers: is for position: behind"],
  ["serial: [{port: /dev/a, framing: {type: idle, gap_ms: 0}}]", "serial[0].framing.gap_ms: 0 is out of range"],
  ["serial: [{port: /dev/a, framing: {max_frame: 0}}]", "serial[0].framing.max_frame: 0 B is out of range"],
  [
    "limits: {max_packet_bytes: 2KiB}\nserial: [{port: /dev/a, framing: {type: fixed, bytes: 2049}}]",
    "framing.bytes: is more",
  ],
  [
    "limits: {max_packet_bytes: 2KiB}\nserial: [{port: /dev/a, framing: {max_frame: 3KiB}}]",
    "framing.max_frame: is more",
  ],
  ["serial: [{port: /dev/a, errors: {format: text}}]", "serial[0].errors.format"],
  ["serial: [{port: /dev/a, publish: off, errors: {}}]", "serial[0].errors: means nothing with publish: off"],
  ["serial: [{port: /dev/a, errors: {topic: $SYS/a}}]", 'serial[0].errors.topic: "$SYS/a" is under $SYS'],
  ['serial: [{port: /dev/a, publish: {topic: "a/+"}}]', "serial[0].publish.topic"],
  ["serial: [{port: /dev/a, publish: {topic: $SYS/a}}]", 'serial[0].publish.topic: "$SYS/a" is under $SYS'],
  ["serial: [{port: /dev/a, publish: []}]", "serial[0].publish: is empty"],
  ["serial: [{port: /dev/a, publish: off, ignore: x}]", "serial[0].ignore: has no use where publish is off"],
  ["serial: [{port: /dev/a, publish: {format: text}}]", "serial[0].publish.format"],
  ['serial: [{port: /dev/a, publish: {match: "(a)\\\\1"}}]', "linear time"],
  ['serial: [{port: /dev/a, ignore: "(a"}]', 'serial[0].ignore: "(a" is no pattern'],
  [
    "serial: [{port: /dev/a, publish: {topic: 'a/{b}'}}]",
    "serial[0].publish.topic: {b} is neither a field nor a group",
  ],
  ["serial: [{port: /dev/a, publish: {topic: 'a/{2}', match: '(.)'}}]", "{2} is neither a field nor a group of match"],
  ["serial: [{port: /dev/a, publish: {topic: 'a/{b c}'}}]", "has a brace that is not a placeholder's"],
  [`serial: [{port: /dev/a, publish: {topic: '$SYS/{frame}'}}]`, "is under $SYS"],
  [
    `serial: [{port: /dev/a, publish: {format: json, payload: '{"at": "{time}"}'}}]`,
    "serial[0].publish.payload: is not JSON when its placeholders are values",
  ],
  [`serial: [{port: /dev/a, publish: {fields: {time: {column: 1}}}}]`, "publish.fields.time: has a meaning already"],
  [`serial: [{port: /dev/a, publish: {fields: {a: {}}}}]`, "publish.fields.a: takes its value from 0 places"],
  [`serial: [{port: /dev/a, publish: {fields: {a: {column: 1, json: b}}}}]`, "takes its value from 2 places"],
  [`serial: [{port: /dev/a, publish: {fields: {a: {column: 1, separator: ab}}}}]`, "is not one character"],
  [
    "serial: [{port: /dev/a, publish: {fields: {a: {offset: -1, type: uint16}}}}]",
    "a.offset: -1 is too near to the end for the 2 bytes of uint16; it counts from the end: -2 has the last ones",
  ],
  ["serial: [{port: /dev/a, publish: {fields: {a: {offset: -3, type: hex, length: 4}}}}]", "-4 has the last ones"],
  [`serial: [{port: /dev/a, publish: {fields: {a: {pattern: x, group: 1}}}}]`, "1 is no group of the pattern"],
  [`serial: [{port: /dev/a, publish: {fields: {a: {offset: 0, type: int12}}}}]`, "publish.fields.a.type"],
  [`serial: [{port: /dev/a, publish: {fields: {a: {column: temp}}}}]`, "publish.fields.a.column: is a name"],
  [`serial: [{port: /dev/a, publish: {fields: {a: {group: 1}}}}]`, "publish.fields.a.group: is of no pattern"],
  [`serial: [{port: /dev/a, publish: {match: x, fields: {a: {group: 1}}}}]`, "1 is no group of the pattern"],
  [
    `serial: [{port: /dev/a, publish: {fields: {a: {offset: 0, type: int16, mask: 1}}}}]`,
    "mask: means nothing to int16",
  ],
  [`serial: [{port: /dev/a, publish: {fields: {a: {offset: 0, mask: 256}}}}]`, "mask: 256 is out of range"],
  [`serial: [{port: /dev/a, publish: {topic: a, payload: "{+frame}"}}]`, "{+frame} is for topics"],
  [
    `serial: [{port: /dev/a, publish: [${["a", "b", "c", "d", "e"].map((s) => `{fields: {a: {column: 1, separator: ${s}}}}`)}]}]`,
    "serial[0].publish: has columns by 5 separators; at most 4",
  ],
  ["serial: [{port: /dev/a, publish: off, header: x}]", "serial[0].header: has no use where publish is off"],
  [`serial: [{port: /dev/a, publish: {fields: {a: {column: 1, endian: little}}}}]`, "a.endian: unknown key"],
  [`serial: [{port: /dev/a, publish: {topics: x}}]`, "serial[0].publish.topics: unknown key; did you mean topic?"],
  [`serial: [{port: /dev/a, publish: [${"{topic: a}, ".repeat(17)}]}]`, "serial[0].publish: has 17 entries"],
  [`serial: [{port: /dev/a, publish: [${"{match: a}, ".repeat(9)}]}]`, "is one pattern too many"],
  [`serial: [{port: /dev/a, ignore: "${"a{0,16}".repeat(14)}"}]`, "patterns may take too long together"],
  ["serial: [{port: /dev/a}, {port: /dev/a, name: b}]", "serial[1].port: /dev/a is opened by another entry"],
  ["serial: [{port: /dev/a}, {port: /b/a}]", "serial[1].name: a is the name of another port"],
  ["serial: [{port: /dev/a, write: {topic: 'a/#/b'}}]", 'serial[0].write.topic: "a/#/b" "#" must be the last level'],
  ["serial: [{port: /dev/a, write: {topic: $share/a/b}}]", 'serial[0].write.topic: "$share/a/b" is shared'],
  ["serial: [{port: /dev/a, write: {format: json}}]", "serial[0].write.format"],
  ["serial: [{port: /dev/a, write: {payload: '{1}'}}]", "number 1 matched, and serial/a/set has 0"],
  ["serial: [{port: /dev/a, write: {payload: 'hex: 0'}}]", 'serial[0].write.payload: "0" is no hexadecimal'],
  ["serial: [{port: /dev/a, write: {payload: '{payload}\\n'}}]", "has a line end, which the framing adds"],
  ["serial: [{port: /dev/a, write: {gap: 2m}}]", "serial[0].write.gap: 2m is out of range"],
  ["serial: [{port: /dev/a, write: {request: {timeout: 0s}}}]", "serial[0].write.request.timeout"],
  ["serial: [{port: /dev/a, write: {request: {retries: 11}}}]", "serial[0].write.request.retries: 11 is out of range"],
  ["serial: [{port: /dev/a, write: {request: {match: 'hex: x'}}}]", "serial[0].write.request.match"],
  ["serial: [{port: /dev/a, write: {request: {reply: '{node}'}}}]", "{node} is no placeholder here"],
  ["serial: [{port: /dev/a, write: {request: {reply: $SYS/a}}}]", "is under $SYS"],
  ["serial: [{port: /dev/a, write: [{}]}]", "serial[0].write[0].topic: is missing"],
  ["serial: [{port: /dev/a, write: [{topic: a}, {topic: a}]}]", "serial[0].write[1].topic: is that of write[0]"],
  // uplinks
  ["uplinks: [{}]", "uplinks[0].url: is missing"],
  ["uplinks: [{url: broker}]", '"broker" is no URL'],
  ["uplinks: [{url: 'http://a'}]", "http:// is not possible"],
  ["uplinks: [{url: 'mqtt://u:p@a'}]", "holds a user or password"],
  ["uplinks: [{url: 'mqtt://a/x'}]", "has something after the port"],
  ["uplinks: [{url: []}]", "uplinks[0].url: is an empty list"],
  ["uplinks: [{url: ['mqtt://a', 'mqtt://a:1883']}]", "uplinks[0].url[1]: is in the list already"],
  ["uplinks: [{url: ['mqtt://a', 'b']}]", "uplinks[0].url[1]: "],
  ["uplinks: [{url: 'ws://a/#x'}]", "has something after #"],
  ["uplinks: [{url: 'mqtt://a', proxy: 'ftp://p'}]", "ftp:// is not possible"],
  ["uplinks: [{url: 'mqtt://a', proxy: 'http://u:p@a'}]", "holds a password"],
  ["uplinks: [{url: 'mqtt://a', proxy: 'http://p', proxy_password_file: x}]", "names no user"],
  ["uplinks: [{url: 'mqtt://a', proxy_password_file: x}]", "uplinks[0].proxy: is missing"],
  ["uplinks: [{url: 'mqtt://a', interface: 'a/b'}]", "is no network interface"],
  ["uplinks: [{url: 'mqtt://a', interface: eth0, bind_address: 127.0.0.1}]", "is given beside bind_address"],
  ["uplinks: [{url: 'mqtt://a', loop_mark: 1}]", "neither true nor false"],
  ["uplinks: [{url: 'mqtt://a', pace: {}}]", "uplinks[0].pace: limits nothing"],
  ["uplinks: [{url: 'mqtt://a', pace: {messages_per_second: 0}}]", "0 does not mean unlimited"],
  ["uplinks: [{url: 'mqtt://a', pace: {drain: {bytes_per_second: x}}}]", "uplinks[0].pace.drain.bytes_per_second: "],
  [
    `uplinks: [${Array.from({ length: 18 }, (_, i) => `{name: u${i}, url: 'mqtt://a${i}', data_cap: {per_month: 1GB}}`)}]`,
    "uplinks[16].data_cap: is one more than the 16 that there can be",
  ],
  ["uplinks: [{url: 'mqtt://a', data_cap: {}}]", "uplinks[0].data_cap.per_month: is missing"],
  [
    "uplinks: [{url: 'mqtt://a', data_cap: {per_month: 1GB, resets_on_day: 31}}]",
    "uplinks[0].data_cap.resets_on_day: 31 is out of range",
  ],
  ["uplinks: [{url: 'mqtt://a', connect: {every: 1m}}]", "uplinks[0].connect.for: is missing"],
  ["uplinks: [{url: 'mqtt://a', connect: {every: 1m, for: 1m}}]", "is not shorter than every"],
  ["uplinks: [{url: 'mqtt://a', connect: {every: 1m, for: 1s, urgent_priority: 8}}]", "8 is out of range"],
  ["uplinks: [{url: 'mqtt://a', spool: {priorities: [{}]}}]", "uplinks[0].spool.priorities[0].priority: is missing"],
  ["uplinks: [{url: 'mqtt://a', spool: {priorities: [{priority: 1}, {priority: 1}]}}]", "1 has an entry already"],
  [
    "uplinks: [{url: 'mqtt://a', spool: {priorities: [{priority: 1, max_bytes: 1GiB}]}}]",
    "is more than store.max_bytes",
  ],
  ["uplinks: [{url: 'mqtt://a', forward: [{priority: 8}]}]", "uplinks[0].forward[0].priority: 8 is out of range"],
  ["uplinks: [{url: 'mqtt://a', forward: [{retain: x}]}]", "possible: keep, clear"],
  ["uplinks: [{url: 'mqtt://a', forward: [{batch: {}, qos: 0}]}]", "uplinks[0].forward[0].qos: is 0"],
  ["uplinks: [{url: 'mqtt://a', forward: [{reduce: {}, offline: drop}]}]", "uplinks[0].forward[0].offline: is drop"],
  ["uplinks: [{url: 'mqtt://a', forward: [{batch: {max_bytes: 1MiB}}]}]", "is more than limits.max_packet_bytes"],
  ["uplinks: [{url: 'mqtt://a', forward: [{reduce: {emit: [median]}}]}]", "uplinks[0].forward[0].reduce.emit[0]: "],
  ["uplinks: [{url: 'mqtt://a', forward: [{reduce: {fields: []}}]}]", "uplinks[0].forward[0].reduce.fields: is empty"],
  ["uplinks: [{url: 'mqtt://a', forward: [{reduce: {fields: [a..b]}}]}]", "is no field"],
  ["uplinks: [{url: 'mqtt://a', forward: [{on_change: {deadband: -1}}]}]", "-1 is out of range"],
  ["uplinks: [{url: 'mqtt://a', forward: [{on_change: {deadband: x}}]}]", "is no number"],
  ["uplinks: [{url: 'mqtt://a', tls: {}}]", "uplinks[0].tls: the url is not encrypted"],
  ["uplinks: [{url: 'mqtts://a', tls: {cert: x}}]", "uplinks[0].tls.key: is missing"],
  ["uplinks: [{url: 'mqtt://a', password_file: x}]", "uplinks[0].username: is missing"],
  ["uplinks: [{url: 'mqtt://a', protocol: '5'}]", "remove the quotes"],
  ["uplinks: [{url: 'mqtt://a', keepalive: 1500ms}]", "whole seconds"],
  ["uplinks: [{url: 'mqtt://a', keepalive: 0}]", "0ms is out of range (0 does not mean unlimited)"],
  ["uplinks: [{url: 'mqtt://a', bind_address: eth0}]", '"eth0" is no IP address'],
  ["uplinks: [{url: 'mqtt://a'}, {url: 'mqtt://b'}]", "uplinks[1].name: cloud is the name of another uplink"],
  ["uplinks: [{url: 'mqtt://a'}, {url: 'mqtt://a:1883', name: b}]", "uplinks[1].client_id"],
  ["uplinks: [{url: 'mqtt://a', spool: {max_bytes: 1GiB}}]", "is more than store.max_bytes"],
  ["uplinks: [{url: 'mqtt://a', forward: [{match: 'a/#/b'}]}]", '"#" must be the last level, alone'],
  ["uplinks: [{url: 'mqtt://a', forward: [{match: 'a+/b'}]}]", '"+" must be alone in its level'],
  ["uplinks: [{url: 'mqtt://a', forward: [{match: 'a/+', to: 'b/{rest}'}]}]", "{rest} is what"],
  ["uplinks: [{url: 'mqtt://a', forward: [{match: 'a/+/#', to: 'b/{2}'}]}]", "and a/+/# has 1"],
  ["uplinks: [{url: 'mqtt://a', receive: [{match: '+/+', to: '{1}{2}{3}'}]}]", "uplinks[0].receive[0].to"],
  ["uplinks: [{url: 'mqtt://a', forward: [{to: 'b/{host}'}]}]", "{host} is no placeholder"],
  ["uplinks: [{url: 'mqtt://a', forward: [{to: 'b/{0}'}]}]", "{0} is no placeholder"],
  ["uplinks: [{url: 'mqtt://a', forward: [{to: 'b/{topic'}]}]", "has a brace without its partner"],
  ["uplinks: [{url: 'mqtt://a', forward: [{to: 'b/#'}]}]", "has a wildcard"],
  ["uplinks: [{url: 'mqtt://a', receive: [{match: 'a', to: '$SYS/a'}]}]", "uplinks[0].receive[0].to: leads under $SYS"],
  ["uplinks: [{url: 'mqtt://a', receive: [{match: '$SYS/#'}]}]", "uplinks[0].receive[0].to: leads under $SYS"],
  [
    "serial: [{port: /a, framing: {type: slip, max_frame: 9KiB}, publish: {topic: a, format: hex}}]",
    "serial[0].framing: has frames above 8KiB",
  ],
  // durability
  ["durability: [{match: a}]", "durability[0]: changes nothing"],
  ["durability: [{match: a, sync: on}]", 'durability[0].sync: "on" is not possible'],
  ["durability: [{match: a, commit_delay: 6s}]", "durability[0].commit_delay: 6s is out of range"],
  [
    "durability: [{match: a/#, sync: off}, {match: a/b, sync: full}]",
    "durability[1]: never holds: durability[0] matches all its topics",
  ],
  // parts that come later
  ["uplinks: [{url: 'mqtt://a', spool: {when_full: newest}}]", "drop-oldest, drop-newest"],
  ["limits: {session_queue_age: 0s}", "1s"],
];

for (const [text, expected] of SINGLE) {
  test(`${text.slice(0, 90).replaceAll("\n", "\\n")}`, () => {
    const complaints = complaintsOf(text);
    assert.equal(complaints.length, 1, complaints.join("\n"));
    assert.ok(complaints[0]?.includes(expected), complaints[0]);
    assert.ok(complaints[0]?.startsWith("gw.yaml:"), complaints[0]);
  });
}

test("three mistakes give three complaints, in order of lines", () => {
  const text = `node: gw
listeners:
  - {type: mqtt, bind: "127.0.0.1:0"}
  - type: mqtt
    bind: "127.0.0.1"
store: {sync: ful}
limts: {}
`;
  assert.deepEqual(complaintsOf(text), [
    'gw.yaml:5: listeners[1].bind: "127.0.0.1" has no port; write it like "0.0.0.0:1883", "[::]:1883" or "unix:/path"',
    'gw.yaml:6: store.sync: "ful" is not possible; did you mean full? possible: full, normal, off',
    "gw.yaml:7: limts: unknown key; did you mean limits?",
  ]);
});

test("an alias bomb is a complaint, not gigabytes", () => {
  const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
  for (const [from, to] of ["ab", "bc", "cd", "de", "ef", "fg", "gh"]) {
    bomb.push(`${to}: &${to} [${Array(9).fill(`*${from}`).join(",")}]`);
  }
  assert.ok(complaintsOf(bomb.join("\n")).length > 0);
});

function nested(levels: number): string {
  return Array.from({ length: levels }, (_, i) => `${" ".repeat(i)}a:\n`).join("");
}

test("nesting without end and files without end are complaints", () => {
  for (const text of ["[".repeat(100_000), "{a: ".repeat(50_000), nested(20), "x".repeat(300 * 1024)]) {
    const complaints = complaintsOf(text);
    assert.ok(complaints.length > 0 && complaints.length <= 10, complaints.join("\n"));
  }
});
