import type { Statement } from "../statement.ts";

export const SECTION_6: readonly Statement[] = [];
