/**
 * What a bus has time for: how long polls take on the wire if every slave answers at once, which none does.
 *
 *     | request | 3.5 characters | answer | 3.5 characters, or gap | next request
 */

import type { ModbusConfig } from "../../config/serial-modbus.ts";
import type { LineSettings, SerialPlace } from "../../config/serial-port.ts";
import { answerLength, Request } from "../../wire/modbus/request.ts";
import { type Characters, silenceMs } from "../../wire/modbus/rtu.ts";
import { isBroadcast } from "./command.ts";
import { planReads } from "./poll-plan.ts";

/** Unit and CRC. */
const RTU_BYTES = 3;
/** What a slave needs to answer, by experience. */
const ANSWER_MS = 10;

/** Of the wire; null on a network, whose bytes take no time and need no silence. */
export function charactersOf(line: LineSettings & { readonly place: SerialPlace }): Characters | null {
  const { baud, dataBits, parity, stopBits, place } = line;
  if (place.kind === "tcp" || place.kind === "unix") return null;
  return { baud, bits: 1 + dataBits + (parity === "none" ? 0 : 1) + stopBits };
}

export function byteMsOf(characters: Characters | null): number {
  return characters === null ? 0 : (characters.bits * 1000) / characters.baud;
}

/** Silence before each request. */
export function gapMsOf({ transport, gapMs }: ModbusConfig, characters: Characters | null): number {
  return characters === null || transport === "tcp" ? gapMs : Math.max(Math.ceil(silenceMs(characters)), gapMs);
}

export interface BusTime {
  /** Of each second, for all polls. */
  readonly usedMs: number;
  readonly pollsPerSecond: number;
}

/** @param maxGap in place of that of the configuration */
export function busTime(config: ModbusConfig, characters: Characters, maxGap = config.maxGap): BusTime {
  const request = new Request();
  const byteMs = byteMsOf(characters);
  const restMs = silenceMs(characters) + gapMsOf(config, characters);
  let usedMs = 0;
  let pollsPerSecond = 0;
  for (const { unit, groups } of config.slaves) {
    if (isBroadcast(config.transport, unit)) continue;
    for (const group of groups) {
      for (const { functionCode, address, count } of planReads(group, maxGap)) {
        request.read(unit, functionCode, address, count);
        const bytes = request.pduLength + answerLength(request) + 2 * RTU_BYTES;
        pollsPerSecond += 1000 / group.intervalMs;
        usedMs += (bytes * byteMs + restMs) * (1000 / group.intervalMs);
      }
    }
  }
  return { usedMs, pollsPerSecond };
}

const GAPS = [4, 8, 16, 32, 64, 120];

/** What is wrong with the time that the polls of a bus ask for, and what to do; null = they fit. */
export function busTimeNote(config: ModbusConfig, characters: Characters | null): string | null {
  if (characters === null || config.transport === "tcp") return null;
  const { usedMs, pollsPerSecond } = busTime(config, characters);
  const answersMs = pollsPerSecond * ANSWER_MS;
  if (usedMs + answersMs <= 1000) return null;
  const rounded = (value: number): number => Math.ceil(value * 10) / 10;
  const asked = `${rounded(pollsPerSecond)} polls a second take ${Math.ceil(usedMs)} ms of each second at ${characters.baud} baud`;
  const verdict =
    usedMs >= 1000
      ? "which is more than there is"
      : `so slaves would have to answer within ${Math.floor((1000 - usedMs) / pollsPerSecond)} ms`;
  const longer = `intervals ${rounded((usedMs + answersMs) / 1000)} times as long`;
  return `${asked}, ${verdict}: ${longer}${mergeAdvice(config, characters, usedMs + answersMs)} or a higher baud rate would do`;
}

/** The smallest max_gap that saves a tenth. */
function mergeAdvice(config: ModbusConfig, characters: Characters, nowMs: number): string {
  for (const maxGap of GAPS) {
    if (maxGap <= config.maxGap) continue;
    const { usedMs, pollsPerSecond } = busTime(config, characters, maxGap);
    const thenMs = usedMs + pollsPerSecond * ANSWER_MS;
    if (thenMs <= 0.9 * nowMs)
      return `, max_gap: ${maxGap} (${Math.ceil(thenMs)} ms, with ${ANSWER_MS} ms for each answer)`;
  }
  return "";
}
