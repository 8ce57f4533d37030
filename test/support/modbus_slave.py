# Debian's pymodbus (3.0) as a slave, for tests: RTU or Modbus TCP framing over a TCP port that it says on stdout.
# Holding registers and coils are kept and may be written; units 1 and 2 answer, others are silent (RTU) or refused.
import asyncio
import json
import logging
import sys

from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server.async_io import ModbusTcpServer
from pymodbus.transaction import ModbusRtuFramer, ModbusSocketFramer

options = json.loads(sys.argv[1])
logging.disable(logging.CRITICAL)  # it logs each connection that ends


def block(values):
    # The data store counts from 1 unless zero_mode is set.
    return ModbusSequentialDataBlock(0, values)


def slave():
    return ModbusSlaveContext(
        di=block([1, 0] * 1000),
        co=block([0] * 2000),
        hr=block(list(options["registers"]) + [0] * 200),
        ir=block(list(range(1000, 1200))),
        zero_mode=True,
    )


async def main():
    context = ModbusServerContext(slaves={1: slave(), 2: slave()}, single=False)
    framer = ModbusRtuFramer if options["framing"] == "rtu" else ModbusSocketFramer
    server = ModbusTcpServer(context, framer, None, ("127.0.0.1", 0), ignore_missing_slaves=True)
    task = asyncio.ensure_future(server.serve_forever())
    await server.serving
    print(json.dumps({"port": server.server.sockets[0].getsockname()[1]}), flush=True)
    await task


asyncio.run(main())
