import type { Statement } from "../statement.ts";

export const SECTION_3_1: readonly Statement[] = [];
