// A slave that answers every read at once, for as many units as are asked: RTU or Modbus TCP over a TCP port. It says both
// of its ports; who connects to the second is told how many requests it has answered.
import { createServer } from "node:net";

const [framing] = process.argv.slice(2);
const MBAP_BYTES = 6;
const READ_BYTES = 8;
let answered = 0;

const TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  return crc;
});

function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 0xff];
  return crc;
}

/** Registers that hold their address. */
function answerTo(pdu) {
  const count = pdu.readUInt16BE(3);
  const answer = Buffer.alloc(2 + 2 * count);
  answer[0] = pdu[0];
  answer[1] = 2 * count;
  for (let i = 0; i < count; i++) answer.writeUInt16BE(pdu.readUInt16BE(1) + i, 2 + 2 * i);
  answered++;
  return answer;
}

function rtu(request) {
  const bytes = Buffer.concat([request.subarray(0, 1), answerTo(request.subarray(1, -2)), Buffer.alloc(2)]);
  bytes.writeUInt16LE(crc16(bytes.subarray(0, -2)), bytes.length - 2);
  return bytes;
}

function tcp(request) {
  const pdu = answerTo(request.subarray(MBAP_BYTES + 1));
  const header = Buffer.from(request.subarray(0, MBAP_BYTES + 1));
  header.writeUInt16BE(1 + pdu.length, 4);
  return Buffer.concat([header, pdu]);
}

function serve(socket) {
  let waiting = Buffer.alloc(0);
  socket.setNoDelay(true);
  socket.on("error", () => {});
  socket.on("data", (chunk) => {
    waiting = Buffer.concat([waiting, chunk]);
    const answers = [];
    for (;;) {
      const length = framing === "rtu" ? READ_BYTES : waiting.length < MBAP_BYTES ? 1e9 : 6 + waiting.readUInt16BE(4);
      if (waiting.length < length) break;
      answers.push((framing === "rtu" ? rtu : tcp)(waiting.subarray(0, length)));
      waiting = waiting.subarray(length);
    }
    socket.write(Buffer.concat(answers));
  });
}

const slave = createServer(serve).listen(0, "127.0.0.1", () => {
  const counter = createServer((socket) => socket.end(String(answered))).listen(0, "127.0.0.1", () => {
    console.log(JSON.stringify({ port: slave.address().port, counterPort: counter.address().port }));
  });
});
