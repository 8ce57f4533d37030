import type { Statement } from "../statement.ts";

export const SECTION_1: readonly Statement[] = [];
