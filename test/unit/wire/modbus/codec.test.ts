import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { crc16 } from "../../../../src/wire/modbus/crc.ts";
import type { AnswerReader, Framing } from "../../../../src/wire/modbus/reader.ts";
import { Request } from "../../../../src/wire/modbus/request.ts";
import { ANSWERS, judgeAnswer, NO_ANSWER } from "../../../../src/wire/modbus/response.ts";
import { RtuFraming, silenceMs } from "../../../../src/wire/modbus/rtu.ts";
import { TcpFraming } from "../../../../src/wire/modbus/tcp.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

interface Vector {
  readonly title: string;
  readonly fill: (request: Request) => void;
  readonly request: string;
  readonly answer: string;
}

/** The examples of MODBUS Application Protocol Specification V1.1b3 section 6. */
const VECTORS: readonly Vector[] = [
  {
    title: "6.1 read coils 20-38",
    fill: (r) => r.read(17, 1, 0x13, 19),
    request: "01 0013 0013",
    answer: "01 03 CD6B05",
  },
  {
    title: "6.2 read discrete inputs 197-218",
    fill: (r) => r.read(17, 2, 0xc4, 22),
    request: "02 00C4 0016",
    answer: "02 03 ACDB35",
  },
  {
    title: "6.3 read holding registers 108-110",
    fill: (r) => r.read(17, 3, 0x6b, 3),
    request: "03 006B 0003",
    answer: "03 06 022B 0000 0064",
  },
  {
    title: "6.4 read input register 9",
    fill: (r) => r.read(17, 4, 8, 1),
    request: "04 0008 0001",
    answer: "04 02 000A",
  },
  {
    title: "6.5 write coil 173",
    fill: (r) => r.writeCoil(17, 0xac, true),
    request: "05 00AC FF00",
    answer: "05 00AC FF00",
  },
  {
    title: "6.6 write register 2",
    fill: (r) => r.writeRegister(17, 1, hex("0003")),
    request: "06 0001 0003",
    answer: "06 0001 0003",
  },
  {
    title: "6.11 write coils 20-29",
    fill: (r) => r.writeCoils(17, 0x13, [...(0xcd).toString(2)].reverse().map(Number).map(Boolean).concat(true, false)),
    request: "0F 0013 000A 02 CD01",
    answer: "0F 0013 000A",
  },
  {
    title: "6.12 write registers 2-3",
    fill: (r) => r.writeRegisters(17, 1, hex("000A 0102")),
    request: "10 0001 0002 04 000A 0102",
    answer: "10 0001 0002",
  },
  {
    title: "6.16 mask write register 5",
    fill: (r) => r.maskWrite(17, 4, 0x00f2, 0x0025),
    request: "16 0004 00F2 0025",
    answer: "16 0004 00F2 0025",
  },
];

for (const { title, fill, request: expected, answer } of VECTORS) {
  test(`${title}: request and answer are those of the specification, and no truncation of the answer is one`, () => {
    const request = new Request();
    fill(request);
    assert.equal(request.pdu.toString("hex", 0, request.pduLength), hex(expected).toString("hex"));
    const pdu = hex(answer);
    assert.equal(judgeAnswer(request, pdu, 0, pdu.length), ANSWERS);
    for (let end = 0; end < pdu.length; end++) assert.equal(judgeAnswer(request, pdu, 0, end), NO_ANSWER);
    const longer = Buffer.concat([pdu, Buffer.of(0)]);
    assert.equal(judgeAnswer(request, longer, 0, longer.length), NO_ANSWER);
    const exception = Buffer.of(request.functionCode | 0x80, 2);
    assert.equal(judgeAnswer(request, exception, 0, 2), 2);
    assert.equal(judgeAnswer(request, Buffer.of(request.functionCode | 0x80, 0), 0, 2), NO_ANSWER);
  });
}

test("the CRC is 0x4B37 over 123456789, and goes low byte first: 01 04 02 FF FF B8 80", () => {
  assert.equal(crc16(Buffer.from("123456789"), 0, 9), 0x4b37);
  assert.equal(crc16(hex("01 04 02 FFFF B880"), 0, 7), 0);
});

test("the MBAP header is that of the implementation guide: transaction, protocol 0, length, unit", () => {
  const framing = new TcpFraming();
  const request = new Request();
  request.read(0xff, 3, 4, 1);
  const bytes = Buffer.alloc(260);
  assert.equal(bytes.toString("hex", 0, framing.encode(request, bytes, 0)), "000100000006ff0300040001");
});

test("3.5 characters of silence, and 1.75 ms above 19,200 baud", () => {
  assert.equal(silenceMs({ baud: 38_400, bits: 11 }), 1.75);
  assert.equal(Math.round(silenceMs({ baud: 9600, bits: 11 }) * 100), 401);
});

function framed(kind: "rtu" | "tcp", unit: number, pdu: Buffer, transaction = 1): Buffer {
  if (kind === "tcp") {
    const header = Buffer.alloc(7);
    header.writeUInt16BE(transaction, 0);
    header.writeUInt16BE(pdu.length + 1, 4);
    header[6] = unit;
    return Buffer.concat([header, pdu]);
  }
  const bytes = Buffer.concat([Buffer.of(unit), pdu, Buffer.alloc(2)]);
  bytes.writeUInt16LE(crc16(bytes, 0, bytes.length - 2), bytes.length - 2);
  return bytes;
}

/** Nothing whole yet. */
const INCOMPLETE = -1;

/** @returns the last verdict */
function feed(reader: AnswerReader, chunk: Uint8Array): number {
  let verdict = INCOMPLETE;
  reader.feed(chunk, {
    onAnswer: (_request, found) => {
      verdict = found;
    },
  });
  return verdict;
}

function asked(kind: "rtu" | "tcp", fill: Vector["fill"]): { reader: AnswerReader; request: Request } {
  const framing: Framing = kind === "rtu" ? new RtuFraming() : new TcpFraming();
  const request = new Request();
  fill(request);
  framing.encode(request, Buffer.alloc(260), 0);
  framing.reader.expect(request);
  return { reader: framing.reader, request };
}

for (const kind of ["rtu", "tcp"] as const) {
  test(`${kind}: an answer cut at each byte, and byte by byte, is the answer`, () => {
    for (const { fill, answer } of VECTORS) {
      const bytes = framed(kind, 17, hex(answer));
      for (let cut = 1; cut < bytes.length; cut++) {
        const { reader } = asked(kind, fill);
        assert.equal(feed(reader, bytes.subarray(0, cut)), INCOMPLETE);
        assert.equal(feed(reader, bytes.subarray(cut)), ANSWERS);
        assert.equal(reader.bytes.toString("hex", reader.from, reader.end), hex(answer).toString("hex"));
      }
    }
  });

  test(`${kind}: an exception is its code; what comes when nothing is asked is counted and dropped`, () => {
    const { reader } = asked(kind, (r) => r.read(17, 3, 0, 1));
    assert.equal(feed(reader, framed(kind, 17, hex("83 02"))), 2);
    const late = framed(kind, 17, hex("03 02 0001"));
    assert.equal(feed(reader, late), INCOMPLETE);
    assert.equal(reader.strayBytes, late.length);
  });

  test(`${kind}: random bytes are never an answer, end in bounded memory, and the next answer is read`, () => {
    const random = seededRandom(8);
    for (let run = 0; run < 300; run++) {
      const { fill, answer } = VECTORS[run % VECTORS.length] as Vector;
      const { reader, request } = asked(kind, fill);
      for (let chunk = 0; chunk < 5; chunk++) {
        const bytes = Buffer.from(Array.from({ length: Math.floor(random() * 300) }, () => Math.floor(random() * 256)));
        assert.equal(feed(reader, bytes), INCOMPLETE);
      }
      reader.reset();
      reader.expect(request);
      assert.equal(feed(reader, framed(kind, 17, hex(answer))), ANSWERS);
    }
  });
}

test("rtu: noise, an echo of the request, another's answer and a frame with a wrong CRC before the answer are passed over", () => {
  const fill = (r: Request): void => r.read(17, 3, 0x6b, 3);
  const answer = framed("rtu", 17, hex("03 06 022B 0000 0064"));
  const broken = Buffer.from(answer);
  broken.writeUInt8((broken[4] as number) ^ 1, 4);
  const echo = framed("rtu", 17, hex("03 006B 0003"));
  const other = framed("rtu", 18, hex("03 06 022B 0000 0064"));
  for (const before of [Buffer.of(0, 0xff, 17), echo, other, broken]) {
    const { reader } = asked("rtu", fill);
    assert.equal(feed(reader, Buffer.concat([before, answer])), ANSWERS);
    assert.equal(reader.strayBytes, before === echo ? 0 : before.length);
    assert.equal(reader.echoes, before === echo ? 1 : 0);
    assert.equal(reader.badFrames, before === broken ? 1 : 0);
  }
});

test("rtu: on a wire that echoes, as a read has told, the echo of a write is not its confirmation; on another it is one", () => {
  const framing = new RtuFraming();
  const { reader } = framing;
  const request = new Request();
  const output = Buffer.alloc(260);
  const ask = (fill: Vector["fill"]): Buffer => {
    fill(request);
    const end = framing.encode(request, output, 0);
    reader.expect(request);
    return Buffer.from(output.subarray(0, end));
  };
  const read = (r: Request): void => r.read(17, 3, 0x6b, 3);
  const answer = framed("rtu", 17, hex("03 06 022B 0000 0064"));
  const writes: Vector["fill"][] = [
    (r) => r.writeCoil(17, 1, true),
    (r) => r.writeRegister(17, 1, hex("0003")),
    (r) => r.maskWrite(17, 4, 0x00f2, 0x0025),
  ];
  for (const echoes of [false, true, false]) {
    const echo = ask(read);
    assert.equal(feed(reader, echoes ? Buffer.concat([echo, answer]) : answer), ANSWERS);
    for (const write of writes) {
      const frame = ask(write);
      assert.equal(feed(reader, frame), echoes ? INCOMPLETE : ANSWERS);
      if (echoes) assert.equal(feed(reader, frame), ANSWERS);
    }
    const frame = ask((r) => r.writeRegisters(17, 1, hex("000A 0102")));
    if (echoes) assert.equal(feed(reader, frame), INCOMPLETE);
    assert.equal(feed(reader, framed("rtu", 17, hex("10 0001 0002"))), ANSWERS);
  }
  assert.equal(reader.echoes, 5);
  assert.equal(reader.badFrames, 0);
  // An echo alone, of a slave that is dead, tells as well.
  const echo = ask(read);
  assert.equal(feed(reader, echo), INCOMPLETE);
  reader.forget(request);
  assert.equal(feed(reader, ask(writes[1] as Vector["fill"])), INCOMPLETE);
});

test("rtu: an answer that begins like its request is told from an echo, cut anywhere", () => {
  // Registers 0x0600 and on, three of them: the address begins with the answer's count of bytes.
  const read = (r: Request): void => r.read(17, 3, 0x0600, 3);
  const answer = framed("rtu", 17, hex("03 06 0003 4711 0815"));
  const echo = framed("rtu", 17, hex("03 0600 0003"));
  for (const bytes of [answer, Buffer.concat([echo, answer])]) {
    for (let cut = 1; cut < bytes.length; cut++) {
      const { reader } = asked("rtu", read);
      assert.equal(feed(reader, bytes.subarray(0, cut)), INCOMPLETE);
      assert.equal(feed(reader, bytes.subarray(cut)), ANSWERS);
      assert.equal(reader.badFrames, 0);
    }
  }
});

test("tcp: several requests are answered in any order, once each; a wrong unit is no answer", () => {
  const framing = new TcpFraming();
  const requests = [1, 2, 3].map((unit) => {
    const request = new Request();
    request.read(unit, 3, 0, 1);
    framing.encode(request, Buffer.alloc(260), 0);
    framing.reader.expect(request);
    return request;
  });
  const answered: number[] = [];
  const sink = { onAnswer: (request: Request): void => void answered.push(requests.indexOf(request)) };
  const answer = (unit: number, transaction: number): Buffer => framed("tcp", unit, hex("03 02 0001"), transaction);
  const bytes = Buffer.concat([answer(3, 3), answer(3, 3), answer(9, 1), answer(1, 1), answer(2, 7), answer(2, 2)]);
  for (const byte of bytes) framing.reader.feed(Buffer.of(byte), sink);
  assert.deepEqual(answered, [2, 0, 1]);
  assert.equal(framing.reader.badFrames, 1);
  assert.equal(framing.reader.strayBytes, 3 * 11);
});

test("tcp: an answer that comes too late has another transaction, and is not taken for the next", () => {
  const framing = new TcpFraming();
  const request = new Request();
  request.read(1, 3, 0, 1);
  const output = Buffer.alloc(260);
  framing.encode(request, output, 0);
  framing.reader.expect(request);
  framing.encode(request, output, 0);
  framing.reader.expect(request);
  assert.equal(feed(framing.reader, framed("tcp", 1, hex("03 02 0001"), 1)), INCOMPLETE);
  assert.equal(feed(framing.reader, framed("tcp", 1, hex("03 02 0002"), 2)), ANSWERS);
  assert.equal(framing.reader.bytes[framing.reader.end - 1], 2);
});

test("tcp: after a header that cannot be one nothing is taken until the next request", () => {
  const { reader, request } = asked("tcp", (r) => r.read(1, 3, 0, 1));
  const answer = framed("tcp", 1, hex("03 02 0001"));
  assert.equal(feed(reader, Buffer.concat([hex("0001 0001 0003 000000"), answer])), INCOMPLETE);
  assert.equal(reader.badFrames, 1);
  reader.expect(request);
  assert.equal(feed(reader, answer), ANSWERS);
});
