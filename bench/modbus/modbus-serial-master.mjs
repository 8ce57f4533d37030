// npm's modbus-serial as a master that asks as fast as it can: FRAMING PLACE UNITS IN_FLIGHT.
import ModbusRTU from "modbus-serial";

const [framing, place, units, inFlight] = process.argv.slice(2);
const REGISTERS = 10;
const client = new ModbusRTU();
client.setTimeout(1000);
if (framing === "rtu") await client.connectRTUBuffered(place, { baudRate: 115_200 });
else await client.connectTCP("127.0.0.1", { port: Number(place) });
console.log("ready");

async function ask() {
  for (let unit = 1; ; unit = (unit % Number(units)) + 1) {
    client.setID(unit);
    await client.readHoldingRegisters(0, REGISTERS);
  }
}

await Promise.all(Array.from({ length: Number(inFlight) }, ask));
