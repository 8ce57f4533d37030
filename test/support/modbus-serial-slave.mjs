// modbus-serial's server (npm) as a slave, for tests and benches: Modbus TCP on a port that it says on stdout, or RTU on a
// terminal. Holding registers and coils are kept and may be written; of unit 1 (RTU: others are silent).
import modbusSerial from "modbus-serial";

const { ServerSerial, ServerTCP } = modbusSerial;
const ADDRESSES = 300;

const { mode, path, baud = 115_200, registers } = JSON.parse(process.argv[2]);
const holding = [...registers, ...Array(ADDRESSES - registers.length).fill(0)];
const coils = Array(ADDRESSES).fill(false);

function at(address) {
  if (address >= ADDRESSES) throw Object.assign(new Error("not there"), { modbusErrorCode: 2 });
  return address;
}

const vector = {
  getCoil: (address) => coils[at(address)],
  getDiscreteInput: (address) => at(address) % 2 === 0,
  getInputRegister: (address) => 1000 + at(address),
  getHoldingRegister: (address) => holding[at(address)],
  setCoil: (address, on) => {
    coils[at(address)] = on;
  },
  setRegister: (address, value) => {
    holding[at(address)] = value;
  },
};

if (mode === "tcp") {
  // A port that is the number 0 it takes for 502.
  const server = new ServerTCP(vector, { host: "127.0.0.1", port: "0", unitID: 1 });
  server.on("initialized", () => console.log(JSON.stringify({ port: server._server.address().port })));
} else {
  // It tells requests by the silence between them.
  const server = new ServerSerial(vector, { path, baudRate: baud, unitID: 1, interval: 4 });
  server.on("initialized", () => console.log(JSON.stringify({ port: 0 })));
}
